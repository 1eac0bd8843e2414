import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/audit/entry.ts";
import { csvCell, csvCheckpoint, csvColumns, csvHeader, csvRecord } from "../../src/audit/export-csv.ts";

const ENTRY: Entry = {
  v: 1,
  log: "mbx_1",
  seq: 7,
  id: "aud_1",
  at: "2026-11-20T08:00:00.123Z",
  actor: { type: "agent", id: "alice", agent_id: "alice", key_id: "key_1", via: "rest" },
  action: "message.held",
  resource: { type: "email", id: "em_1" },
  mode: null,
  detail: { recipients: 2, rule: "mode gated_send" },
  prev: "0".repeat(64),
};

/** Reads CSV as RFC 4180 says, byte by byte. */
function parsed(text: string): string[][] {
  const records: string[][] = [];
  let cells: string[] = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ",") {
      cells.push(cell);
      cell = "";
    } else if (character === "\r" && text[at + 1] === "\n") {
      records.push([...cells, cell]);
      cells = [];
      cell = "";
      at++;
    } else cell += character;
  }
  expect([cell, cells, quoted]).toEqual(["", [], false]);
  return records;
}

function asObject(record: string, personal: boolean): Record<string, string> {
  const [cells = [], ...more] = parsed(record);
  expect(more).toEqual([]);
  expect(cells).toHaveLength(csvColumns(personal).length);
  return Object.fromEntries(csvColumns(personal).map((name, index) => [name, cells[index] ?? ""]));
}

describe("a cell", () => {
  test.each([
    ["plain", "plain"],
    ["", ""],
    ["a,b", '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ["two\nlines", '"two\nlines"'],
    ["=1+1", "'=1+1"],
    ["+41 79", "'+41 79"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["\r=1", `"'\r=1"`],
    ["\uff1d1+1", "'\uff1d1+1"],
    ["=1,2", `"'=1,2"`],
    ["a=1", "a=1"],
  ])("%j is written %j", (text, written) => {
    expect(csvCell(text)).toBe(written);
  });
});

describe("a record", () => {
  test("has what stands openly, each in its column", () => {
    expect(asObject(csvRecord(ENTRY, "ab", undefined), false)).toEqual({
      log: "mbx_1",
      seq: "7",
      at: "2026-11-20T08:00:00.123Z",
      id: "aud_1",
      action: "message.held",
      says: "A message waits for a person's decision.",
      actor_type: "agent",
      actor_id: "alice",
      agent_id: "alice",
      key_id: "key_1",
      via: "rest",
      resource_type: "email",
      resource_id: "em_1",
      mode: "",
      detail: '{"recipients":2,"rule":"mode gated_send"}',
      hash: "ab",
      prev: "0".repeat(64),
    });
  });

  test("has the opened fields in columns of their own, and loses none of them", () => {
    const personal = { to: ["ana@b.example", "ben@b.example"], subject: 'An "offer", now', metadata: { order: 1 } };
    expect(asObject(csvRecord(ENTRY, "ab", personal), true)).toMatchObject({
      to: "ana@b.example, ben@b.example",
      subject: 'An "offer", now',
      from: "",
      other_personal: '{"metadata":{"order":1}}',
    });
    const both = asObject(csvRecord(ENTRY, "ab", { from: "a", envelope_from: "b" }), true);
    expect(both).toMatchObject({ from: "a", other_personal: '{"envelope_from":"b"}' });
  });

  test("has empty cells for what was erased, and as many as the line of names", () => {
    const erased = asObject(csvRecord(ENTRY, "ab", null), true);
    expect([erased.to, erased.subject, erased.other_personal]).toEqual(["", "", ""]);
    for (const personal of [true, false]) {
      expect(parsed(csvHeader(personal))).toEqual([csvColumns(personal)]);
      const last = asObject(csvCheckpoint("mbx_1", "origin\n1\nroot\n\n— sig\n", personal), personal);
      expect(last).toMatchObject({ log: "mbx_1", action: "checkpoint", detail: "origin\n1\nroot\n\n— sig\n", seq: "" });
    }
  });
});

test("docs/audit.md names every column", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/audit.md"), "utf8");
  const [, section = ""] = /^#### Columns\n([\s\S]*?)(?=\n#)/m.exec(page) ?? [];
  const told = [...section.matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  expect(told).toEqual(csvColumns(true));
});
