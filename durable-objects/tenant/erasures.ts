import type { Actor } from "../../src/audit/entry.ts";
import { accepted, type Outcome, type Refusal, refused } from "../../src/errors.ts";
import { newId, routingNumberOf } from "../../src/ids.ts";
import { mentionOf } from "../../src/mail/mentions.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { mailboxesOf } from "../../src/store/erasure.ts";
import {
  addCounts,
  type ErasedCounts,
  type ErasureSteps,
  type GoneStretch,
  joinStretches,
  NOTHING_ERASED,
  walkOn,
} from "../contact-erasure.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { ContactSurvey, MailboxRpc } from "../mailbox-rpc.ts";
import type { ErasureAnswer, ErasureView } from "../tenant-rpc.ts";
import type { Timer } from "../timers.ts";
import type { TenantBase } from "./base.ts";
import { inServiceHere, ownPhases } from "./erase-rows.ts";
import { settingsOf } from "./people.ts";

/**
 * Erasing a person from the whole account. It goes in rounds: in each, every mailbox and the account itself look at everything they have
 * once. The round that finds nothing is the last one, so that mail which came meanwhile is erased too.
 */

/** The timer that begins a round; its ref is the erasure. */
export const ERASE_ROUND = "erase_round";
/** The timer of one part of a round; its ref is the erasure and the part. */
export const ERASE_PART = "erase_part";

/** How long it rests before it looks again at what waits: a message on its way, or a legal hold. */
const REST = 10 * 60_000;
/** Whoever writes all the time makes each round find something: later ones have a rest between them. */
const ROUNDS_AT_ONCE = 5;
/** So many mailboxes are asked at once. */
const ASKED_AT_ONCE = 20;

interface Job extends Record<string, SqlStorageValue> {
  id: string;
  /** Null once it is finished. */
  address: string | null;
  actor: string;
  started_at: string;
  finished_at: string | null;
  round: number;
  counts: string;
}

interface Part extends Record<string, SqlStorageValue> {
  part: string;
  round: number;
  position: string | null;
  done: number;
  found: number;
  /** What it waits for, as JSON. */
  waits: string;
  /** Stretches of its log that are gone, as JSON. */
  gone: string;
  blocked: string | null;
  counts: string;
}

function jobBy(box: TenantBase, column: "id" | "address", value: string): Job | null {
  return box.rows.exec<Job>(`SELECT * FROM erasures WHERE ${column} = ?`, value).toArray()[0] ?? null;
}

function partsOf(box: TenantBase, { id }: Job): Part[] {
  return box.rows.exec<Part>("SELECT * FROM erasure_parts WHERE erasure = ? ORDER BY part", id).toArray();
}

function whyNotReached({ mailbox_ids }: Caller): Refusal | null {
  if (mailbox_ids === null) return null;
  return {
    code: "mailbox_not_allowed",
    error: "This key is bound to its mailboxes, and a person is erased everywhere.",
  };
}

/** Answers TenantRpc's `eraseContact`. */
export async function eraseContact(
  box: TenantBase,
  caller: Caller,
  address: string,
  approvedWords: string | null,
): Promise<Outcome<ErasureAnswer>> {
  if (!box.isMine(caller)) return notFound();
  const refusal = whyNotReached(caller);
  if (refusal) return { ok: false, refusal };
  const running = () => jobBy(box, "address", address);
  const before = running();
  if (before) return accepted({ erasure: readBy(box, caller, before) });
  const surveyed = await survey(box, address);
  if (!surveyed.ok) return surveyed;
  const { told, mailboxes } = surveyed.value;
  const change = wordsFor(address);
  if (change !== approvedWords) return accepted({ needs_approval: { change, told } });
  // Another call may have begun it while the mailboxes were asked.
  const job = running() ?? box.commit(() => begin(box, actorOf(caller), address, mailboxes));
  return accepted({ erasure: viewOf(box, job) });
}

/** Answers TenantRpc's `erasure`. */
export function erasureOf(box: TenantBase, caller: Caller, id: string): Outcome<ErasureView> {
  if (!box.isMine(caller)) return notFound();
  const refusal = whyNotReached(caller);
  if (refusal) return { ok: false, refusal };
  const job = jobBy(box, "id", id);
  return job ? accepted(readBy(box, caller, job)) : notFound();
}

function readBy(box: TenantBase, caller: Caller, job: Job): ErasureView {
  box.commit(() =>
    box.record({
      actor: actorOf(caller),
      action: "contact.erasure_read",
      resource: { type: "tenant", id: box.tenant().id },
      detail: { erasure_id: job.id },
    }),
  );
  return viewOf(box, job);
}

function wordsFor(address: string): string {
  return (
    `Everything of ${address} is erased for good from the whole account: each message, draft and request that names the ` +
    "address in what it says, with its attachments and its raw bytes, whoever wrote it; the address alone where it was only " +
    "noted of a message, in tags, reasons and decisions; entries in allowlists and the suppression list; and the sealed part " +
    "of each audit entry that names it. That messages were there, and when, stays on record."
  );
}

interface Survey {
  told: string;
  mailboxes: number;
}

