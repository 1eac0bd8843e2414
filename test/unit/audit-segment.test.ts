import { describe, expect, test } from "vitest";
import { hashEntryText } from "../../src/audit/entry.ts";
import { readSegment, segmentBytes, segmentDigest, segmentKey } from "../../src/audit/segment.ts";

const NOTE = "mail.test/logs/mbx_1\n3\nAAAA\n\n— mail.test/logs/mbx_1 AAAA\n";
// What JSON leaves as it is and lines could be cut at, and what an entry could hold that looks like an end.
const TEXTS = ['{"a":1}', '{"a":"\u2028\u2029\u0085"}', '{"a":"x\\",\\"hash\\":\\"00\\"}"}'];
const entries = TEXTS.map((text) => ({ text, hash: hashEntryText(text) }));

describe("a segment", () => {
  test("has the entries as they are exported, a line each, then the checkpoint", () => {
    const lines = Buffer.from(segmentBytes(entries.slice(0, 1), NOTE))
      .toString("utf8")
      .split("\n");
    expect(lines).toEqual([`{"a":1,"hash":"${entries[0]?.hash}"}`, JSON.stringify({ checkpoint: NOTE }), ""]);
  });

  test("is read back as it was made, and made again to the same bytes", () => {
    const bytes = segmentBytes(entries, NOTE);
    const read = readSegment(bytes, 7);
    expect(read).toEqual({ note: NOTE, entries: entries.map((entry, index) => ({ seq: 7 + index, ...entry })) });
    expect(segmentDigest(segmentBytes(read.entries, read.note))).toBe(segmentDigest(bytes));
  });

  test.each<[string, (text: string) => string]>([
    ["an entry that is changed by one byte", (text) => text.replace('{"a":1', '{"a":2')],
    ["a hash that is changed", (text) => text.replace(/"hash":"./, '"hash":"x')],
    ["an end that is cut off", (text) => text.slice(0, -1)],
    ["no checkpoint", (text) => `${text.split("\n").slice(0, 3).join("\n")}\n`],
    ["nothing", () => ""],
  ])("with %s is not read", (_what, change) => {
    const text = Buffer.from(segmentBytes(entries, NOTE)).toString("utf8");
    expect(() => readSegment(Buffer.from(change(text)), 0)).toThrow();
  });

  test("lies under a key that sorts as the log does", () => {
    const keys = [0, 999, 1_000, 10_000].map((first) => segmentKey("ten_1", "mbx_1", first, first + 5));
    expect(keys[0]).toBe("audit/ten_1/mbx_1/000000000000-000000000005.ndjson");
    expect([...keys].sort()).toEqual(keys);
  });
});
