import type { MailboxExport, StoredFile } from "../../durable-objects/mailbox-rpc.ts";
import type { TenantRpc } from "../../durable-objects/tenant-rpc.ts";
import type { Env } from "../env.ts";
import { type Outcome, unwrap } from "../errors.ts";
import type { Caller } from "../oversight/caller.ts";
import { exportLines, openExport } from "./audit-export.ts";
import { mailboxesOf } from "./erasure.ts";
import { askMailbox, callTenant, mailboxObject, routingOrNotFound } from "./mailbox-client.ts";

/**
 * Everything that an account owns, as NDJSON (docs/erasure.md). A page or a piece of a file is in memory at a time; the last line says how
 * many there were, so that nobody takes what was cut for the whole.
 */

const PAGE = 100;
/** Octets of a file that become text at once; a multiple of three, so that the pieces make one base64 text. */
const PIECE = 48 * 1024;

/** Yields text whose line breaks end its lines. @throws whatever an object, D1 or R2 throws. */
export async function* accountLines(env: Env, caller: Caller, now: number): AsyncGenerator<string, void, undefined> {
  let lines = 0;
  for await (const text of everything(env, caller, now)) {
    if (text.endsWith("\n")) lines += 1;
    yield text;
  }
  yield line({ type: "end", lines });
}

async function* everything(env: Env, caller: Caller, now: number): AsyncGenerator<string, void, undefined> {
  const { tenant_id } = caller;
  yield line({ type: "export", version: 1, tenant_id, at: new Date(now).toISOString() });
  yield line({
    type: "account",
    account: unwrap(await callTenant(env, tenant_id, (tenant) => tenant.account(caller))),
  });
  yield* tenantLines(env, caller);
  const mailboxes = await madeMailboxes(env, caller);
  for (const id of mailboxes) yield* mailboxLines(env, caller, id);
  for (const log of [tenant_id, ...mailboxes]) yield* logLines(env, caller, log);
}

/** Of a mailbox that is only reserved there is nothing yet. */
async function madeMailboxes(env: Env, caller: Caller): Promise<string[]> {
  const made: string[] = [];
  for (const id of await mailboxesOf(env.DB, caller.tenant_id)) {
    const described = await askMailbox(env, routingOrNotFound(id), (mailbox) => mailbox.describe(caller));
    if (described.ok) made.push(id);
    else if (described.refusal.code !== "not_found") unwrap(described);
  }
  return made;
}

function line(value: Record<string, unknown>): string {
  return `${JSON.stringify(value)}\n`;
}

/** A page of one of the tenant's lists. */
interface Listed {
  rows: readonly object[];
  next: string | number | null;
}

type List = (tenant: TenantRpc, caller: Caller, cursor: never) => Promise<Outcome<Listed>>;

function mapped<T>(outcome: Outcome<T>, work: (value: T) => Listed): Outcome<Listed> {
  return outcome.ok ? { ok: true, value: work(outcome.value) } : outcome;
}

/** What the tenant's object lists, by what a line of it is called. */
const LISTS: readonly (readonly [type: string, list: List])[] = [
  [
    "agent",
    async (tenant, caller, cursor) =>
      mapped(await tenant.listAgents(caller, { limit: PAGE, cursor }), (page) => ({
        rows: page.agents,
        next: page.cursor,
      })),
  ],
  [
    "api_key",
    async (tenant, caller, cursor) =>
      mapped(await tenant.listKeys(caller, { limit: PAGE, cursor }), (page) => ({
        rows: page.api_keys,
        next: page.cursor,
      })),
  ],
  [
    "domain",
    async (tenant, caller, cursor) =>
      mapped(await tenant.listDomains(caller, { limit: PAGE, cursor }), (page) => ({
        rows: page.domains,
        next: page.cursor,
      })),
  ],
  [
    "suppression",
    async (tenant, caller, cursor) =>
      mapped(await tenant.listSuppressions(caller, { limit: PAGE, cursor }), (page) => ({
        rows: page.suppressions,
        next: page.cursor,
      })),
  ],
];

async function* tenantLines(env: Env, caller: Caller): AsyncGenerator<string, void, undefined> {
  for (const [type, list] of LISTS) {
    for (let cursor: Listed["next"] = null; ; ) {
      const at = cursor as never;
      const page: Listed = unwrap(await callTenant(env, caller.tenant_id, (tenant) => list(tenant, caller, at)));
      for (const row of page.rows) yield line({ type, [type]: row });
      cursor = page.next;
      if (cursor === null) break;
    }
  }
}

async function* mailboxLines(env: Env, caller: Caller, id: string): AsyncGenerator<string, void, undefined> {
  for (let from: string | null = null; ; ) {
    const at = from;
    const page: MailboxExport = await mailboxObject(env, id, (mailbox) => mailbox.exportPage(caller, at));
    for (const { item, files } of page.items) {
      yield line(item);
      for (const file of files) yield* fileLine(env.STORE, id, file);
    }
    from = page.next;
    if (from === null) return;
  }
}

/** One line, made while its bytes are read. */
async function* fileLine(
  store: R2Bucket,
  mailbox_id: string,
  { kind, key, name }: StoredFile,
): AsyncGenerator<string, void, undefined> {
  const about = { type: "file", mailbox_id, email_id: /em_[0-9A-Z]{26}/.exec(key)?.[0] ?? null, kind, name };
  const object = await store.get(key);
  if (!object) {
    yield line({ ...about, size: null, base64: null });
    return;
  }
  yield `${JSON.stringify({ ...about, size: object.size }).slice(0, -1)},"base64":"`;
  yield* base64Of(object.body);
  yield '"}\n';
}

async function* base64Of(bytes: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let rest = new Uint8Array();
  for await (const chunk of bytes) {
    const whole = Buffer.concat([rest, chunk]);
    const even = whole.length - (whole.length % 3);
    for (let at = 0; at < even; at += PIECE) yield whole.subarray(at, Math.min(at + PIECE, even)).toString("base64");
    rest = new Uint8Array(whole.subarray(even));
  }
  if (rest.length > 0) yield Buffer.from(rest).toString("base64");
}

/** The lines of an export of the log, as `multimail verify-audit` reads them. */
async function* logLines(env: Env, caller: Caller, log: string): AsyncGenerator<string, void, undefined> {
  const whole = await openExport(env, caller, log, {});
  for await (const text of exportLines(env, whole, "ndjson", true))
    yield line({ type: "audit", log, line: text.trimEnd() });
}