/** What would be touched. Refused where something works under the address, is on its way, or under a legal hold. */
async function survey(box: TenantBase, address: string): Promise<Outcome<Survey>> {
  const { id } = box.tenant();
  const ids = await mailboxesOf(box.environment().DB, id);
  const found: ContactSurvey[] = [];
  for (let at = 0; at < ids.length; at += ASKED_AT_ONCE) {
    const some = await Promise.all(
      ids.slice(at, at + ASKED_AT_ONCE).map((mailbox) => mailboxOf(box, mailbox).surveyContact(id, address)),
    );
    found.push(...some.flatMap((outcome) => (outcome.ok ? [outcome.value] : [])));
  }
  const inService = [...inServiceHere(box, mentionOf(address)), ...found.flatMap(({ in_service }) => in_service)];
  if (inService.length > 0) return stillInService(inService);
  if (settingsOf(box.tenant()).legal_hold || found.some((each) => each.held && isTouched(each))) return HELD;
  const underWay = found.flatMap(({ under_way }) => under_way);
  if (underWay.length > 0) return stillUnderWay(underWay);
  return accepted({ told: toldOf(found), mailboxes: ids.length });
}

const isTouched = ({ messages, redacted }: ContactSurvey) => messages + redacted > 0;

function toldOf(found: readonly ContactSurvey[]): string {
  const least = found.some(({ more }) => more) ? "at least " : "";
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const [messages = 0, redacted = 0] = (["messages", "redacted"] as const).map((what) =>
    found.reduce((sum, each) => sum + each[what], 0),
  );
  const mailboxes = found.filter(isTouched).length;
  const where = `in ${mailboxes} mailbox${mailboxes === 1 ? "" : "es"} of ${found.length}`;
  const stay =
    redacted === 0 ? "" : ` ${count(redacted, "message")} would stay, without the address that was noted of it.`;
  return `Now ${least}${count(messages, "message")} ${where} would be erased.${stay}`;
}

const HELD = refused(
  "legal_hold",
  "The account, or a mailbox that has something of this person, is under a legal hold.",
  {
    hint: "Only the operator can lift it, with update_mailbox or update_account.",
  },
);

function stillInService(where: string[]): Outcome<never> {
  return refused("in_service", "This address works here; whoever it belongs to has to be taken from there first.", {
    hint: `It stands in: ${where.slice(0, 5).join(", ")}.`,
    detail: { where },
  });
}

function stillUnderWay(ids: string[]): Outcome<never> {
  return refused("wrong_state", "Messages that name this person wait or are on their way; they have to end first.", {
    hint: "decide_email or cancel_message ends them; what is being sent ends by itself.",
    detail: { under_way: ids },
  });
}

/** Inside `commit`. */
function begin(box: TenantBase, actor: Actor, address: string, mailboxes: number): Job {
  const id = newId("era", box.now());
  box.rows.exec(
    "INSERT INTO erasures VALUES (?, ?, ?, ?, NULL, 0, ?)",
    id,
    address,
    JSON.stringify(actor),
    box.time(),
    JSON.stringify(NOTHING_ERASED),
  );
  box.schedule(ERASE_ROUND, id, box.now());
  box.record({
    actor,
    action: "contact.erasure_started",
    resource: { type: "tenant", id: box.tenant().id },
    detail: { erasure_id: id, mailboxes },
  });
  return jobBy(box, "id", id) as Job;
}

function mailboxOf(box: TenantBase, id: string): MailboxRpc {
  const routing = routingNumberOf(id);
  if (!routing) throw new Error(`${id} is no mailbox`);
  return box.environment().MAILBOX.getByName(routing);
}

/** Serves an `erase_round` timer: every mailbox there is now gets its part. */
export async function beginRound(box: TenantBase, { kind, ref }: Timer): Promise<void> {
  const mailboxes = await mailboxesOf(box.environment().DB, box.tenant().id);
  box.commit(() => {
    box.unschedule(kind, ref);
    const job = jobBy(box, "id", ref);
    if (!job || job.address === null) return;
    const round = job.round + 1;
    box.rows.exec("UPDATE erasures SET round = ? WHERE id = ?", round, ref);
    for (const part of [box.tenant().id, ...mailboxes]) {
      box.rows.exec(
        `INSERT INTO erasure_parts (erasure, part, round, done, found, waits, counts) VALUES (?1, ?2, ?3, 0, 0, '[]', ?4)
         ON CONFLICT DO UPDATE SET round = ?3, position = NULL, done = 0, found = 0, waits = '[]', gone = '[]', blocked = NULL`,
        ref,
        part,
        round,
        JSON.stringify(NOTHING_ERASED),
      );
      box.schedule(ERASE_PART, `${ref} ${part}`, box.now());
    }
  });
}

/** Serves an `erase_part` timer: some steps of one part. */
export async function erasePart(box: TenantBase, timer: Timer): Promise<void> {
  const [id = "", name = ""] = timer.ref.split(" ");
  const job = jobBy(box, "id", id);
  const part = job && partsOf(box, job).find((each) => each.part === name);
  if (!job || job.address === null || !part || part.done === 1) {
    box.commit(() => box.unschedule(timer.kind, timer.ref));
    return;
  }
  const steps = await stepsOf(box, job, part);
  // A crash here repeats the steps, which find nothing any more; a mailbox counts for itself.
  box.commit(() => keepSteps(box, timer, job, part, steps));
}

