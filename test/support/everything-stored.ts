import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { openPersonal } from "../../src/audit/sealing.ts";

/** Everything that lies in D1, in R2 and in objects, sealed fields opened as far as there are keys, so that a test can say that something is in none of it. */

export interface StoredThing {
  /** `D1 audit_log`, `R2 raw/…`, `mbx_… messages`. */
  where: string;
  /** Bytes as latin1, text as it is. */
  text: string;
}

function asText(value: unknown): string {
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString("latin1");
  if (Array.isArray(value)) return Buffer.from(value).toString("latin1");
  return String(value ?? "");
}

async function ofD1(): Promise<StoredThing[]> {
  const { results: tables } = await env.DB.prepare(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  ).all<{ name: string }>();
  const all: StoredThing[] = [];
  for (const { name } of tables) {
    const { results } = await env.DB.prepare(`SELECT * FROM "${name}"`).all();
    for (const row of results) {
      for (const [column, value] of Object.entries(row))
        all.push({ where: `D1 ${name}.${column}`, text: asText(value) });
    }
  }
  return all;
}

async function ofR2(): Promise<StoredThing[]> {
  const all: StoredThing[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await env.STORE.list(cursor === undefined ? {} : { cursor });
    for (const { key } of page.objects) {
      const object = await env.STORE.get(key);
      const text = object ? Buffer.from(await object.arrayBuffer()).toString("latin1") : "";
      all.push({ where: `R2 ${key}`, text: `${key}\n${text}` });
    }
    if (!page.truncated) return all;
    cursor = page.cursor;
  }
}

/** Every row of every table of an object, the full-text index's own among them. */
async function ofObject(name: string, stub: DurableObjectStub): Promise<StoredThing[]> {
  return runInDurableObject(stub, (_object: unknown, { storage: { sql } }) => {
    const tables = sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'search'")
      .toArray()
      .filter((table) => !table.name.startsWith("_cf") && !table.name.startsWith("sqlite_"));
    return tables.flatMap((table) =>
      sql
        .exec(`SELECT * FROM "${table.name}"`)
        .toArray()
        .flatMap((row) =>
          Object.entries(row).map(([column, value]) => ({
            where: `${name} ${table.name}.${column}`,
            text: asText(value),
          })),
        ),
    );
  });
}

interface SealedRow extends Record<string, SqlStorageValue> {
  entry: string;
  wrapped: string;
}

const SEALED = "FROM entries e JOIN data_keys k ON k.kid = json_extract(e.entry, '$.sealed.kid')";

function opened(where: string, rows: readonly SealedRow[]): StoredThing[] {
  return rows.map(({ entry, wrapped }) => ({
    where: `${where} ${JSON.parse(entry).log} opened ${JSON.parse(entry).action}`,
    text: JSON.stringify(openPersonal(env, JSON.parse(entry), wrapped)),
  }));
}

/** What a reader with the right sees of sealed fields, in D1. */
async function openedInD1(): Promise<StoredThing[]> {
  const { results } = await env.DB.prepare(
    `SELECT e.entry, k.wrapped ${SEALED.replace("entries", "audit_log")}`,
  ).all<SealedRow>();
  return opened("D1", results);
}

/** The same in an object. */
async function openedInObject(name: string, stub: DurableObjectStub): Promise<StoredThing[]> {
  return runInDurableObject(stub, (_object: unknown, { storage: { sql } }) =>
    opened(name, sql.exec<SealedRow>(`SELECT e.entry, k.wrapped ${SEALED}`).toArray()),
  );
}

/** @param mailboxes ids. */
export async function everythingStored(tenant: string, mailboxes: readonly string[]): Promise<StoredThing[]> {
  const stubs: [string, DurableObjectStub][] = [
    [tenant, env.TENANT.getByName(tenant)],
    ...mailboxes.map((id): [string, DurableObjectStub] => [id, env.MAILBOX.getByName(id.slice(-8))]),
  ];
  const objects = await Promise.all(stubs.map(([name, stub]) => ofObject(name, stub)));
  const entries = await Promise.all(stubs.map(([name, stub]) => openedInObject(name, stub)));
  return [...(await ofD1()), ...(await openedInD1()), ...(await ofR2()), ...objects.flat(), ...entries.flat()];
}

/** A text in every form in which bytes have it: as it is, in links, in quoted-printable, in base64 at each of its three places. */
export function formsOf(text: string): string[] {
  const base64 = [0, 1, 2].map((shift) => {
    const encoded = Buffer.from("\0".repeat(shift) + text).toString("base64");
    // Without the characters that what stands around it decides.
    return encoded.slice(shift === 0 ? 0 : 4, Math.floor(((shift + text.length) * 4) / 3) - 1);
  });
  return [text, encodeURIComponent(text), text.replace("@", "=40"), text.replace("@", "="), ...base64];
}

/** What would confirm a guess of a text: its hashes, as they are written down. */
export function hashesOf(text: string): string[] {
  const digest = createHash("sha256").update(text).digest();
  return [digest.toString("hex"), digest.toString("base64"), digest.toString("base64url")];
}

/** @returns where any of these stands, whatever its case. */
export function placesOf(stored: readonly StoredThing[], needles: readonly string[]): string[] {
  const wanted = [...new Set(needles)].map((needle) => needle.toLowerCase());
  return stored.flatMap(({ where, text }) => {
    const lower = text.toLowerCase();
    const found = wanted.filter((needle) => lower.includes(needle));
    return found.map((needle) => `${where}: ${needle}`);
  });
}
