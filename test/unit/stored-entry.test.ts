import { describe, expect, test } from "vitest";
import { type Entry, entryText, hashEntryText } from "../../src/audit/entry.ts";
import { csvAltered, csvColumns } from "../../src/audit/export-csv.ts";
import { dataKeyIn, newDataKey, readPersonal, sealPersonal, wrapDataKey } from "../../src/audit/sealing.ts";
import { ocsfAltered } from "../../src/audit/siem.ts";
import { ALTERED_WORDS, storedEntry } from "../../src/audit/stored-entry.ts";
import { deriveKeys } from "../../src/store/secrets.ts";

/** Entries as D1 has them, which anyone may have written who owns it. */

const MASTER = { MASTER_KEY: Buffer.alloc(32, 1).toString("base64") };
const OTHER = { MASTER_KEY: Buffer.alloc(32, 2).toString("base64") };
const KEY = newDataKey("em_1");
const WRAPPED = wrapDataKey(MASTER, KEY);
const ENTRY: Entry = {
  v: 1,
  log: "mbx_1",
  seq: 7,
  id: "aud_1",
  at: "2026-11-20T08:00:00.123Z",
  actor: { type: "agent", id: "alice", via: "rest" },
  action: "message.held",
  resource: { type: "email", id: "em_1" },
  mode: null,
  detail: { recipients: 2 },
  sealed: sealPersonal(KEY, "mbx_1", 7, { subject: "Offer" }),
  prev: "0".repeat(64),
};
const TEXT = entryText(ENTRY);

describe("a stored entry", () => {
  test("is the one that was hashed", () => {
    expect(storedEntry(TEXT, hashEntryText(TEXT))).toEqual(ENTRY);
  });

  test.each<[string, string, string?]>([
    ["another text", TEXT.replace("message.held", "message.sent")],
    ["another hash", TEXT, "0".repeat(64)],
    ["no hash", TEXT, ""],
    ["the same in another order", JSON.stringify(ENTRY)],
    ["nothing", ""],
  ])("is none: %s", (_what, text, hash = hashEntryText(TEXT)) => {
    expect(storedEntry(text, hash)).toBeNull();
  });

  test.each([
    "",
    "x",
    "{}",
    "[]",
    "null",
    "5",
    '{"v":1}',
    JSON.stringify(ENTRY),
    `${TEXT} `,
    TEXT.replace('"seq":7,', ""),
  ])("is none though its hash is right: %s", (text) => {
    expect(storedEntry(text, hashEntryText(text))).toBeNull();
  });
});

describe("sealed fields", () => {
  test("are opened, or were erased", () => {
    expect(readPersonal(MASTER, ENTRY, WRAPPED)).toEqual({ personal: { subject: "Offer" }, unreadable: false });
    expect(readPersonal(MASTER, ENTRY, null)).toEqual({ personal: null, unreadable: false });
  });

  const sealed = ENTRY.sealed ?? { kid: "", iv: "", ct: "" };
  test.each<[string, Entry, string]>([
    ["a key of another message", ENTRY, wrapDataKey(MASTER, newDataKey("em_2"))],
    ["another key of the same", ENTRY, wrapDataKey(MASTER, newDataKey("em_1"))],
    ["a key under another MASTER_KEY", ENTRY, wrapDataKey(OTHER, KEY)],
    ["no JSON", ENTRY, "x"],
    ["JSON of nothing", ENTRY, "null"],
    ["JSON of something else", ENTRY, "{}"],
    ["an entry at another place", { ...ENTRY, seq: 8 }, WRAPPED],
    ["another ciphertext", { ...ENTRY, sealed: { ...sealed, ct: "AAAA" } }, WRAPPED],
  ])("cannot be opened, and stop nobody: %s", (_what, entry, wrapped) => {
    expect(readPersonal(MASTER, entry, wrapped)).toEqual({ personal: null, unreadable: true });
  });

  test("are not looked at without a MASTER_KEY", () => {
    expect(() => readPersonal({ MASTER_KEY: "x" }, ENTRY, WRAPPED)).toThrow("MASTER_KEY");
  });

  test("have a key that is the same however it is wrapped", () => {
    const keys = deriveKeys({ ...MASTER, MASTER_KEY_PREVIOUS: OTHER.MASTER_KEY }, "data-key");
    for (const master of [MASTER, OTHER]) {
      expect(dataKeyIn(keys, "em_1", wrapDataKey(master, KEY))).toEqual(new Uint8Array(KEY.key));
      expect(dataKeyIn(keys, "em_2", wrapDataKey(master, KEY))).toBeNull();
    }
  });
});

describe("in the place of an altered entry", () => {
  const place = { log: "mbx_1", seq: 7, text: '{"action":"message.sent"}', hash: "ab" };

  test.each([true, false])("CSV has a record that is none of it, personal fields %s", (personal) => {
    const record = csvAltered(place, personal);
    expect(record.startsWith("mbx_1,7,,,altered,")).toBe(true);
    expect(record).toContain(ALTERED_WORDS);
    expect(record).toContain('"{""action"":""message.sent""}"');
    expect(csvColumns(personal)).toContain("says");
  });

  test("a SIEM gets a fault of a log", () => {
    expect(ocsfAltered({ ...place, id: "aud_1" }, 5)).toMatchObject({
      ...{ class_uid: 3004, severity: "High", status: "Failure", time: 5, message: ALTERED_WORDS },
      metadata: { uid: "aud_1", log_name: "mbx_1", sequence: 7, event_code: "altered" },
      unmapped: { stored: place.text, hash: "ab" },
    });
  });
});