const LOOKED_AT = { next: null, found: false, waits: [], gone: [], blocked: null };

async function stepsOf(box: TenantBase, job: Job, part: Part): Promise<ErasureSteps> {
  const tenantId = box.tenant().id;
  const address = job.address ?? "";
  const from = part.position === null ? null : JSON.parse(part.position);
  if (part.part !== tenantId) {
    const actor = JSON.parse(job.actor) as Actor;
    const mailbox = mailboxOf(box, part.part);
    const outcome = await mailbox.eraseContact({ tenant_id: tenantId, erasure_id: job.id, address, actor }, from);
    // Its address is reserved, and the mailbox was never made.
    return outcome.ok ? outcome.value : { ...LOOKED_AT, counts: NOTHING_ERASED };
  }
  let counts = JSON.parse(part.counts) as ErasedCounts;
  return walkOn({
    phases: ownPhases(box),
    mention: mentionOf(address),
    from,
    whyNot: async () => (settingsOf(box.tenant()).legal_hold ? `legal_hold ${tenantId}` : null),
    apply: (erase) =>
      box.commit(() => {
        counts = addCounts(counts, erase());
        box.rows.exec(
          "UPDATE erasure_parts SET counts = ? WHERE erasure = ? AND part = ?",
          JSON.stringify(counts),
          job.id,
          part.part,
        );
        return counts;
      }),
    counts,
  });
}

/** Inside `commit`. */
function keepSteps(box: TenantBase, { kind, ref }: Timer, job: Job, part: Part, steps: ErasureSteps): void {
  const waits = [...new Set([...waitsOf(part), ...steps.waits])];
  const gone = joinStretches([...goneOf(part), ...steps.gone]);
  box.rows.exec(
    "UPDATE erasure_parts SET position = ?, done = ?, found = max(found, ?), waits = ?, gone = ?, blocked = ?, counts = ? WHERE erasure = ? AND part = ?",
    steps.next && JSON.stringify(steps.next),
    steps.next === null ? 1 : 0,
    steps.found ? 1 : 0,
    JSON.stringify(waits),
    JSON.stringify(gone),
    steps.blocked,
    JSON.stringify(steps.counts),
    job.id,
    part.part,
  );
  if (steps.next === null) box.unschedule(kind, ref);
  else box.schedule(kind, ref, box.now() + (steps.blocked === null ? 0 : REST));
  const parts = partsOf(box, job);
  if (parts.every(({ done }) => done === 1)) endRound(box, job, parts);
}

/** Inside `commit`. */
function endRound(box: TenantBase, job: Job, parts: readonly Part[]): void {
  if (parts.every(({ found }) => found === 0)) {
    finish(box, job, parts);
    return;
  }
  const waits = parts.some((part) => waitsOf(part).length > 0);
  const rests = waits || job.round >= ROUNDS_AT_ONCE;
  box.schedule(ERASE_ROUND, job.id, box.now() + (rests ? REST : 0));
}

function waitsOf({ waits }: Part): string[] {
  return JSON.parse(waits) as string[];
}

function goneOf({ gone }: Part): GoneStretch[] {
  return JSON.parse(gone) as GoneStretch[];
}

function sum(parts: readonly Part[]): ErasedCounts {
  return parts.reduce((counts, part) => addCounts(counts, JSON.parse(part.counts)), { ...NOTHING_ERASED });
}

/** The address goes with this transaction. Inside `commit`. */
function finish(box: TenantBase, job: Job, parts: readonly Part[]): void {
  const counts = sum(parts);
  // The last round looked at everything, so that it says of all logs what it went past.
  const gone = parts.flatMap(goneOf).map(({ log, first, last }) => `${log} ${first}-${last}`);
  box.rows.exec(
    "UPDATE erasures SET address = NULL, finished_at = ?, counts = ? WHERE id = ?",
    box.time(),
    JSON.stringify(counts),
    job.id,
  );
  box.rows.exec("DELETE FROM erasure_parts WHERE erasure = ?", job.id);
  box.record({
    actor: JSON.parse(job.actor) as Actor,
    action: "contact.erased",
    resource: { type: "tenant", id: box.tenant().id },
    detail: {
      erasure_id: job.id,
      rounds: job.round,
      mailboxes: parts.length - 1,
      ...counts,
      ...(gone.length > 0 && { gone }),
    },
  });
}

function viewOf(box: TenantBase, job: Job): ErasureView {
  const parts = partsOf(box, job);
  return {
    status: job.finished_at === null ? "erasing" : "erased",
    erasure_id: job.id,
    started_at: job.started_at,
    finished_at: job.finished_at,
    erased: job.finished_at === null ? sum(parts) : (JSON.parse(job.counts) as ErasedCounts),
    waits_for: [
      ...new Set(parts.flatMap((part) => [...waitsOf(part), ...(part.blocked === null ? [] : [part.blocked])])),
    ],
  };
}
