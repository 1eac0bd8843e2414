import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkpointLine } from "../../src/audit/export-line.ts";
import { FAULT_CODES } from "../../src/audit/faults.ts";
import { consistencyProof } from "../../src/audit/merkle-tree.ts";
import { formatVerifierKey } from "../../src/audit/signed-note.ts";
import { type GivenTrust, readTrust, UnusableCheckpoint } from "../../src/audit/trust.ts";
import { type ExportVerdict, ExportVerifier, verifyExport } from "../../src/audit/verify-export.ts";
import { UnreadableKey } from "../../src/identity/public-keys.ts";
import { TAMPERED_ENDS } from "../support/tampered-ends.ts";
import { TAMPERED_ENTRIES, TAMPERED_LINES } from "../support/tampered-entries.ts";
import { forged, last, log, opened, other, replaced, SIZE, thief, whole, witness } from "../support/tampered-log.ts";
import { cut, exportBytes, TestLog } from "../support/test-log.ts";

const CHUNKS = [1, 7, 64 * 1024] as const;

/** The answer, which is the same however the bytes are cut. */
async function verdictOn(bytes: Uint8Array, given: Partial<GivenTrust> = {}): Promise<ExportVerdict> {
  const trust = readTrust({ keys: log.key, ...given });
  const [first, ...others] = await Promise.all(CHUNKS.map((octets) => verifyExport(cut(bytes, octets), trust)));
  for (const other of others) expect(other).toEqual(first);
  return first as ExportVerdict;
}

const verify = (lines: readonly string[], given?: Partial<GivenTrust>) => verdictOn(exportBytes(lines), given);

const TAMPERINGS = { ...TAMPERED_ENTRIES, ...TAMPERED_LINES, ...TAMPERED_ENDS };

describe("what holds", () => {
  test("a whole log", async () => {
    expect(await verify(whole)).toEqual({
      ok: true,
      log: "mbx_1",
      origin: "mail.test/logs/mbx_1",
      entries: SIZE,
      first: 0,
      last: SIZE - 1,
      from: "2026-11-01T00:00:00.000Z",
      to: "2026-11-01T00:00:24.000Z",
      size: SIZE,
      root: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
      signed_by: log.key,
      witnessed_by: [],
      grown_from: null,
      opened: 0,
    });
  });

  test("a whole log with its opened fields, which no hash covers: it says how many there are", async () => {
    expect(await verify(log.lines({ opened: true }))).toMatchObject({ ok: true, entries: SIZE, opened: 17 });
  });

  test("without the LF at its end", async () => {
    const bytes = exportBytes(whole);
    expect(await verdictOn(bytes.subarray(0, -1))).toMatchObject({ ok: true });
  });

  test("a log of one entry, and one of none", async () => {
    expect(await verify(log.lines({ size: 1 }))).toMatchObject({ ok: true, entries: 1, size: 1 });
    const none = { ok: true, log: "mbx_1", entries: 0, first: null, last: null, from: null, to: null, size: 0 };
    expect(await verify(log.lines({ size: 0 }))).toMatchObject(none);
  });

  test("each part of a log, under a checkpoint of its end and of later", async () => {
    const small = new TestLog(12);
    const trust = readTrust({ keys: small.key });
    for (let start = 0; start <= 12; start++) {
      for (let end = start; end <= 12; end++) {
        for (const size of [end, 12]) {
          const verdict = await verifyExport([exportBytes(small.part(start, end, size))], trust);
          expect(verdict).toMatchObject({ ok: true, entries: end - start, size });
        }
      }
    }
  });

  test("whichever of several keys signed it", async () => {
    const other = new TestLog(1, { seed: 9 });
    expect(await verify(whole, { keys: `${other.key}\n\n${log.key}\r\n` })).toMatchObject({ signed_by: log.key });
  });

  test("with the witness that was asked for, who says when", async () => {
    const lines = replaced(last, checkpointLine(witness.sign(log.checkpoint(), 1_790_000_000)));
    expect(await verify(lines, { witnesses: [formatVerifierKey(witness.key)] })).toMatchObject({
      witnessed_by: [{ name: "witness.example/w1", at: "2026-09-21T14:13:20.000Z" }],
    });
    // Whom nobody asked for is passed over.
    expect(await verify(lines)).toMatchObject({ ok: true, witnessed_by: [] });
  });

  test.each<[string, string]>([
    ["as a note", log.checkpoint(20)],
    ["as the last line of an older export", `${checkpointLine(log.checkpoint(20))}\n`],
    ["out of a mail", `\r\n${log.checkpoint(20).replaceAll("\n", "\r\n")}\r\n`],
  ])("grown out of an older checkpoint, kept %s", async (_how, after) => {
    expect(await verify(whole, { after })).toMatchObject({ ok: true, grown_from: 20 });
  });

  test("a part, where the older checkpoint is of its beginning, its middle, its end, or the newest", async () => {
    for (const size of [0, 10, 20, 30, SIZE]) {
      expect(await verify(log.part(10, 30), { after: log.checkpoint(size) })).toMatchObject({
        ok: true,
        grown_from: size,
      });
    }
  });
});

