import { createHash } from "node:crypto";
import { type BounceKind, bounceKind, statusIn } from "../../src/mail/bounce-kind.ts";
import { PROVIDER_FORM } from "../../src/mail/cloudflare-email-events.ts";
import type { RecipientStatus } from "../../src/mail/delivery-report.ts";
import { statusFor } from "../../src/mail/delivery-status-notification.ts";
import type { EventType } from "../../src/webhooks/event.ts";
import { SYSTEM } from "../ledger.ts";
import type { ReturnedMail, ReturnedOutcome } from "../mailbox-rpc.ts";
import type { RecipientTrouble } from "../tenant-rpc.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { noteTrouble } from "./fall-back.ts";
import { type DeliveryRow, isStanding, type Message, outboundOf } from "./messages.ts";
import { nextState, type Reported, reportedEvent } from "./recipient-states.ts";

/**
 * What came back about a message: only ever about the one recipient whose return path it came to. Whoever knows that address, their
 * server and they themselves, can at most speak for themselves.
 */

/** Of one recipient so many reports are kept; a server that keeps trying sends some few. */
const MAX_REPORTS = 20;
/** The timer that tells the tenant; its ref is a `Trouble` as JSON. */
export const TROUBLE = "trouble";

/** A trouble as the mailbox remembers it until the tenant knows: the address stays with the recipient's row. */
interface Trouble {
  email_id: string;
  position: number;
  what: RecipientTrouble["what"];
}

/** Which entry is made of it. */
type Meant =
  | `delivery.${"delivered" | "returned" | "delayed" | "reported" | "feedback"}`
  | `message.${"complained" | "unsubscribed"}`;

/** What a report means, read for its recipient. */
interface Meaning {
  /** Null: nothing changes by it. */
  reported: Reported | null;
  trouble: Trouble["what"] | null;
  action: Meant;
  /** Of a failure. */
  kind: BounceKind | null;
  status: RecipientStatus | null;
}

const NOTED: Omit<Meaning, "action" | "status"> = { reported: null, trouble: null, kind: null };

const FORMS_BELIEVED: ReadonlySet<string> = new Set(["rfc3464", PROVIDER_FORM]);

const FAILURE_TROUBLE: Readonly<Record<BounceKind, Trouble["what"] | null>> = {
  hard: "hard_bounce",
  soft: "soft_bounce",
  // Whoever does not want our mail says nothing of the address.
  blocked: null,
};

function meaningOf({ report }: ReturnedMail, { recipient }: DeliveryRow): Meaning {
  if (report.kind === "feedback") {
    if (report.means === "nothing") return { ...NOTED, action: "delivery.feedback", status: null };
    const isComplaint = report.means === "complaint";
    return {
      reported: isComplaint ? "complaint" : null,
      trouble: isComplaint ? "complaint" : "unsubscribed",
      action: isComplaint ? "message.complained" : "message.unsubscribed",
      kind: null,
      status: null,
    };
  }
  const status = statusFor(report.report, recipient);
  if (status?.action === "failed") {
    const kind = bounceKind(status);
    return { reported: "failed", trouble: FAILURE_TROUBLE[kind], action: "delivery.returned", kind, status };
  }
  // Only a notification of the standard form, or the provider, says that it arrived.
  const delivered = status?.action === "delivered" && FORMS_BELIEVED.has(report.report.form);
  return delivered
    ? { ...NOTED, reported: "delivered", action: "delivery.delivered", status }
    : { ...NOTED, action: status?.action === "delayed" ? "delivery.delayed" : "delivery.reported", status };
}

/** The timer that deletes what lies in the store under its ref, as that of files which no draft refers to any more. */
const DISCARD = "discard";
/** Receiving takes minutes at most: what no report refers to by then is left over. */
const LEFT_OVER_AFTER = 3600_000;

/** Answers MailboxRpc's `expectReturned`. */
export function expectReturned(box: MailboxBase, rawKey: string): void {
  box.commit(() => box.schedule(DISCARD, rawKey, box.now() + LEFT_OVER_AFTER));
}

/** By which the same report is known when it comes again. */
function digestOf({ report, rfc_message_id }: ReturnedMail, meaning: Meaning): string {
  const said = report.kind === "feedback" ? report.type : meaning.status;
  return createHash("sha256")
    .update(JSON.stringify([report.kind, meaning.action, said, rfc_message_id]))
    .digest("base64url");
}

/**
 * Takes a report. `unknown`: there is no such message or recipient, and nothing is changed.
 * @throws Error while the attempt that it is about is still under way: a report may be faster than the commit of its outcome, and would
 *   be about nobody now. Whoever sent it tries again.
 */
export function takeReturned(box: MailboxBase, returned: ReturnedMail): ReturnedOutcome {
  const message = box.messages.find(returned.email_id);
  const row = message?.direction === "outbound" ? rowAt(box, message, returned.position) : null;
  // What a test key sends never leaves, so nothing of it comes back.
  if (!message || !row || outboundOf(message).test) return "unknown";
  if (message.status === "sending" && row.state === "queued")
    throw new Error(`a report about ${message.id} came before the outcome of its delivery`);
  const meaning = meaningOf(returned, row);
  const digest = digestOf(returned, meaning);
  const known = reportsOf(box, message, row);
  // Our own first attempt, whose answer was lost.
  if (known.some(({ raw_key }) => raw_key !== null && raw_key === returned.raw_key)) return "recorded";
  if (known.length >= MAX_REPORTS || known.some((each) => each.digest === digest)) return "repeated";
  box.commit(() => record(box, message, row, { returned, meaning, digest }));
  return "recorded";
}

