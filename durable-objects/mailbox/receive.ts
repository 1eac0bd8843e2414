import { newId } from "../../src/ids.ts";
import { comparableAddress, domainOf } from "../../src/mail/address.ts";
import { type DmarcOutcome, dmarcOutcome } from "../../src/mail/dmarc-action.ts";
import type { MailAddress, ReceivedMessage } from "../../src/mail/message.ts";
import type { ReceivedIdentity } from "../../src/mail/received-identity.ts";
import { chooseThread } from "../../src/mail/threading.ts";
import { contentHash } from "../../src/oversight/content-hash.ts";
import { POLICY } from "../../src/oversight/policy.ts";
import type { Status } from "../../src/oversight/statuses.ts";
import { nextInboundStatus } from "../../src/oversight/transitions.ts";
import { SYSTEM } from "../ledger.ts";
import type { MailboxBase } from "./base.ts";
import { messageItem } from "./held-item.ts";
import type { MessageRecord } from "./message-record.ts";
import { everyAddress, type Message } from "./messages.ts";
import { newHold, watchPending } from "./pending.ts";

/** How far back a thread's participants are looked for. */
const PARTICIPANTS_FROM = 50;

const UNTOLD: readonly string[] = ["fail", "permerror", "temperror"];

const NOBODY: MailAddress = { name: null, address: "" };

/** What became of an arrival. */
export interface Received {
  email_id: string;
  duplicate: boolean;
  status: Status;
  /** It was not stored, and the sending server is told why: the text of an SMTP answer. */
  refused?: string;
}

/** RFC 7372 §3.4 has no code for DMARC; 5.7.1 is what mail servers answer. */
const REFUSED = "550 5.7.1 The message fails DMARC, and its From domain asks for such mail to be rejected.";

/** Stores an inbound message, in one transaction; a redelivery (same bytes, same envelope) is answered and not stored again. */
export function receive(box: MailboxBase, arrival: ReceivedMessage): Received | null {
  if (!box.settings().is_active) return null;
  const known = box.messages.findByFingerprint(arrival.fingerprint);
  if (known) return { email_id: known.id, duplicate: true, status: known.status };
  const dmarc = dmarcOutcome(arrival.authentication, box.settings());
  return box.commit(() => (dmarc.action === "reject" ? refuse(box, arrival, dmarc) : store(box, arrival, dmarc)));
}

/** Of what is not stored, the entry alone remains. */
function refuse(box: MailboxBase, arrival: ReceivedMessage, { reason }: DmarcOutcome): Received {
  const status = nextInboundStatus(null, "reject");
  if (status === null) throw new Error("no transition refuses arriving mail");
  box.record({
    actor: { ...SYSTEM, via: "email" },
    action: "message.refused",
    detail: { because: "dmarc", size: arrival.raw_size, ...resultsOf(arrival) },
    personal: { ...personsOf(arrival), reason },
  });
  return { email_id: arrival.id, duplicate: false, status, refused: REFUSED };
}

function resultsOf({ authentication }: ReceivedMessage) {
  const { dkim_result, spf_result, dmarc_result, arc_result } = authentication;
  return { dkim_result, spf_result, dmarc_result, arc_result };
}

function personsOf(arrival: ReceivedMessage) {
  const { envelope_from, envelope_to, subject, rfc_message_id, authentication } = arrival;
  return {
    ...{ envelope_from, envelope_to, from: arrival.from.map(({ address }) => address), subject, rfc_message_id },
    dkim_domain: authentication.dkim_domain,
  };
}

/** What is set aside waits in nobody's queue: whoever forges mail would fill it. */
const ACTIONS = {
  aside: "message.set_aside",
  held: "message.inbound_held",
  free: "message.received",
} as const;

function store(box: MailboxBase, arrival: ReceivedMessage, dmarc: DmarcOutcome): Received {
  const aside = dmarc.action === "quarantine";
  const held = !aside && POLICY.inbound[box.settings().oversight_mode] === "hold";
  const status = nextInboundStatus(null, aside ? "quarantine" : "arrive", held);
  if (status === null) throw new Error("no transition places arriving mail");
  const thread = threadOf(box, arrival);
  const message = box.messages.insert(
    {
      id: arrival.id,
      thread_id: thread ?? newId("thr", box.now(), box.routing()),
      direction: "inbound",
      status,
      rfc_message_id: arrival.rfc_message_id,
      fingerprint: arrival.fingerprint,
      created_at: box.time(),
      record: recordOf(box, arrival, held, dmarc),
    },
    {
      markdown: arrival.markdown,
      quoted: arrival.quoted,
      text: arrival.text,
      html: arrival.html,
      bodies_key: arrival.bodies_key,
      source: null,
    },
  );
  box.record({
    message,
    actor: { ...SYSTEM, via: "email" },
    action: ACTIONS[aside ? "aside" : held ? "held" : "free"],
    detail: {
      status,
      thread_id: message.thread_id,
      size: arrival.raw_size,
      attachments: arrival.attachments.length,
      ...resultsOf(arrival),
      flags: message.record.inbound?.flags ?? [],
    },
    personal: {
      ...personsOf(arrival),
      ...(dmarc.overridden_by !== null && { dmarc_overridden_by: dmarc.overridden_by }),
    },
  });
  recordIdentity(box, message, arrival.identity);
  // Somebody there answers, which speaks for their domain; only what DMARC proves to be from there.
  if (thread !== null && arrival.authentication.dmarc_result === "pass") {
    box.history.addDomainEvent(domainOf(message.record.from.address), "replies");
  }
  if (held) {
    watchPending(box, messageItem(box, message));
  } else if (!aside) box.announce(message);
  return { email_id: message.id, duplicate: false, status };
}

