import { type Mention, mentionOf } from "../../src/mail/mentions.ts";
import {
  addCounts,
  type ContactErasure,
  type ErasedCounts,
  type ErasurePosition,
  type ErasureSteps,
  type Findings,
  NOTHING_ERASED,
  type Phase,
  redacted,
  TRACE_KINDS,
  walkOn,
} from "../contact-erasure.ts";
import { destroyKeys, type SealedMentions } from "../ledger/erasure.ts";
import { kidsToErase } from "../ledger/erasure-walk.ts";
import type { MailboxBase } from "./base.ts";
import { eraseDraft, eraseMessage, eraseRequest, isUnderWay } from "./erase.ts";
import { forwardsOf, whyHeld } from "./erase-email.ts";
import { forgetLists } from "./erase-lists.ts";
import { eraseOutside, isErasing } from "./erase-store.ts";
import { namingMessages } from "./mentions.ts";
import { partedRecord } from "./message-record.ts";
import type { Message } from "./messages.ts";
import { inService } from "./survey-contact.ts";

/** A mailbox's part of erasing a person. */

const ROWS_AT_ONCE = 100;

/** Answers MailboxRpc's `eraseContact`. */
export async function eraseContact(
  box: MailboxBase,
  job: ContactErasure,
  from: ErasurePosition | null,
): Promise<ErasureSteps> {
  return walkOn({
    phases: phasesOf(box, job),
    mention: mentionOf(job.address),
    from,
    whyNot: async () => (await whyHeld(box)) && `legal_hold ${box.settings().id}`,
    apply: (erase) => box.commit(() => keepCounts(box, job, erase())),
    counts: countsOf(box, job.erasure_id),
  });
}

function phasesOf(box: MailboxBase, job: ContactErasure): readonly (readonly [string, Phase])[] {
  return [
    ["settings", (mention) => ({ after: null, apply: null, waits: inService(box, mention) })],
    ["messages", (mention, after) => messagesPhase(box, job, mention, Number(after ?? 0))],
    ["drafts", (mention, after) => draftsPhase(box, mention, String(after ?? ""))],
    ["requests", (mention, after) => requestsPhase(box, job, mention, String(after ?? ""))],
    ["templates", (mention, after) => templatesPhase(box, mention, Number(after ?? 0))],
    ["lists", (mention) => ({ after: null, apply: forgetLists(box, mention) })],
    ["entries", (mention, after) => entriesPhase(box, mention, Number(after ?? 0))],
    ["outside", () => outsidePhase(box)],
  ];
}

function countsOf(box: MailboxBase, erasureId: string): ErasedCounts {
  const [row] = box.storage().exec<{ counts: string }>("SELECT counts FROM erasures WHERE id = ?", erasureId).toArray();
  return row ? (JSON.parse(row.counts) as ErasedCounts) : { ...NOTHING_ERASED };
}

/** Messages have entries of their own; of the rest there is one for each step. Inside `commit`. */
function keepCounts(box: MailboxBase, job: ContactErasure, erased: Partial<ErasedCounts>): ErasedCounts {
  const counts = addCounts(countsOf(box, job.erasure_id), erased);
  box.storage().exec("INSERT OR REPLACE INTO erasures VALUES (?, ?)", job.erasure_id, JSON.stringify(counts));
  const traces = TRACE_KINDS.filter((kind) => (erased[kind] ?? 0) > 0);
  if (traces.length > 0) {
    box.record({
      actor: job.actor,
      action: "contact.traces_erased",
      detail: { erasure_id: job.erasure_id, ...Object.fromEntries(traces.map((kind) => [kind, erased[kind] ?? 0])) },
    });
  }
  return counts;
}

async function messagesPhase(
  box: MailboxBase,
  job: ContactErasure,
  mention: Mention,
  after: number,
): Promise<Findings> {
  const { named, noted, next } = await namingMessages(box, mention, after);
  const waits: string[] = [];
  const ready: Message[] = [];
  for (const id of named) {
    const message = box.messages.get(id);
    const open = [message, ...forwardsOf(box, message)].filter(isUnderWay);
    if (open.length > 0) waits.push(...open.map((each) => each.id));
    else ready.push(message);
  }
  const nothing = ready.length + noted.length === 0;
  return {
    after: next,
    waits,
    apply: nothing ? null : () => eraseMessages(box, job, mention, { named: ready, noted }),
  };
}

/** Inside `commit`. What changed since it was looked at is left to the next round. */
function eraseMessages(
  box: MailboxBase,
  { actor, erasure_id }: ContactErasure,
  mention: Mention,
  { named, noted }: { named: readonly Message[]; noted: readonly string[] },
): Partial<ErasedCounts> {
  const counts = { messages: 0, redacted: 0, drafts: 0, requests: 0 };
  for (const { id } of named) {
    const message = box.messages.get(id);
    const all = [message, ...forwardsOf(box, message)].filter(({ erased_at }) => erased_at === null);
    if (all.some(isUnderWay)) continue;
    for (const each of all) {
      const { drafts, requests } = eraseMessage(box, each, { actor, erasure_id });
      counts.messages += 1;
      counts.drafts += drafts;
      counts.requests += requests;
    }
  }
  for (const id of noted) {
    const message = box.messages.get(id);
    if (message.erased_at !== null) continue;
    redactNoted(box, message, mention);
    counts.redacted += 1;
  }
  return counts;
}

