import type { Env } from "../env.ts";
import { signingKeysOf } from "../store/domains.ts";
import { domainOf } from "./address.ts";
import { composeMessage } from "./compose.ts";
import { signDkim } from "./dkim-sign.ts";
import { transportFor } from "./transports/choose.ts";
import type { RecipientOutcome } from "./transports/transport.ts";

/** Mail from the deployment itself to a person: approval requests, copies, one-time codes. No mailbox stores it. */
export interface SystemMail {
  to: string;
  subject: string;
  text: string;
  html: string;
  /** Unique, without brackets or domain: repeating a mail repeats its Message-ID. */
  id: string;
  date: Date;
}

/** Local parts on the deployment's own domain that are the service's, so that no mailbox can be made there. */
export const SYSTEM_LOCAL_PARTS: readonly string[] = [
  "approvals",
  "bounces",
  "complaints",
  "postmaster",
  "abuse",
  "hostmaster",
  "mailer-daemon",
  "no-reply",
  "noreply",
  "security",
  "root",
  "admin",
];

/**
 * Composes, signs and hands over a mail from `approvals@` on the deployment's own domain, which is no mailbox.
 * @returns what the far end said.
 * @throws Error for mistakes of ours: missing settings, a domain without keys.
 */
export async function sendSystemMail(env: Env, mail: SystemMail, signal: AbortSignal): Promise<RecipientOutcome> {
  const from = `approvals@${env.MAIL_DOMAIN}`;
  const transport = transportFor(env, { test: false });
  const composed = await composeMessage({
    content: {
      from: { name: "MultiMail", address: from },
      reply_to: [],
      to: [{ name: null, address: mail.to }],
      cc: [],
      bcc: [],
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      attachments: [],
      in_reply_to: null,
      references: [],
    },
    attachments: [],
    message_id: `<${mail.id}@${env.MAIL_DOMAIN}>`,
    date: mail.date,
    extra_headers: [["Auto-Submitted", "auto-generated"]],
  });
  const raw = transport.preserves_bytes
    ? await signDkim(composed, await signingKeysOf(env.DB, env, domainOf(from)), mail.date)
    : composed;
  const [outcome] = await transport.deliver({ from, to: [mail.to] }, raw, signal);
  if (!outcome) throw new Error("the transport gave no outcome");
  return outcome;
}