describe("a part that does not reach the older checkpoint is held to it by a proof from somebody who has the tree", () => {
  const [before, after] = [log.part(20, 30), log.part(40, SIZE)];
  const growth = (from: TestLog, first = 35) => consistencyProof(first, SIZE, from.nodes);

  test.each<[string, readonly string[], Uint8Array[] | null, object]>([
    ["one that ends before it", before, growth(log), { ok: true, grown_from: 35 }],
    ["one that begins after it", after, growth(log), { ok: true, grown_from: 35 }],
    ["one without a proof", before, null, { fault: { code: "not_comparable" } }],
    ["one with an empty proof", before, [], { fault: { code: "split_view", line: 12 } }],
    ["one with the proof of another checkpoint", before, growth(log, 34), { fault: { code: "split_view" } }],
    [
      "one of another history, with its proof",
      forged.part(40, SIZE),
      growth(forged),
      { fault: { code: "split_view" } },
    ],
    ["one of another history, with ours", forged.part(40, SIZE), growth(log), { fault: { code: "split_view" } }],
    ["one that was changed, with ours", after.toSpliced(3, 1), growth(log), { fault: { code: "gap", seq: 43 } }],
  ])("%s", (_what, lines, proof, expected) => {
    const verifier = new ExportVerifier(readTrust({ keys: log.key, after: log.checkpoint(35) }), proof);
    verifier.write(exportBytes(lines));
    expect(verifier.end()).toMatchObject(expected);
  });

  test("and what the entries themselves show goes before it", () => {
    const trust = readTrust({ keys: log.key, after: log.checkpoint(25) });
    const [ours, theirs] = [new ExportVerifier(trust, growth(forged, 25)), new ExportVerifier(trust, growth(log, 25))];
    ours.write(exportBytes(log.part(20, 30)));
    expect(ours.end()).toMatchObject({ ok: true, grown_from: 25 });
    theirs.write(exportBytes(forged.part(20, 30)));
    expect(theirs.end()).toMatchObject({ ok: false, fault: { code: "split_view" } });
  });
});

describe("each tampering is named, with the line and the entry where it begins", () => {
  test.each(Object.entries(TAMPERINGS))("%s", async (what, tampering) => {
    const bytes = exportBytes(tampering.lines);
    const verdict = what.includes("millions")
      ? await verifyExport(cut(bytes, 64 * 1024), readTrust({ keys: log.key }))
      : await verdictOn(bytes, tampering.given);
    const { code, line: at, seq } = tampering;
    expect(verdict).toEqual({ ok: false, fault: { code, line: at, seq, message: expect.any(String) } });
    const { message } = (verdict as { fault: { message: string } }).fault;
    expect(message).toMatch(tampering.says ?? /^[A-Z].*\.$/);
  });

  test("and no code is without one, nor without its row in docs/audit.md", () => {
    const named = new Set(Object.values(TAMPERINGS).map(({ code }) => code));
    const page = readFileSync("docs/audit.md", "utf8");
    expect(FAULT_CODES.filter((code) => !named.has(code))).toEqual([]);
    expect(FAULT_CODES.filter((code) => !page.includes(`| \`${code}\` |`))).toEqual([]);
  });
});

