import { newId } from "../../src/ids.ts";
import { NO_RISK } from "../../src/intelligence/risk.ts";
import { parseAddresses } from "../../src/mail/address.ts";
import { forwardTargets } from "../../src/mail/forward-rules.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import type { Verdict } from "../../src/oversight/policy.ts";
import { SYSTEM } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { storedBodies } from "./content.ts";
import { forwardedContent, forwardRecord } from "./forward-content.ts";
import { type Original, readOriginal, type Skipped, skippedFor, whyNotByItself } from "./forward-original.ts";
import type { Message } from "./messages.ts";

/**
 * Arriving mail that a person wants passed on. It is their standing instruction, so that neither mode nor rules judge it, nobody is
 * asked, and no agent takes it back; for the rest it is delivered like any other mail.
 */

/** The timer that passes a message on; its ref is the arrived message's id. */
export const FORWARD = "forward";

/** Its author, where others have a key. */
const STANDING = "forward_inbound";

function targetsOf(box: MailboxBase, { record }: Message): string[] {
  return forwardTargets(box.settings(), record);
}

/** A message is there for good: if someone gets it, it is passed on soon. Inside `commit`. */
export function forwardLater(box: MailboxBase, message: Message): void {
  if (targetsOf(box, message).length > 0) box.schedule(FORWARD, message.id, box.now());
}

/** Serves a `forward` timer. Whatever an agent has done with the message since, it is passed on. */
export async function forwardArrival(box: MailboxBase, { ref }: Pick<Timer, "ref">): Promise<void> {
  const message = box.messages.get(ref);
  const skipped = whyNotByItself(box, message);
  const original = skipped ? null : await readOriginal(box, message, { comment: null });
  box.commit(() => {
    box.unschedule(FORWARD, message.id);
    const to = targetsOf(box, message);
    // The settings may have changed since it was there, and it may have been erased while it was read.
    if (to.length === 0 || box.messages.get(ref).erased_at !== null) return;
    if (original?.ok) passOn(box, message, original.value, to);
    else skip(box, message, original ? skippedFor(original.refusal) : (skipped ?? "no_bytes"));
  });
}

/** Inside `commit`. */
function skip(box: MailboxBase, message: Message, reason: Skipped): void {
  box.record({ message, actor: SYSTEM, action: "forwarding.skipped", detail: { reason } });
}

/** Inside `commit`. */
function passOn(box: MailboxBase, arrived: Message, original: Original, to: string[]): void {
  const mailbox = box.settings();
  const recipients = { to: parseAddresses(to, "forward_inbound"), cc: [], bcc: [] };
  const words = { text: `This message came to ${mailbox.address}, which passes it on to you.`, html: null };
  // Where it is attached, no agent wrote what stands before it.
  const frame = { ...mailbox, ai_disclosure: false, signature_block: null };
  const content = forwardedContent(box, frame, { recipients, comment: words, original });
  const { text: _text, html: _html, ...shown } = content;
  const id = newId("em", box.now(), box.routing());
  const message = box.messages.insert(
    {
      id,
      thread_id: arrived.thread_id,
      direction: "outbound",
      status: "queued",
      rfc_message_id: content.redirected ? arrived.rfc_message_id : messageIdOf(id, mailbox.address),
      fingerprint: null,
      created_at: box.time(),
      record: {
        ...shown,
        mode: mailbox.oversight_mode,
        ...{ other_from: [], tags: {}, metadata: {}, hold: null, decision: null, raw_key: null, received_at: null },
        ...{ sent_at: null, delivered_at: null, bounced_at: null, bounce_type: null, end_reason: null, inbound: null },
        outbound: {
          author: { key_id: STANDING, created_by: null, agent_id: null },
          ...{
            model_id: null,
            model_provider: null,
            ai_disclosure: false,
            requested_mode: null,
            test: false,
            copy: false,
          },
          content_hash: contentHash(content),
          verdict: allowed(box),
          ...{ send_at: null, gate_timing: "gate_first", template: null, revisions: 0 },
          let_go_at: box.time(),
          ...{ first_status: "queued", attempts: 0, first_attempt_at: null },
          forward: { ...forwardRecord(original), standing: true },
        },
      },
    },
    storedBodies(content, { text: words.text, html: null, markdown: null }),
  );
  if (original.form === "attached") box.messages.saveOriginal(message.seq, original);
  box.record({
    message,
    actor: SYSTEM,
    action: "forwarding.queued",
    detail: { forwards: arrived.id, form: original.form, recipients: to.length, standing: true },
    personal: { to, subject: content.subject, forwarded_sha256: original.sha256, content_hash: contentHash(content) },
  });
  box.schedule("deliver", message.id, box.now());
}

function messageIdOf(id: string, address: string): string {
  return `<${id}@${address.slice(address.lastIndexOf("@") + 1)}>`;
}

function allowed(box: MailboxBase): Verdict {
  return {
    verdict: "allow",
    copy: false,
    mode: box.settings().oversight_mode,
    rule: STANDING,
    because: "A person wants this mailbox's mail passed on.",
    ...{ reasons: [], approval: null, risk: NO_RISK },
  };
}