/** Neither among those who decided on it, or were asked to, nor in its tags the person is named any more. Inside `commit`. */
function redactNoted(box: MailboxBase, message: Message, mention: Mention): void {
  Object.assign(message.record, redacted(partedRecord(message.record).noted, mention));
  box.messages.save(message);
  box.messages.changeRevisions(message.seq, (revision) => redacted(revision, mention));
}

function draftsPhase(box: MailboxBase, mention: Mention, after: string): Findings {
  const rows = box
    .storage()
    .exec<{ id: string; draft: string }>(
      `SELECT id, draft FROM drafts WHERE id > ? ORDER BY id LIMIT ${ROWS_AT_ONCE}`,
      after,
    );
  const named: string[] = [];
  let last: string | null = null;
  for (const { id, draft } of rows) {
    last = id;
    if (mention.isIn(JSON.parse(draft))) named.push(id);
  }
  const apply = () => {
    for (const id of named) eraseDraft(box, id);
    return { drafts: named.length };
  };
  return { after: last, apply: named.length === 0 ? null : apply };
}

function requestsPhase(box: MailboxBase, { actor }: ContactErasure, mention: Mention, after: string): Findings {
  const page = box.requests.after(after, ROWS_AT_ONCE);
  const naming = page.filter(({ record }) => mention.isIn(record));
  const apply = () => {
    for (const { id } of naming) {
      const request = box.requests.find(id);
      if (!request) continue;
      const { hold, decision, ...asked } = request.record;
      if (mention.isIn(asked)) eraseRequest(box, request, actor);
      else box.requests.save({ ...request, record: { ...asked, ...redacted({ hold, decision }, mention) } });
    }
    return { requests: naming.length };
  };
  return { after: page.at(-1)?.id ?? null, apply: naming.length === 0 ? null : apply };
}

/** Versions that nobody uses any more; a template in use is changed by people, and waited for. */
function templatesPhase(box: MailboxBase, mention: Mention, after: number): Findings {
  const page = box.templates.versionsFrom(after, ROWS_AT_ONCE);
  const naming = page.filter(({ template }) => mention.isIn(JSON.parse(template)));
  const living = naming.filter(({ id, version }) => box.templates.isLiving(id, version));
  const old = naming.filter((row) => !living.includes(row));
  const apply = () => {
    for (const { id, version } of old) box.templates.erase(id, version);
    return { templates: old.length };
  };
  return {
    after: page.length === 0 ? null : after + page.length,
    waits: living.map(({ id }) => id),
    apply: old.length === 0 ? null : apply,
  };
}

/** The data keys under which a stretch of the log names the person. A message's own is none of them for the sake of a tag. */
async function keysNaming(box: MailboxBase, mention: Mention, after: number): Promise<SealedMentions> {
  const found = await kidsToErase(box, mention, after);
  // Entries of tags have had keys of their own only since the mailbox had a table for them.
  if (!found.kids.some((kid) => box.messages.find(kid))) return found;
  const beside = { ...mention, isIn: (fields: unknown) => !areTags(fields) && mention.isIn(fields) };
  const { kids, waits } = await kidsToErase(box, beside, after);
  return { ...found, waits, kids: found.kids.filter((kid) => kids.includes(kid) || box.messages.find(kid) === null) };
}

/** Whether an entry's sealed fields are tags alone: it says that a message was tagged, or lost a tag. */
function areTags(fields: unknown): boolean {
  return fields !== null && typeof fields === "object" && Object.keys(fields).join() === "tags";
}

async function entriesPhase(box: MailboxBase, mention: Mention, after: number): Promise<Findings> {
  const { kids, next, waits, gone } = await keysNaming(box, mention, after);
  // What is under way is erased as a whole once it has ended.
  const isOpen = (kid: string) => {
    const message = box.messages.find(kid);
    return message !== null && isUnderWay(message);
  };
  const ended = kids.filter((kid) => !isOpen(kid));
  const apply = () => {
    destroyKeys(box, ended);
    return { entries: ended.length };
  };
  return { after: next, waits: [...waits, ...kids.filter(isOpen)], gone, apply: ended.length === 0 ? null : apply };
}

/** The part is at its end once R2 and D1 have confirmed. @throws whatever they throw. */
async function outsidePhase(box: MailboxBase): Promise<Findings> {
  await eraseOutside(box);
  return { after: isErasing(box) ? 0 : null, apply: null };
}