describe("an export that is cut at any byte is never whole", () => {
  const bytes = exportBytes(whole);
  const trust = readTrust({ keys: log.key });
  test("and says so", async () => {
    for (let octets = 0; octets < bytes.length - 1; octets += octets > bytes.length - 500 ? 1 : 37) {
      const verdict = await verifyExport([bytes.subarray(0, octets)], trust);
      expect(verdict).toMatchObject({ ok: false, fault: { code: octets === 0 ? "empty" : "truncated" } });
    }
  });

  test("cut in a line that is not UTF-8 any more", async () => {
    const at = Buffer.from(bytes).indexOf("ü");
    expect(await verdictOn(bytes.subarray(0, at + 1))).toMatchObject({
      ok: false,
      fault: { code: "truncated", line: 6 },
    });
    expect(await verdictOn(bytes.with(at, 0xff))).toMatchObject({ ok: false, fault: { code: "not_json", line: 6 } });
  });
});

describe("what the reader goes by must be usable", () => {
  test.each<[string, GivenTrust]>([
    ["no key", { keys: " \n" }],
    ["no verifier key", { keys: "hello" }],
    ["a witness for a log", { keys: formatVerifierKey(witness.key) }],
    ["a log for a witness", { keys: log.key, witnesses: [log.key] }],
    ["more keys than anyone has", { keys: `${log.key}\n`.repeat(101) }],
  ])("%s", (_what, given) => expect(() => readTrust(given)).toThrow(UnreadableKey));

  test.each<[string, string]>([
    ["no note", "hello"],
    ["no checkpoint", log.signer.sign("hello\n")],
    ["one that another signed", log.checkpoint(20, {}, thief)],
    ["one that was changed", log.checkpoint(20).replace("\n20\n", "\n21\n")],
    ["one of another log", other.checkpoint()],
    ["one of another log, signed by this log's key", log.checkpoint(20, { origin: other.origin })],
    ["one with a line of the key that does not hold", log.checkpoint(20) + log.checkpoint(3).split("\n\n")[1]],
  ])("an older checkpoint that is %s", (_what, after) =>
    expect(() => readTrust({ keys: log.key, after })).toThrow(UnusableCheckpoint),
  );
});

const RUNS = { numRuns: process.env.SLOW === "1" ? 100_000 : 1000 };

test("any change of a byte is caught, except inside opened fields: those are said to be covered by nothing", async () => {
  const bytes = Buffer.from(exportBytes(opened));
  const trust = readTrust({ keys: log.key });
  const text = bytes.toString("latin1");
  const isInside = (at: number) => {
    const lineStart = text.lastIndexOf("\n", at - 1) + 1;
    const begins = text.indexOf('"personal":{', lineStart) + '"personal":{'.length;
    return begins >= 12 && begins <= at && at < text.indexOf("}}\n", lineStart);
  };
  let passed = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changedBytes = Buffer.from(bytes);
      changedBytes[at] = (changedBytes[at] as number) ^ flip;
      const verdict = await verifyExport([changedBytes], trust);
      if (!verdict.ok) return;
      passed += 1;
      // What still passes was changed between the braces of opened fields, or is the LF after the checkpoint.
      expect(isInside(at)).toBe(true);
      expect(verdict.opened).toBe(17);
    }),
    RUNS,
  );
  expect(passed).toBeGreaterThan(0);
});

test("what is kept of an export does not grow with it", () => {
  const verifier = new ExportVerifier(readTrust({ keys: log.key }));
  for (const bytes of cut(exportBytes(whole), 100)) verifier.write(bytes);
  const kept = JSON.stringify(verifier, (_name, value) => (value instanceof Uint8Array ? value.length : value));
  expect(kept.length).toBeLessThan(10_000);
  expect(verifier.end()).toMatchObject({ ok: true });
});
