import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { formatAddress } from "../../src/mail/address.ts";
import { whyTooLarge } from "../../src/mail/limits.ts";
import { withoutNames } from "../../src/mail/template.ts";
import type { Draft } from "../../src/operations/shapes/sending.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { departure } from "../../src/oversight/departure.ts";
import type { Author } from "../../src/oversight/separation.ts";
import type { NewDraft, Submission } from "../mailbox-rpc.ts";
import type { Timer } from "../timers.ts";
import { actorOf, type MailboxBase, notFound } from "./base.ts";
import { permit } from "./permits.ts";

/** Drafts: messages that nobody asked to send yet. Whoever may use the mailbox sees and changes all of them. */

const MAX_DRAFTS = 1_000;
/** A row of the object's storage has room for 2 MB. */
const MAX_DRAFT_OCTETS = 1_900_000;
/** A page ends early, with a cursor, when it holds this much; an RPC carries at most 32 MiB. */
const PAGE_OCTETS = 8 * 1024 * 1024;

/** A draft that says nothing yet. */
const EMPTY: Omit<Submission, "id"> = {
  to: [],
  cc: [],
  bcc: [],
  reply_to: [],
  subject: null,
  text: "",
  html: null,
  markdown: null,
  attachments: [],
  reply: null,
  tags: {},
  metadata: {},
  agent_id: null,
  model_id: null,
  model_provider: null,
  oversight_mode: null,
  send_at: null,
  gate_timing: null,
  template: null,
  idempotency: null,
};

interface Row extends Record<string, SqlStorageValue> {
  id: string;
  created_at: string;
  updated_at: string;
  /** The key that began it. */
  key_id: string;
  draft: string;
}

/** What the `draft` column holds. */
interface Stored {
  submission: Submission;
  /** The key that changed it last. */
  changed_by: string;
  /** Everyone who wrote at it, each key once: none of them decides on what it becomes. */
  writers?: Author[];
}

/** @returns the writers, the one who writes now among them. */
function writersWith(earlier: readonly Author[], { key_id, created_by, agent_id }: Caller): Author[] {
  const isKnown = earlier.some((each) => each.key_id === key_id && each.agent_id === agent_id);
  return isKnown ? [...earlier] : [...earlier, { key_id, created_by, agent_id }];
}

export function rowOf(box: MailboxBase, id: string): Row | null {
  return box.storage().exec<Row>("SELECT * FROM drafts WHERE id = ?", id).toArray()[0] ?? null;
}

export function storedIn({ draft }: Row): Stored {
  return JSON.parse(draft) as Stored;
}

function viewOf(box: MailboxBase, row: Row): Draft {
  const { submission } = storedIn(row);
  const { to, cc, bcc, reply_to, subject, text, html, markdown, attachments, template } = submission;
  return {
    id: row.id,
    mailbox_id: box.settings().id,
    to: to.map(formatAddress),
    cc: cc.map(formatAddress),
    bcc: bcc.map(formatAddress),
    reply_to: reply_to.map(formatAddress),
    subject: subject ?? "",
    markdown,
    text: hasBody(submission) ? text : null,
    html,
    template_id: template?.id ?? null,
    attachments: attachments.map(({ name, size, content_type }) => ({ name, size, content_type })),
    tags: submission.tags,
    metadata: submission.metadata,
    send_at: submission.send_at,
    gate_timing: submission.gate_timing,
    oversight_mode: submission.oversight_mode,
    agent_id: submission.agent_id,
    model_id: submission.model_id,
    model_provider: submission.model_provider,
    created_at: row.created_at,
    updated_at: row.updated_at,
  };
}

export function hasBody({ text, html, markdown }: Submission): boolean {
  return text !== "" || html !== null || markdown !== null;
}

/** Why there is no draft of that id: it was sent, or never was. */
export function absent(box: MailboxBase, id: string): Outcome<never> {
  const sent = box.messages.find(id);
  if (sent?.direction !== "outbound") return notFound();
  return refused("wrong_state", "This draft was sent; it is a message now.", { detail: { status: sent.status } });
}

/** An approval is of a template's words alone: other words void it, and what no approver saw does not stay beside them. */
function merged(earlier: Submission, change: Partial<Submission>): Submission {
  const otherWords = (["subject", "text", "html", "markdown", "attachments", "reply_to"] as const).some(
    (field) => change[field] !== undefined,
  );
  const template = change.template ?? (otherWords ? null : earlier.template);
  const submission = { ...earlier, ...change, id: earlier.id, template, idempotency: null };
  if (template === null) return submission;
  const { to, cc, bcc } = submission;
  return {
    ...submission,
    to: withoutNames(to),
    cc: withoutNames(cc),
    bcc: withoutNames(bcc),
    reply_to: [],
    attachments: [],
  };
}

