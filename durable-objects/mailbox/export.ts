import { attachmentKey } from "../../src/store/mail-store.ts";
import type { MailboxExport, StoredFile } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { rowOf, storedIn } from "./drafts.ts";
import type { Message } from "./messages.ts";
import { email } from "./views.ts";

/** What a mailbox has, for whoever takes their account along: page by page, held mail too. Changes nothing. */

const ROWS_AT_ONCE = 100;
/** Characters; an RPC carries at most 32 MiB. */
const PAGE_CHARACTERS = 4_000_000;

/** Each part is exported to its end, then the next. */
const PARTS: readonly (readonly [string, (box: MailboxBase, after: string) => MailboxExport])[] = [
  ["settings", settingsPage],
  ["templates", templatesPage],
  ["drafts", draftsPage],
  ["requests", requestsPage],
  ["messages", messagesPage],
];

/** Answers MailboxRpc's `exportPage`. @param from `part after`, as the page before gave it; null: from the beginning. */
export function exportPage(box: MailboxBase, from: string | null): MailboxExport {
  const [name = "settings", after = ""] = from?.split(" ") ?? [];
  const index = PARTS.findIndex(([part]) => part === name);
  const [part, work] = PARTS[index] ?? [];
  if (!part || !work) throw new Error(`an export has no part ${name}`);
  const { items, next } = work(box, after);
  if (next !== null) return { items, next: `${part} ${next}` };
  const following = PARTS[index + 1]?.[0];
  return { items, next: following === undefined ? null : `${following} ` };
}

function settingsPage(box: MailboxBase): MailboxExport {
  const mailbox_id = box.settings().id;
  const items = [
    { type: "mailbox", mailbox: box.settings() },
    { type: "policy", mailbox_id, policy: box.rules() },
    ...box.allowedRecipients().map((entry) => ({ type: "allowlist_entry", mailbox_id, entry })),
  ];
  return { items: items.map((item) => ({ item, files: [] })), next: null };
}

function templatesPage(box: MailboxBase, after: string): MailboxExport {
  const offset = Number(after);
  const rows = box.templates.versionsFrom(offset, ROWS_AT_ONCE);
  const items = rows.map(({ id, version, status, template }) => ({
    item: { type: "template", mailbox_id: box.settings().id, id, version, status, ...JSON.parse(template) },
    files: [],
  }));
  return { items, next: rows.length < ROWS_AT_ONCE ? null : String(offset + rows.length) };
}

function draftsPage(box: MailboxBase, after: string): MailboxExport {
  const ids = box
    .storage()
    .exec<{ id: string }>("SELECT id FROM drafts WHERE id > ? ORDER BY id LIMIT 10", after)
    .toArray();
  const items = ids.flatMap(({ id }) => {
    const row = rowOf(box, id);
    if (!row) return [];
    const { submission } = storedIn(row);
    const { created_at, updated_at, key_id } = row;
    const item = {
      type: "draft",
      mailbox_id: box.settings().id,
      id,
      created_at,
      updated_at,
      key_id,
      draft: submission,
    };
    return [
      { item, files: submission.attachments.map(({ key, name }) => ({ key, name, kind: "attachment" as const })) },
    ];
  });
  return { items, next: ids.at(-1)?.id ?? null };
}

function requestsPage(box: MailboxBase, after: string): MailboxExport {
  const page = box.requests.after(after, 10);
  const items = page.map(({ digest: _digest, ...request }) => ({
    item: { type: "request", mailbox_id: box.settings().id, request },
    files: [],
  }));
  return { items, next: page.at(-1)?.id ?? null };
}

function messagesPage(box: MailboxBase, after: string): MailboxExport {
  const items: MailboxExport["items"] = [];
  let characters = 0;
  for (const message of box.messages.from(Number(after), ROWS_AT_ONCE)) {
    items.push({ item: messageItem(box, message), files: filesOf(box, message) });
    characters += box.messages.extent(message.seq).length;
    if (characters > PAGE_CHARACTERS || items.length === ROWS_AT_ONCE) return { items, next: String(message.seq) };
  }
  return { items, next: null };
}

function messageItem(box: MailboxBase, message: Message) {
  const { seq, record } = message;
  return {
    type: "email",
    seq,
    email: email(message, box.messages.bodies(seq), box.messages.deliveries(seq), box.settings()),
    hold: record.hold,
    decision: record.decision,
    revisions: box.messages.revisions(seq),
    identity_receipt: box.messages.receipt(seq),
  };
}

/** Where the bytes of a message lie: as they came or left, its files, long bodies, and what came back about it. */
function filesOf(box: MailboxBase, { id, seq, record }: Message): StoredFile[] {
  const { tenant_id, id: mailbox_id } = box.settings();
  const { bodies_key } = box.messages.bodies(seq);
  const returned = box
    .storage()
    .exec<{ raw_key: string }>("SELECT raw_key FROM returned WHERE seq = ? AND raw_key IS NOT NULL", seq)
    .toArray();
  return [
    ...(record.raw_key === null ? [] : [{ kind: "raw" as const, key: record.raw_key, name: `${id}.eml` }]),
    ...(bodies_key === null ? [] : [{ kind: "bodies" as const, key: bodies_key, name: `${id}.json` }]),
    ...record.attachments.map(({ key, name }, n) => ({
      ...{ kind: "attachment" as const, name },
      key: key === "" ? attachmentKey(tenant_id, mailbox_id, id, n) : key,
    })),
    ...returned.map(({ raw_key }) => ({
      kind: "returned" as const,
      key: raw_key,
      name: raw_key.split("/").at(-1) ?? "",
    })),
  ];
}
