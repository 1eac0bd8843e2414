import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ACTIONS, type Action, isAction, type OnlyNamed } from "../../src/audit/actions.ts";
import { type Entry, NO_PREVIOUS, newEntryText } from "../../src/audit/entry.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/audit.md"), "utf8");

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
}

test("docs/audit.md has every action with its sentence and its fields, and no other", () => {
  const [section = ""] = page.split("\n## What is in it\n")[1]?.split("\n## ") ?? [];
  const rows = section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .map(([, action = "", says = "", detail = "", personal = ""]) => [
      namesIn(action)[0],
      { says, detail: namesIn(detail), personal: namesIn(personal) },
    ]);
  expect(rows).toEqual(Object.entries(ACTIONS));
});

test("an action is a group and what was done, in small letters, and says it in one sentence", () => {
  for (const [action, { says }] of Object.entries(ACTIONS)) {
    expect(action).toMatch(/^[a-z_]+\.[a-z_]+$/);
    expect(says).toMatch(/^[A-Z][^|`]{5,100}\.$/);
  }
});

test("no field of an action is named twice", () => {
  for (const { detail, personal } of Object.values(ACTIONS)) {
    expect(new Set(detail).size).toBe(detail.length);
    expect(new Set(personal).size).toBe(personal.length);
  }
});

test("what is no action is none, whatever objects have by nature", () => {
  for (const text of ["toString", "__proto__", "constructor", "message", ""]) expect(isAction(text)).toBe(false);
  expect(isAction("message.held")).toBe(true);
});

/** As the objects take entries. */
function record<E extends { action: Action; detail?: object; personal?: object }>(entry: E & OnlyNamed<E>): E {
  return entry;
}

test("a field that an action does not name does not compile, however it is written", () => {
  const status = "queued";
  const detail: Record<string, string> = { status };
  const either = status.length > 3;
  record({ action: "message.held", detail: { status, rule: "mode" }, personal: { subject: "Offer" } });
  // @ts-expect-error: an action that is not in the table
  record({ action: "message.hold" });
  // @ts-expect-error: a field of another action
  record({ action: "message.held", detail: { status, revision: 1 } });
  // @ts-expect-error: a sealed field in the open
  record({ action: "message.held", detail: { subject: "Offer" } });
  // @ts-expect-error: a sealed field of another action
  record({ action: "message.held", personal: { note: "no" } });
  // @ts-expect-error: spread in
  record({ action: "message.held", detail: { status, ...(either && { revision: 1 }) } });
  // @ts-expect-error: in one case only
  record({ action: "message.held", detail: either ? { status } : { status, revision: 1 } });
  // @ts-expect-error: fields of any name
  record({ action: "message.held", detail });
  // @ts-expect-error: a field that only one of two actions has
  record({ action: either ? "message.held" : "message.edited", detail: { revision: 1 } });
  expect.assertions(0);
});

const entry: Entry = {
  ...{ v: 1, log: "mbx_1", seq: 0, id: "aud_1", at: "2026-01-01T00:00:00.000Z", prev: NO_PREVIOUS },
  ...{ actor: { type: "system", id: "multimail", via: "system" }, action: "store.swept", mode: null },
  ...{ resource: { type: "mailbox", id: "mbx_1" }, detail: { removed: 1 } },
};

test.each<[string, Partial<Entry>]>([
  ["a fraction", { detail: { removed: 0.5 } }],
  ["a number that is none", { detail: { removed: Number.NaN } }],
  ["a number past 2^53", { detail: { removed: 2 ** 53 } }],
  ["a lone surrogate", { detail: { removed: "\ud800" } }],
  ["a lone surrogate in a list", { detail: { removed: ["a", "\udc00"] } }],
  ["a lone surrogate in a name", { detail: { "\ud800": 1 } }],
  ["a lone surrogate in an id", { resource: { type: "mailbox", id: "\udfff" } }],
])("%s enters no entry", (_what, change) => {
  expect(() => newEntryText({ ...entry, ...change })).toThrow(/of an entry (is no integer|has a lone surrogate)$/);
});

test("pairs of surrogates, negative numbers and the largest integer do", () => {
  const detail = { removed: Number.MAX_SAFE_INTEGER, a: -1, b: ["😀"] };
  expect(JSON.parse(newEntryText({ ...entry, detail }))).toEqual({ ...entry, detail });
});
