import type { DkimSigningKey } from "../../src/mail/dkim-sign.ts";
import { redirectMessage } from "../../src/mail/forwarded-message.ts";
import type { Transport } from "../../src/mail/transports/transport.ts";
import { SYSTEM } from "../ledger.ts";
import type { MailboxBase } from "./base.ts";
import { type Message, outboundOf } from "./messages.ts";
import { type Make, readUnchanged } from "./sent-bytes.ts";

/** Handing over what is passed on, and what the audit log says of it. */

/** Many receivers cannot check Ed25519, and a set has one signature. */
function sealingKey(keys: readonly DkimSigningKey[]): DkimSigningKey | null {
  return keys.find(({ algorithm }) => algorithm === "rsa-sha256") ?? keys[0] ?? null;
}

/**
 * @returns what puts trace fields and a seal before the original's bytes. What the mailbox itself once sent has our signature, and
 *   was never judged: it is not sealed.
 * @throws Error if the bytes are not those that were hashed, or the transport would change them: nothing leaves.
 */
export async function redirecting(
  box: MailboxBase,
  message: Message,
  { transport, dkimKeys }: { transport: Transport; dkimKeys: readonly DkimSigningKey[] },
): Promise<Make> {
  const { forward, test } = outboundOf(message);
  if (forward?.form !== "redirected") throw new Error(`${message.id} is not redirected`);
  if (!transport.preserves_bytes && !test) throw new Error(`${transport.name} does not pass ${message.id} on as it is`);
  const { raw_key: key, sha256, email_id } = forward;
  const original = await readUnchanged(box, { key, sha256, what: `the message ${email_id}` });
  const { inbound } = box.messages.get(email_id).record;
  const env = box.environment();
  // A seal is ours for the world to believe: none of what never leaves.
  const signing = inbound && !test ? sealingKey(dkimKeys) : null;
  return async () => {
    const { raw, is_sealed } = await redirectMessage(original, {
      delivered_to: inbound && box.settings().address,
      by: env.MAIL_DOMAIN,
      id: message.id,
      now: box.now(),
      sealing: signing && inbound && { key: signing, verdicts: inbound.authentication, authserv_id: env.MAIL_DOMAIN },
    });
    const sealed = is_sealed && signing ? { domain: signing.domain, selector: signing.selector } : null;
    return { raw, dkim_selectors: [], sealed };
  };
}

/** @returns whether what is passed on came from the null sender: nobody is told of failures of it either (RFC 5321 §4.5.5). */
export function hasNullSender(box: MailboxBase, message: Message): boolean {
  const { forward } = outboundOf(message);
  if (forward?.form !== "redirected") return false;
  const sender = box.messages.get(forward.email_id).record.inbound?.envelope_from;
  return sender !== undefined && ["", "<>"].includes(sender.trim());
}

/** Who forwarded what to whom, under which seal, once nobody is left to try. Inside `commit`. */
export function recordForwarding(box: MailboxBase, message: Message): void {
  const { forward, author } = outboundOf(message);
  if (!forward) return;
  const { email_id, form, standing, sealed } = forward;
  box.record({
    message,
    actor: SYSTEM,
    action: message.status === "sent" ? "forwarding.sent" : "forwarding.failed",
    detail: {
      ...{ forwards: email_id, form, standing: standing ?? false },
      ...(standing ? {} : { key_id: author.key_id, agent_id: author.agent_id }),
      ...(sealed && { arc_domain: sealed.domain, arc_selector: sealed.selector }),
    },
    personal: {
      from: message.record.from.address,
      recipients: box.messages.deliveries(message.seq).map(({ recipient, state }) => ({ recipient, state })),
      sha256: forward.sha256,
    },
  });
}