function rowAt(box: MailboxBase, message: Message, position: number): DeliveryRow | null {
  return box.messages.deliveries(message.seq).find((row) => row.position === position) ?? null;
}

interface KnownReport extends Record<string, SqlStorageValue> {
  digest: string;
  raw_key: string | null;
}

function reportsOf(box: MailboxBase, { seq }: Message, { position }: DeliveryRow): KnownReport[] {
  return box
    .storage()
    .exec<KnownReport>("SELECT digest, raw_key FROM returned WHERE seq = ? AND position = ?", seq, position)
    .toArray();
}

interface Taken {
  returned: ReturnedMail;
  meaning: Meaning;
  digest: string;
}

/** Inside `commit`. */
function record(box: MailboxBase, message: Message, row: DeliveryRow, { returned, meaning, digest }: Taken): void {
  const { reported, status, kind, action } = meaning;
  if (returned.raw_key !== null) box.unschedule(DISCARD, returned.raw_key);
  box
    .storage()
    .exec(
      "INSERT INTO returned VALUES (?, ?, ?, ?, ?)",
      message.seq,
      row.position,
      digest,
      box.time(),
      returned.raw_key,
    );
  const state = reported === null ? null : nextState(row.state, reported);
  const diagnostic = status?.diagnostic ?? null;
  if (state !== null) {
    const said = reported === "failed" && diagnostic ? { code: status?.code ?? null, response: diagnostic } : {};
    box.messages.saveDelivery(message.seq, { ...row, ...said, state });
    if (state === "returned") {
      message.record.bounced_at = box.time();
      message.record.bounce_type = kind;
    }
  }
  followReports(box, message);
  const form = returned.report.kind === "feedback" ? `arf ${returned.report.type}` : returned.report.report.form;
  box.record({
    message,
    actor: { ...SYSTEM, via: "email" },
    action,
    detail: {
      ...{ position: row.position, form, changed: state !== null, raw_key: returned.raw_key },
      ...(kind && { bounce_type: kind }),
      ...(status && { status: status.status, code: status.code }),
    },
    personal: { recipient: row.recipient, diagnostic },
  });
  tell(box, message, row, meaning, state);
  // An unsubscription leaves the recipient as they are; of the rest only what changed something is anyone's trouble.
  if (meaning.trouble !== null && (state !== null || meaning.trouble === "unsubscribed")) {
    rememberTrouble(box, { email_id: message.id, position: row.position, what: meaning.trouble });
  }
  box.messages.save(message);
  if (state === null || isStanding(message)) return;
  // Last, since it may tighten the mailbox and so take back other messages. A full mailbox is not the agent's doing.
  if (reported === "complaint") noteTrouble(box, "complained", row.recipient);
  else if (reported === "failed" && kind !== "soft") noteTrouble(box, "bounced", row.recipient);
}

const EVENTS: Readonly<Partial<Record<DeliveryRow["state"], EventType>>> = {
  delivered: "message.delivered",
  returned: "message.bounced",
  complained: "message.complained",
};

function tell(
  box: MailboxBase,
  message: Message,
  { position }: DeliveryRow,
  { kind, status, trouble }: Meaning,
  state: DeliveryRow["state"] | null,
): void {
  const type = state === null ? (trouble === "unsubscribed" ? "message.unsubscribed" : undefined) : EVENTS[state];
  if (type === undefined) return;
  box.emit(type, message, {
    recipient_position: position,
    ...(state === "returned" && { code: status?.code ?? null, bounce_type: kind }),
  });
}

/** Takes a sent message to where its recipients' reports say. Inside `commit`; the caller saves it. */
export function followReports(box: MailboxBase, message: Message): void {
  const event = reportedEvent(box.messages.deliveries(message.seq));
  if (event === null || !box.advance(message, event)) return;
  if (event === "delivered") message.record.delivered_at = box.time();
}

/** What a server refused at once says of writing to its recipient again. Inside `commit`. @returns what kind of failure it is. */
export function noteRefusal(box: MailboxBase, message: Message, row: DeliveryRow): BounceKind {
  const diagnostic = row.response ?? "";
  const kind = bounceKind({ status: statusIn(diagnostic), code: row.code, diagnostic });
  const what = FAILURE_TROUBLE[kind];
  if (what !== null && !outboundOf(message).test) {
    rememberTrouble(box, { email_id: message.id, position: row.position, what });
  }
  return kind;
}

/** Inside `commit`. @param due when the timer tells the tenant. */
export function rememberTrouble(box: MailboxBase, trouble: Trouble, due = box.now()): void {
  box.schedule(TROUBLE, JSON.stringify(trouble), due);
}

/** Serves a `trouble` timer: the tenant is told, and keeps the suppression list. Telling it twice is harmless. */
export async function tellTenant(box: MailboxBase, { ref }: Pick<Timer, "ref">): Promise<void> {
  const { email_id, position, what } = JSON.parse(ref) as Trouble;
  const message = box.messages.get(email_id);
  const row = rowAt(box, message, position);
  if (!row) throw new Error(`${email_id} has no recipient ${position}`);
  const tenant = box.environment().TENANT.getByName(box.settings().tenant_id);
  await tenant.noteTrouble({ address: row.recipient, what, email_id });
  box.commit(() => box.unschedule(TROUBLE, ref));
}
