import { describe, expect, test } from "vitest";
import type { Env } from "../../src/env.ts";
import { Refused } from "../../src/errors.ts";
import { CLAIM_LIMITS } from "../../src/identity/claim.ts";
import { newId } from "../../src/ids.ts";
import { agentId, knownAgentId, modelId, modelProvider } from "../../src/operations/fields.ts";
import { readMailboxAddress } from "../../src/operations/mailbox-settings.ts";

/** What enters a claim is limited when it is accepted, on both sides of each limit (FORMATS.md §1). */

const HEADER_BREAKERS = ["", " ", "a b", "a;b", "a=b", "a,b", 'a"b', "a\r\nb", "a\0b", "é", "ａ", "a\u200bb"];

describe.each([
  ["an agent's id", agentId, 64, ["a", "A.b_c-9", "-", "KEY_1", "a-key_", "key"], ["a/b", "a:b"]],
  ["an agent that is looked for", knownAgentId, 64, ["a", "key_1"], ["a/b", "a:b"]],
  ["a model's id", modelId, 48, ["m", "meta/llama-3.1:70b_q4"], []],
  ["a model's provider", modelProvider, 16, ["p", "aws/bedrock:eu"], []],
])("%s", (_what, schema, octets, taken, refused) => {
  test.each(["x".repeat(octets), ...taken])("takes %j as it is", (text) => {
    expect(schema.parse(text)).toBe(text);
  });

  test.each(["x".repeat(octets + 1), ...refused, ...HEADER_BREAKERS])("refuses %j", (text) => {
    expect(schema.safeParse(text).success).toBe(false);
  });
});

test.each(["key_", "key_x", newId("key", 0)])("nobody takes %j as a name: it could be a key's own id", (id) => {
  expect(agentId.safeParse(id).error?.issues).toMatchObject([{ message: expect.stringContaining("key_") }]);
});

describe("a mailbox's address", () => {
  const domain = `${"d".repeat(40)}.example`;
  const env = { MAIL_DOMAIN: domain } as Env;
  const room = CLAIM_LIMITS.mailbox - `@${domain}`.length;

  test("takes what a claim has room for, and not an octet more", () => {
    const address_local = "a".repeat(room);
    expect(readMailboxAddress(env, { address_local })).toHaveLength(CLAIM_LIMITS.mailbox);
    expect(readMailboxAddress(env, { address: `${address_local}@${domain}` })).toHaveLength(CLAIM_LIMITS.mailbox);
    for (const wish of [{ address_local: `${address_local}a` }, { address: `${address_local}a@${domain}` }]) {
      expect(() => readMailboxAddress(env, wish)).toThrow(Refused);
    }
  });
});

test("our own ids are as long as a claim expects", () => {
  for (const prefix of ["ten", "em", "apr", "idk", "key"] as const) {
    expect(newId(prefix, 0).length).toBeLessThanOrEqual(CLAIM_LIMITS.our_id);
  }
});
