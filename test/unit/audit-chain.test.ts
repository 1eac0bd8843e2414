import { describe, expect, test } from "vitest";
import { type Entry, entryText, entryTime, hashEntryText, NO_PREVIOUS } from "../../src/audit/entry.ts";
import type { FaultCode } from "../../src/audit/faults.ts";
import { newDataKey, openPersonal, sealPersonal, wrapDataKey } from "../../src/audit/sealing.ts";
import { type HashedEntry, verifyChain } from "../../src/audit/verify.ts";

const MASTER = { MASTER_KEY: Buffer.alloc(32, 7).toString("base64") };

function chain(length: number): HashedEntry[] {
  const entries: HashedEntry[] = [];
  for (let seq = 0; seq < length; seq++) {
    const entry: Entry = {
      v: 1,
      log: "mbx_01",
      seq,
      id: `aud_${seq}`,
      at: new Date(1_790_000_000_000 + seq).toISOString(),
      actor: { type: "agent", id: "key_1", key_id: "key_1", via: "rest" },
      action: "message.held",
      resource: { type: "email", id: `em_${seq}` },
      mode: "gated_send",
      detail: { recipients: 1 },
      prev: entries.at(-1)?.hash ?? NO_PREVIOUS,
    };
    entries.push({ ...entry, hash: hashEntryText(entryText(entry)) });
  }
  return entries;
}

/** An entry changed and hashed anew, as a forger would. */
function rehashed(entry: HashedEntry, change: Partial<Entry>): HashedEntry {
  const { hash: _hash, ...rest } = { ...entry, ...change };
  return { ...rest, hash: hashEntryText(entryText(rest)) };
}

test("a whole chain verifies, with or without its opened fields", () => {
  expect(verifyChain(chain(5))).toBeNull();
  expect(verifyChain(chain(5).map((entry) => ({ ...entry, personal: { to: ["ana@customer.example"] } })))).toBeNull();
});

describe("each tampering is named at the first entry that is wrong", () => {
  const at = (entries: HashedEntry[], index: number) => entries[index] as HashedEntry;
  test.each<[string, (entries: HashedEntry[]) => HashedEntry[], number, FaultCode]>([
    ["a missing entry", (e) => e.filter((_, i) => i !== 2), 2, "gap"],
    ["a missing first entry", (e) => e.slice(1), 0, "gap"],
    ["a doubled entry", (e) => [...e.slice(0, 3), at(e, 2), ...e.slice(3)], 2, "duplicate"],
    ["two entries swapped", (e) => [at(e, 0), at(e, 2), at(e, 1), ...e.slice(3)], 1, "order"],
    ["one field changed", (e) => e.map((x, i) => (i === 2 ? { ...x, action: "message.queued" } : x)), 2, "wrong_hash"],
    [
      "one entry rewritten with its hash",
      (e) => e.map((x, i) => (i === 2 ? rehashed(x, { action: "message.queued" }) : x)),
      3,
      "broken_link",
    ],
    ["an entry of another log", (e) => e.map((x, i) => (i === 2 ? rehashed(x, { log: "mbx_02" }) : x)), 2, "other_log"],
    ["a field added", (e) => e.map((x, i) => (i === 2 ? { ...x, note: "hello" } : x)), 2, "wrong_hash"],
  ])("%s", (_what, tamper, seq, code) => {
    expect(verifyChain(tamper(chain(5)))).toMatchObject({ seq, code });
  });
});

test("time never goes backwards, however the clock jumps", () => {
  expect(entryTime(2_000, new Date(1_000).toISOString())).toBe(new Date(2_000).toISOString());
  expect(entryTime(1_000, new Date(2_000).toISOString())).toBe(new Date(2_000).toISOString());
});

describe("sealed fields", () => {
  const key = newDataKey("em_1");
  const fields = { to: ["ana@customer.example"], subject: "Offer" };
  const [first] = chain(1) as [HashedEntry];
  const entry = rehashed(first, { sealed: sealPersonal(key, "mbx_01", 0, fields) });

  test("are opened with the data key and hidden without it", () => {
    expect(openPersonal(MASTER, entry, wrapDataKey(MASTER, key))).toEqual(fields);
    expect(openPersonal(MASTER, entry, null)).toBeNull();
    expect(JSON.stringify(entry)).not.toContain("ana@");
  });

  test("cannot be moved to another entry, nor opened under another master key", () => {
    expect(() => openPersonal(MASTER, { ...entry, seq: 1 }, wrapDataKey(MASTER, key))).toThrow();
    const other = { MASTER_KEY: Buffer.alloc(32, 8).toString("base64") };
    expect(() => openPersonal(other, entry, wrapDataKey(MASTER, key))).toThrow();
  });

  test("the log verifies without them", () => {
    expect(verifyChain([entry])).toBeNull();
  });
});