/** Begins a draft, or changes one: what the change leaves out stays. */
export function saveDraft(box: MailboxBase, caller: Caller, { id, is_new, draft }: NewDraft): Outcome<Draft> {
  const row = rowOf(box, id);
  if (!row && (!is_new || box.messages.find(id))) return absent(box, id);
  const leaves = departure(draft.send_at ?? null, box.now());
  if (!leaves.ok) return leaves;
  const before = row && storedIn(row);
  const earlier = before?.submission ?? { id, ...EMPTY };
  const submission = merged(earlier, draft);
  const writers = writersWith(before?.writers ?? [], caller);
  const stored = JSON.stringify({ submission, changed_by: caller.key_id, writers } satisfies Stored);
  const sizes = submission.attachments.map(({ size }) => size);
  const problem = whyTooLarge(box.environment(), submission, sizes);
  if (problem) return refused("too_large", problem);
  if (Buffer.byteLength(stored) > MAX_DRAFT_OCTETS) return refused("too_large", "This is too long for a draft.");
  if (!row && countDrafts(box) >= MAX_DRAFTS) {
    return refused("wrong_state", `A mailbox has at most ${MAX_DRAFTS} drafts.`, {
      hint: "Send or delete some first.",
    });
  }
  const given = permit(box, caller, { effect: "annotate" });
  if (!given.ok) return given;
  return accepted(
    box.commit(() => {
      given.value.use();
      const next: Row = {
        id,
        created_at: row?.created_at ?? box.time(),
        updated_at: box.time(),
        key_id: row?.key_id ?? caller.key_id,
        draft: stored,
      };
      box
        .storage()
        .exec(
          "INSERT OR REPLACE INTO drafts (id, created_at, updated_at, key_id, draft) VALUES (?, ?, ?, ?, ?)",
          ...[next.id, next.created_at, next.updated_at, next.key_id, next.draft],
        );
      discard(box, earlier, submission);
      recordDraft(box, caller, submission, row ? "draft.changed" : "draft.created", given.value.detail);
      return viewOf(box, next);
    }),
  );
}

function countDrafts(box: MailboxBase): number {
  return box.storage().exec<{ n: number }>("SELECT count(*) AS n FROM drafts").one().n;
}

/** What a draft said once, and nobody else saw, is no part of the message that it becomes: such entries are sealed apart. Inside `commit`. */
function recordDraft(
  box: MailboxBase,
  caller: Caller,
  { id, to, cc, bcc, subject, attachments, template }: Submission,
  action: "draft.created" | "draft.changed" | "draft.deleted",
  detail: { approval_ref?: string },
): void {
  box.record({
    actor: actorOf(caller),
    action,
    resource: { type: "draft", id },
    apartOf: id,
    detail: { attachments: attachments.length, ...(template && { template_id: template.id }), ...detail },
    personal: {
      to: to.map(({ address }) => address),
      cc: cc.map(({ address }) => address),
      bcc: bcc.map(({ address }) => address),
      subject,
      file_names: attachments.map(({ name }) => name),
    },
  });
}

/** Files that no draft refers to any more are deleted by a timer each: what was committed happens, whatever breaks down. Inside `commit`. */
function discard(box: MailboxBase, before: Submission, after: Submission | null): void {
  const kept = new Set(after?.attachments.map(({ key }) => key));
  for (const { key } of before.attachments) if (!kept.has(key)) box.schedule("discard", key, box.now());
}

/** Serves a `discard` timer, whose reference is the key of a file in the store. */
export async function discardFile(box: MailboxBase, timer: Timer): Promise<void> {
  await box.environment().STORE.delete(timer.ref);
  box.commit(() => box.finish(timer));
}

/** One page, the newest first. */
export function listDrafts(
  box: MailboxBase,
  caller: Caller,
  page: { limit: number; cursor: string | null },
): Outcome<{ drafts: Draft[]; cursor: string | null }> {
  const given = permit(box, caller, { effect: "read" });
  if (!given.ok) return given;
  const shown: Row[] = [];
  let octets = 0;
  let more = false;
  // No id sorts after this one.
  const before = page.cursor ?? "em_~";
  for (const row of box
    .storage()
    .exec<Row>("SELECT * FROM drafts WHERE id < ? ORDER BY id DESC LIMIT ?", before, page.limit + 1)) {
    more = shown.length === page.limit || (shown.length > 0 && octets + row.draft.length > PAGE_OCTETS);
    if (more) break;
    shown.push(row);
    octets += row.draft.length;
  }
  box.commit(() => {
    given.value.use();
    box.record({
      actor: actorOf(caller),
      action: "drafts.listed",
      detail: { results: shown.length, ...given.value.detail },
    });
  });
  return accepted({ drafts: shown.map((row) => viewOf(box, row)), cursor: more ? (shown.at(-1)?.id ?? null) : null });
}

export function readDraft(box: MailboxBase, caller: Caller, id: string): Outcome<Draft> {
  const row = rowOf(box, id);
  if (!row) return absent(box, id);
  const given = permit(box, caller, { effect: "read" });
  if (!given.ok) return given;
  box.commit(() => {
    given.value.use();
    box.record({
      actor: actorOf(caller),
      action: "draft.read",
      resource: { type: "draft", id },
      detail: { ...given.value.detail },
    });
  });
  return accepted(viewOf(box, row));
}

export function deleteDraft(box: MailboxBase, caller: Caller, id: string): Outcome<Draft> {
  const row = rowOf(box, id);
  if (!row) return absent(box, id);
  const given = permit(box, caller, { effect: "annotate" });
  if (!given.ok) return given;
  return accepted(
    box.commit(() => {
      given.value.use();
      const { submission } = storedIn(row);
      box.removeDraft(id);
      discard(box, submission, null);
      recordDraft(box, caller, submission, "draft.deleted", given.value.detail);
      return viewOf(box, row);
    }),
  );
}
