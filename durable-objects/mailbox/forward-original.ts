import { createHash } from "node:crypto";
import { accepted, type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { isAutomatic } from "../../src/mail/automatic-mail.ts";
import {
  attachedType,
  type ForwardForm,
  isLooping,
  type Unpassable,
  whyUnpassable,
  wireForm,
} from "../../src/mail/forwarded-message.ts";
import { encodedSize, whyMessageTooLarge } from "../../src/mail/limits.ts";
import { reduceHtml } from "../../src/mail/safe-html.ts";
import { preservesBytes } from "../../src/mail/transports/choose.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { POLICY } from "../../src/oversight/policy.ts";
import { type MessageBodies, readBodies } from "../../src/store/mail-store.ts";
import type { Submission } from "../mailbox-rpc.ts";
import { isWithheld, type MailboxBase, notFound, wrongState } from "./base.ts";
import { joined } from "./forward-content.ts";
import type { Message } from "./messages.ts";
import { isReleased } from "./permits.ts";

/** The message that someone wants passed on: whether it may be, and what of it a person has to see before it is. */

/** What is read of an original before its forwarding is judged, since a transaction cannot wait. */
export interface Original {
  email_id: string;
  form: ForwardForm;
  /** Of the attached form. */
  content_type: string;
  raw_key: string;
  /** Octets. */
  size: number;
  /** Lower-case hex SHA-256 of the bytes. */
  sha256: string;
  text: string;
  /** Reduced to the safe subset. */
  html: string | null;
}

/** A person decides on all of it, so all of it has a place in the object: a row holds 2 MB. */
const MAX_READ_OCTETS = 1024 * 1024;

const UNPASSABLE: Readonly<Record<Unpassable, string>> = {
  link_removed: "This message came with a link that only the people who decide may have; it is not passed on.",
  not_read_whole: "This message could not be read whole, so nobody could see what would leave; it is not passed on.",
  loop: "This message went through more than 50 servers, as mail does that goes in a circle; it is not passed on.",
  promotional: "Promotional mail has its recipient's own link to unsubscribe in it; it is not passed on.",
};

/** Why a message is not passed on by itself. The names stand in the audit log. */
export type Skipped = Unpassable | "automatic" | "no_bytes" | "too_large";

/** @returns why what nobody could read was not passed on by itself. */
export function skippedFor({ code, detail }: Refusal): Skipped {
  if (code === "too_large") return "too_large";
  return (detail?.reason as Unpassable | undefined) ?? "no_bytes";
}

/** @returns why an arrived message is not passed on by itself, whatever a person set; null if it may be, as far as it is known unread. */
export function whyNotByItself(box: MailboxBase, { record: { inbound } }: Message): Skipped | null {
  if (!inbound) throw new Error("only what arrived is passed on by itself");
  if (isLooping(inbound.headers, box.settings().address)) return "loop";
  return isAutomatic(inbound.flags) ? "automatic" : null;
}

/**
 * Finds and reads what an agent wants to forward.
 * @returns refused: `not_found` for what it may not see, and for what is set aside as spam; `wrong_state` for what cannot be passed
 *   on; `too_large`.
 */
export async function originalFor(
  box: MailboxBase,
  caller: Caller,
  { forward, text, html }: Submission,
): Promise<Outcome<Original | null>> {
  if (!forward) return accepted(null);
  const found = box.visibleMessage(caller, forward.email_id);
  if (!found.ok) return found;
  const message = found.value;
  // A key that sees more than an agent forwards no more than an agent does.
  if (isWithheld(message) || message.status === "spam_quarantined") return notFound();
  if (!isReadable(box, caller, message)) return UNREAD;
  const refusal = whyNotForwarded(message);
  if (refusal) return { ok: false, refusal };
  return readOriginal(box, message, { comment: { text, html } });
}

const UNREAD = refused(
  "read_needs_approval",
  "In this mailbox a person decides what an agent reads, and what it forwards of it.",
  {
    hint: "Mail that a person released, and what the key itself sent, can be forwarded.",
  },
);

/** Whoever forwards sees what waits of it: where a person is asked about every read, that would be a way around them. */
function isReadable(box: MailboxBase, caller: Caller, message: Message): boolean {
  const isOwn = message.record.outbound?.author.key_id === caller.key_id;
  return POLICY.read[box.settings().oversight_mode] !== "hold" || isReleased(message) || isOwn;
}

function whyNotForwarded(message: Message): Refusal | null {
  const { outbound } = message.record;
  const no = (sentence: string) => {
    const outcome = wrongState(message, sentence);
    return outcome.ok ? null : outcome.refusal;
  };
  if (message.status === "deleted") return no("This message was deleted.");
  if (message.erased_at !== null) return no("This message was erased.");
  if (message.content_expired_at !== null) return no("What this message said is kept no longer.");
  if (outbound?.test) return no("This message was sent with a test key, and so has never been mail.");
  return message.record.raw_key === null ? no("This message has not left yet, so there is nothing to pass on.") : null;
}

/** Refused with the reason's name beside its sentence. */
function whyNobodyForwards({ status, record: { inbound, outbound } }: Message): Outcome<never> | null {
  const reason = whyUnpassable({ flags: inbound?.flags ?? [], is_promotional: outbound?.promotion !== undefined });
  return reason && refused("wrong_state", UNPASSABLE[reason], { detail: { status, reason } });
}

/** What a message says, and what is attached to it that somebody forwarded before: it is read out of that wrapping too. */
async function wordsOf(box: MailboxBase, message: Message): Promise<Pick<MessageBodies, "text" | "html">> {
  const stored = box.messages.bodies(message.seq);
  const whole = stored.bodies_key === null ? stored : await readBodies(box.environment().STORE, stored.bodies_key);
  const reduced = { text: whole.text, html: whole.html === null ? null : reduceHtml(whole.html) };
  const isWrapped = message.record.outbound?.forward?.form === "attached";
  return isWrapped ? joined(reduced, box.messages.original(message.seq)) : reduced;
}

/** A message without one From that everybody reads alike belongs to nobody, and no seal can be made over it. */
function hasOneFrom({ record }: Message): boolean {
  return record.from.address !== "" && record.other_from.length === 0;
}

/**
 * Reads the bytes of a message and what a person has to see of them.
 * @param comment what is written to it; null where nobody writes anything. With one, or where a transport does not leave the bytes
 *   alone, it is attached.
 * @returns refused: `too_large`; `wrong_state` if the bytes are not in the store, or with a `reason` if nobody may pass it on.
 */
export async function readOriginal(
  box: MailboxBase,
  message: Message,
  { comment }: { comment: { text: string; html: string | null } | null },
): Promise<Outcome<Original>> {
  const env = box.environment();
  const { raw_key } = message.record;
  const gone = wrongState(message, "The bytes of this message are not in the store.");
  const stored = raw_key === null ? null : await env.STORE.head(raw_key);
  if (!stored || raw_key === null) return gone;
  // Whatever form it takes, it is no smaller than its bytes.
  const tooLarge = whyMessageTooLarge(env, stored.size);
  if (tooLarge) return refused("too_large", tooLarge);
  const refusal = whyNobodyForwards(message);
  if (refusal) return refusal;
  const object = await env.STORE.get(raw_key);
  if (!object) return gone;
  const raw = new Uint8Array(await object.arrayBuffer());
  const written = `${comment?.text ?? ""}${comment?.html ?? ""}`;
  const wire = wireForm(raw);
  const keepsBytes = preservesBytes(env, { test: false });
  const redirects = written === "" && keepsBytes && wire.plain_lines && hasOneFrom(message);
  const form: ForwardForm = redirects ? "redirected" : "attached";
  const content_type = attachedType(wire, keepsBytes);
  const isEncoded = form === "attached" && content_type !== "message/rfc822";
  const octets = Buffer.byteLength(written) + (isEncoded ? encodedSize(raw.length) : raw.length);
  const wholeTooLarge = whyMessageTooLarge(env, octets);
  if (wholeTooLarge) return refused("too_large", wholeTooLarge);
  const { text, html } = await wordsOf(box, message);
  if (Buffer.byteLength(text) + Buffer.byteLength(html ?? "") > MAX_READ_OCTETS) {
    return refused(
      "too_large",
      "The text of this message is larger than 1 MiB, more than is shown to whoever decides.",
    );
  }
  return accepted({
    ...{ email_id: message.id, form, content_type, raw_key, size: raw.length },
    sha256: createHash("sha256").update(raw).digest("hex"),
    ...{ text, html },
  });
}
