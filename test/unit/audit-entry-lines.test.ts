import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Entry, hashEntryText } from "../../src/audit/entry.ts";
import { type FormFault, isFacts, readEntryLine } from "../../src/audit/entry-facts.ts";
import { scanEntryLine } from "../../src/audit/entry-scan.ts";
import { exportLine } from "../../src/audit/export-line.ts";
import { readTrust } from "../../src/audit/trust.ts";
import { verifyExport } from "../../src/audit/verify-export.ts";
import { line, log, opened, whole } from "../support/tampered-log.ts";
import { exportBytes, TestLog } from "../support/test-log.ts";

/** What the fast way reads of a line. */
function scanned(text: string) {
  const octets = new Uint8Array(Buffer.from(text));
  return scanEntryLine(octets, new TextDecoder("latin1").decode(octets), 0, octets.length);
}

describe("both ways to read a line", () => {
  const anyValue = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.string(), { maxLength: 3 }),
  );
  const anyLog = fc
    .record({
      detail: fc.dictionary(fc.string(), anyValue, { maxKeys: 5 }),
      action: fc.string({ minLength: 1 }),
      id: fc.string({ minLength: 1, unit: "grapheme" }),
      agent_id: fc.constantFrom("sales", "a\\b", 'a"b', "a\u007fb", "é"),
    })
    .map(
      ({ detail, action, id, agent_id }) =>
        new TestLog(3, {
          change: (entry) => ({
            ...entry,
            action,
            id,
            detail: detail as Entry["detail"],
            actor: { ...entry.actor, agent_id },
          }),
        }),
    );

  test("whatever a log may hold verifies", async () => {
    await fc.assert(
      fc.asyncProperty(anyLog, async (made) => {
        const verdict = await verifyExport([exportBytes(made.lines({ opened: true }))], readTrust({ keys: made.key }));
        expect(verdict).toMatchObject({ ok: true, entries: 3 });
      }),
      { numRuns: 300 },
    );
  });

  test("what the fast one reads, the exact one reads the same", () => {
    let read = 0;
    const lines = [...opened.slice(0, 12), line(20)];
    fc.assert(
      fc.property(
        fc.constantFrom(...lines),
        fc.array(
          fc.tuple(
            fc.nat({ max: 700 }),
            fc.constantFrom(...'0123456789abz"\\{}[],:-. eE\n\u007fü'),
            fc.nat({ max: 2 }),
          ),
          {
            maxLength: 2,
          },
        ),
        (base, edits) => {
          let text = base;
          for (const [at, character, gone] of edits) text = text.slice(0, at) + character + text.slice(at + gone);
          const fast = scanned(text);
          if (fast === null) return;
          read += 1;
          const exact = readEntryLine(text);
          expect(isFacts(exact)).toBe(true);
          expect(fast).toEqual(exact);
        },
      ),
      { numRuns: process.env.SLOW === "1" ? 300_000 : 20_000 },
    );
    expect(read).toBeGreaterThan(1000);
  });

  test("ordinary lines are read by the fast one, and with opened fields as long as those are ASCII", () => {
    const isFast = (text: string) => scanned(text) !== null;
    expect(whole.slice(0, -1).filter((each) => !isFast(each))).toEqual([line(5)]);
    const slow = opened.slice(0, -1).filter((each) => !isFast(each));
    expect(slow.every((each) => each.includes("Größe") || each === line(5))).toBe(true);
    expect(slow).toHaveLength(10);
  });
});

describe("an entry whose hash is right can still be none", () => {
  /** The line of an entry as somebody writes it who has the log's key. */
  const lineOf = (text: string) => exportLine(text, hashEntryText(text), null);
  const text = log.texts[20] as string;
  const changing = (from: string, to: string) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  };

  test("as it is, it is one", () => expect(readEntryLine(lineOf(text))).toMatchObject({ seq: 20, log: "mbx_1" }));

  test.each<[string, string, FormFault["code"]]>([
    ["a number that is no integer", changing('"recipients":2', '"recipients":1.5'), "not_an_entry"],
    ["a number that others round", changing('"recipients":2', '"recipients":9007199254740993'), "not_an_entry"],
    ["a number beyond all others", changing('"recipients":2', '"recipients":1e400'), "not_an_entry"],
    ["a lone surrogate", changing('"sales"', '"\\ud800"'), "not_an_entry"],
    ["a lone surrogate as a name", changing('"recipients":2', '"\\ud800":2'), "not_an_entry"],
    [
      "no end of nesting",
      changing('"recipients":2', `"recipients":${"[".repeat(5000)}${"]".repeat(5000)}`),
      "not_an_entry",
    ],
    ["a member more", changing('"mode":null', '"mode":null,"mood":"good"'), "not_an_entry"],
    ["a member that every object has", changing('{"action"', '{"__proto__":1,"action"'), "not_an_entry"],
    ["no mode", changing(',"mode":null', ""), "not_an_entry"],
    ["a mode that is a number", changing('"mode":null', '"mode":5'), "not_an_entry"],
    ["a time of another form", changing(".000Z", "Z"), "not_an_entry"],
    ["no log", changing('"log":"mbx_1"', '"log":""'), "not_an_entry"],
    ["a sequence number below nothing", changing('"seq":20', '"seq":-20'), "not_an_entry"],
    ["a link that is no hash", text.replace(/"prev":"./, '"prev":"G'), "not_an_entry"],
    ["a detail that is a list", text.replace(/"detail":\{[^}]*\}/, '"detail":[]'), "not_an_entry"],
    ["a member twice", changing('"recipients":2', '"recipients":2,"recipients":2'), "not_canonical"],
  ])("%s", (_what, changed, code) => {
    const made = lineOf(changed);
    expect(scanned(made)).toBeNull();
    expect(readEntryLine(made)).toMatchObject({ code });
  });
});
