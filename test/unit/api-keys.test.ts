import { describe, expect, test } from "vitest";
import type { Scope } from "../../src/oversight/caller.ts";
import {
  conflictingPair,
  isConflicting,
  type KeyReach,
  opposedScopes,
  whatKeyChangeGivesAway,
  whatNewKeyGivesAway,
} from "../../src/oversight/key-powers.ts";

const key: KeyReach = { name: "agent", scopes: ["read"], mailbox_ids: null, agent_id: null };

test.each<[Scope[], boolean]>([
  [["send"], false],
  [["oversight"], false],
  [["read", "send", "admin"], false],
  [["read", "oversight", "admin"], false],
  [["send", "oversight"], true],
  [["oversight", "read", "send"], true],
])("one key with %s would both send and approve: %s", (scopes, conflicts) => {
  expect(isConflicting(scopes)).toBe(conflicts);
});

test("what a second key of the same agent may not have", () => {
  expect(opposedScopes(["read", "send", "admin"])).toEqual(["oversight"]);
  expect(opposedScopes(["oversight"])).toEqual(["send"]);
  expect(opposedScopes(["read", "admin"])).toEqual([]);
});

describe("keys made together", () => {
  const send = { ...key, name: "send", scopes: ["read", "send"] as Scope[] };
  const oversight = { ...key, name: "oversight", scopes: ["oversight"] as Scope[] };
  test.each<[string, KeyReach[], string[] | null]>([
    [
      "bound to one agent",
      [
        { ...send, agent_id: "a" },
        { ...oversight, agent_id: "a" },
      ],
      ["send", "oversight"],
    ],
    [
      "bound to two agents",
      [
        { ...send, agent_id: "a" },
        { ...oversight, agent_id: "b" },
      ],
      null,
    ],
    ["bound to none", [send, oversight], null],
    ["one bound, one not", [send, { ...oversight, agent_id: "a" }], null],
    [
      "two that send for one agent",
      [
        { ...send, agent_id: "a" },
        { ...send, agent_id: "a" },
      ],
      null,
    ],
  ])("%s", (_what, keys, names) => {
    expect(conflictingPair(keys)?.map(({ name }) => name) ?? null).toEqual(names);
  });
});

describe("what a new key gives away", () => {
  const live = { test: false };
  test.each<[string, { test: boolean }, Partial<KeyReach>, boolean, RegExp | null]>([
    ["reading and sending", live, { scopes: ["read", "send"] }, false, null],
    ["overseeing", live, { scopes: ["oversight"] }, false, /may oversight \(scopes oversight, in all mailboxes\)/],
    ["administering one mailbox", live, { scopes: ["admin"], mailbox_ids: ["mbx_1"] }, false, /may admin .*in mbx_1/],
    ["leaving the sandbox", { test: true }, { scopes: ["send"] }, false, /whose mail does leave/],
    ["staying in the sandbox", { test: true }, { scopes: ["send"] }, true, null],
  ])("%s", (_what, maker, change, isTest, words) => {
    const said = whatNewKeyGivesAway(maker, { ...key, ...change, test: isTest });
    if (words === null) expect(said).toBeNull();
    else expect(said).toMatch(words);
  });
});

describe("what a change of a key gives away", () => {
  const bound: Partial<KeyReach> = { mailbox_ids: ["mbx_1", "mbx_2"], agent_id: "alice" };
  test.each<[string, Partial<KeyReach>, Partial<KeyReach>, RegExp | null]>([
    ["another name", {}, { name: "other" }, null],
    ["the same", bound, {}, null],
    ["fewer scopes", { scopes: ["read", "send", "admin"] }, { scopes: ["read"] }, null],
    ["sending", {}, { scopes: ["read", "send"] }, /may also send/],
    ["administering", {}, { scopes: ["admin"] }, /may also admin/],
    ["overseeing in place of sending", { scopes: ["send"] }, { scopes: ["oversight"] }, /may also oversight/],
    ["fewer mailboxes", bound, { mailbox_ids: ["mbx_2"] }, null],
    ["mailboxes where it had all", {}, { mailbox_ids: ["mbx_1"] }, null],
    ["one more mailbox", bound, { mailbox_ids: ["mbx_1", "mbx_2", "mbx_3"] }, /also reaches mbx_3/],
    ["another mailbox", bound, { mailbox_ids: ["mbx_3"] }, /also reaches mbx_3/],
    ["all mailboxes", bound, { mailbox_ids: null }, /reaches all mailboxes/],
    ["an agent where it had none", {}, { agent_id: "alice" }, null],
    ["another agent", bound, { agent_id: "bob" }, /acts for bob \(now only for alice\)/],
    ["any agent", bound, { agent_id: null }, /acts for any agent/],
    [
      "more and less at once",
      { ...bound, scopes: ["read", "send"] },
      { scopes: ["read"], mailbox_ids: null },
      /^The key “agent” \(key_1\): it reaches all mailboxes .* \(then: scopes read, in all mailboxes, for alice\)\.$/,
    ],
  ])("%s", (_what, now, change, words) => {
    const before = { ...key, ...now };
    const said = whatKeyChangeGivesAway("key_1", { ...before, ...change }, before);
    if (words === null) expect(said).toBeNull();
    else expect(said).toMatch(words);
  });
});