/** The flag of a message whose claim came before, in another message: a copy, or somebody pasted it. */
const NONCE_SEEN = "identity_nonce_seen";

/** What its identity headers came to is an entry of its own. Inside `commit`. */
function recordIdentity(box: MailboxBase, message: Message, identity: ReceivedIdentity | null): void {
  if (!identity) return;
  const { verified, reasons, forms, source, agent, nonce, headers } = identity;
  const isSeen = nonce !== null && !box.rememberNonce(nonce, message.seq);
  if (isSeen && message.record.inbound) {
    message.record.inbound.flags = [...message.record.inbound.flags, NONCE_SEEN];
    box.messages.save(message);
  }
  box.record({
    message,
    actor: { ...SYSTEM, via: "email" },
    action: verified ? "identity.verified" : "identity.not_verified",
    detail: {
      reasons,
      forms: forms.map(({ form, valid }) => `${form}:${valid ? "valid" : "invalid"}`),
      source,
      nonce_seen: isSeen,
    },
    personal: { agent, kids: forms.map(({ kid }) => kid), headers },
  });
}

/** References and In-Reply-To decide, but only for someone who took part in that thread. */
function threadOf(box: MailboxBase, arrival: ReceivedMessage): string | null {
  const found = box.messages.findByMessageIds(
    [...new Set([...arrival.in_reply_to, ...arrival.references])].slice(0, 50),
  );
  const participants = new Map(
    [...new Set(found.map(({ thread_id }) => thread_id))].map((thread) => [
      thread,
      box.messages
        .ofThread(thread, PARTICIPANTS_FROM)
        .filter(({ erased_at }) => erased_at === null)
        .flatMap(everyAddress)
        .map(({ address }) => comparableAddress(address)),
    ]),
  );
  // A From that is forged, or that nobody can tell, is nobody's.
  const { dkim_result, dmarc_result } = arrival.authentication;
  const untold = UNTOLD.includes(dmarc_result) || dkim_result === "fail" || arrival.from.length !== 1;
  return chooseThread(
    { ...arrival, from: untold ? [] : arrival.from },
    found.map(({ rfc_message_id, thread_id }) => ({
      rfc_message_id: rfc_message_id ?? "",
      thread_id,
      participants: participants.get(thread_id) ?? [],
    })),
  );
}

const HELD_ARRIVAL = "In this mailbox all mail, in and out, waits for a person.";

function recordOf(
  box: MailboxBase,
  arrival: ReceivedMessage,
  held: boolean,
  { action, flag, reason, overridden_by }: DmarcOutcome,
): MessageRecord {
  const mode = box.settings().oversight_mode;
  const [from = NOBODY, ...other_from] = arrival.from;
  const shown = {
    from,
    reply_to: arrival.reply_to,
    to: arrival.to,
    cc: arrival.cc,
    bcc: [],
    subject: arrival.subject,
    in_reply_to: arrival.in_reply_to[0] ?? null,
    references: arrival.references,
    attachments: arrival.attachments,
  };
  return {
    ...shown,
    mode,
    other_from,
    tags: {},
    metadata: {},
    hold: held ? newHold(box, "inbound", { rule: `mode ${mode}`, because: HELD_ARRIVAL, reasons: [] }) : null,
    decision: null,
    raw_key: arrival.raw_key,
    received_at: box.time(),
    sent_at: null,
    delivered_at: null,
    bounced_at: null,
    bounce_type: null,
    end_reason: null,
    outbound: null,
    inbound: {
      envelope_from: arrival.envelope_from,
      headers: arrival.headers,
      authentication: arrival.authentication,
      flags: flag === null ? arrival.flags : [...arrival.flags, flag],
      ...(action === "quarantine" && { set_aside: reason ?? "" }),
      ...(overridden_by !== null && { dmarc_overridden_by: overridden_by }),
      content_hash: contentHash({ ...shown, text: arrival.text, html: arrival.html }),
      identity: arrival.identity,
    },
  };
}
