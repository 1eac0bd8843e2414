import { comparableAddress, domainOf } from "../../src/mail/address.ts";
import { bounceAddress } from "../../src/mail/bounce-address.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import { transportFor } from "../../src/mail/transports/choose.ts";
import type { RecipientOutcome, Transport } from "../../src/mail/transports/transport.ts";
import { unsubscribeHeaders } from "../../src/mail/unsubscribe-token.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import type { DeliveryAdmission } from "../tenant-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { hasNullSender, redirecting } from "./forward-bytes.ts";
import { type AttemptIdentity, identityOfAttempt } from "./identity.ts";
import { domainsWithoutMail } from "./intelligence.ts";
import { contentOf, type DeliveryRow, isStanding, type Message, outboundOf } from "./messages.ts";
import { isWaiting } from "./recipient-states.ts";
import { composing, type Made } from "./sent-bytes.ts";

/** One attempt to deliver a message: what was approved is composed, signed and handed to the transport. It changes no state. */

/** Bounds one attempt. */
export const ATTEMPT_LIMIT = 60_000;

/** What became of an attempt. */
export interface Attempt {
  outcomes: RecipientOutcome[];
  /** What the far end took, if it took it for anyone. */
  sent: Sent | null;
  /** Null if it never came to one. */
  transport: Transport | null;
}

export interface Sent extends Made {
  identity: AttemptIdentity;
}

/** @returns everybody a message is for; the place of each is their position. */
export function envelopeRecipients({ to, cc, bcc }: Pick<MessageContent, "to" | "cc" | "bcc">): string[] {
  return [...to, ...cc, ...bcc].map(({ address }) => address);
}

/** Hands a message that is `sending` to its transport, for everybody without a final answer yet. */
export async function handOver(
  box: MailboxBase,
  message: Message,
  { identity_key: identityKey, domain, checkpoint }: DeliveryAdmission,
): Promise<Attempt> {
  const transport = transportFor(box.environment(), { test: outboundOf(message).test });
  const content = contentOf(message, box.messages.bodies(message.seq));
  const rows = box.messages.deliveries(message.seq).filter(isWaiting);
  assertUnchanged(
    message,
    content,
    rows.map(({ recipient }) => recipient),
  );
  const dkimKeys = await signingKeys(box);
  const { preserves_bytes } = transport;
  const identity = identityOfAttempt(box, message, { content, identityKey, dkimKeys, checkpoint, preserves_bytes });
  const make =
    content.redirected === undefined
      ? await composing(box, message, { content, identity, dkimKeys, preserves_bytes })
      : await redirecting(box, message, { transport, dkimKeys });
  const signal = AbortSignal.timeout(ATTEMPT_LIMIT);
  const { open, outcomes } = await withoutClosed(box, message, rows);
  let sent: Sent | null = null;
  for (const { to, headers } of open.length > 0 ? copiesFor(box, message, open) : []) {
    const made = await make(headers);
    const from = transport.keeps_return_path
      ? returnPaths(box, message, to, domain.return_path_domain)
      : content.from.address;
    const answers = await transport.deliver({ from, to: to.map(({ recipient }) => recipient) }, made.raw, signal);
    outcomes.push(...answers);
    if (sent || !answers.some(({ outcome }) => outcome === "accepted")) continue;
    sent = { ...made, identity };
  }
  return { outcomes, sent, transport };
}

/** RFC 7505 §4.2, RFC 3463 §3.2: no server is tried for a domain that says that it takes no mail. */
const NULL_MX = {
  outcome: "refused",
  code: 556,
  response: "556 5.1.10 The domain takes no mail (it has a null MX).",
} as const;

/** @returns whom there is a server for, and the outcome of the others. Only now, once the message is let go, whole names are asked for. */
async function withoutClosed(
  box: MailboxBase,
  message: Message,
  rows: DeliveryRow[],
): Promise<{ open: DeliveryRow[]; outcomes: RecipientOutcome[] }> {
  // What a test key sends never leaves, and neither does a query about it.
  if (outboundOf(message).test) return { open: rows, outcomes: [] };
  const closed = await domainsWithoutMail(
    box,
    rows.map(({ recipient }) => recipient),
  );
  const isClosed = ({ recipient }: DeliveryRow) => closed.has(domainOf(recipient));
  return {
    open: rows.filter((row) => !isClosed(row)),
    outcomes: rows.filter(isClosed).map(({ recipient }) => ({ recipient, ...NULL_MX })),
  };
}

/** RFC 3834 §5: no person wrote it, and no program answers it. */
const BY_ITSELF: [string, string][] = [["Auto-Submitted", "auto-generated"]];

/** What goes out as one: everybody, or of promotional mail each recipient alone, with their own link to unsubscribe. */
function copiesFor(
  box: MailboxBase,
  message: Message,
  rows: DeliveryRow[],
): { to: DeliveryRow[]; headers: [string, string][] }[] {
  if (outboundOf(message).promotion === undefined) return [{ to: rows, headers: isStanding(message) ? BY_ITSELF : [] }];
  const env = box.environment();
  return rows.map((row) => ({
    to: [row],
    headers: unsubscribeHeaders(env.PUBLIC_URL, env, { email_id: message.id, position: row.position }),
  }));
}

/** Each recipient's own return path, by which what comes back is known to be about them. */
function returnPaths(
  box: MailboxBase,
  message: Message,
  rows: DeliveryRow[],
  domain: string,
): (recipient: string) => string {
  if (hasNullSender(box, message)) return () => "";
  const positions = new Map(rows.map(({ recipient, position }) => [recipient, position]));
  return (recipient) => {
    const position = positions.get(recipient);
    if (position === undefined) throw new Error(`${message.id} has no such recipient`);
    return bounceAddress(box.environment(), { email_id: message.id, position }, domain, box.now());
  };
}

/** What was approved is what leaves, to nobody else. @throws Error otherwise, and nothing leaves. */
function assertUnchanged(message: Message, content: MessageContent, recipients: string[]): void {
  if (contentHash(content) !== outboundOf(message).content_hash) {
    throw new Error("the content is not what was hashed at submission");
  }
  const known = new Set(envelopeRecipients(content).map(comparableAddress));
  if (!recipients.every((recipient) => known.has(comparableAddress(recipient)))) {
    throw new Error("the envelope names someone the content does not");
  }
}

/** Of the mailbox's own domain, whoever wrote what it passes on. */
async function signingKeys(box: MailboxBase) {
  const { tenant_id, address } = box.settings();
  return signingKeysOf(box.database(), box.environment(), domainOf(address), tenant_id);
}
