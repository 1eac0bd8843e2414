import { describe, expect, test } from "vitest";
import { z } from "zod";
import { admit, type RawInput } from "../../src/doors/admit.ts";
import { MAX_JSON_DEPTH } from "../../src/doors/limits.ts";
import { Refused } from "../../src/errors.ts";
import { agentId, headerText, tags } from "../../src/operations/fields.ts";
import { defineOperation, type Operation } from "../../src/operations/operation.ts";
import type { Caller, Scope } from "../../src/oversight/caller.ts";

function operationWith(input: z.ZodType, scope: Scope[] = ["read"]): Operation {
  return defineOperation({
    name: "try_it",
    summary: "Tries.",
    scope,
    effect: null,
    input,
    output: z.object({}),
    rest: [],
    handler: async () => ({ status: 200, body: {} }),
  });
}

function caller(more: Partial<Caller> = {}): Caller {
  return {
    tenant_id: "ten_1",
    key_id: "key_1",
    created_by: null,
    scopes: ["read"],
    mailbox_ids: null,
    agent_id: null,
    bound_agent_id: null,
    test: false,
    via: "rest",
    ...more,
  };
}

function raw(more: Partial<RawInput> & { search?: string } = {}): RawInput {
  return { path: {}, query: new URLSearchParams(more.search), body: undefined, headers: new Headers(), ...more };
}

function refusal(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
  throw new Error("nothing was refused");
}

const anything = operationWith(
  z.strictObject({
    a: z.string().optional(),
    b: z.unknown().optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
  }),
);

describe("admit", () => {
  test("lets in any one of the scopes", () => {
    const operation = operationWith(z.strictObject({}), ["send", "oversight"]);
    for (const scope of ["send", "oversight"] as const)
      expect(admit(operation, caller({ scopes: [scope] }), raw()).input).toEqual({});
    for (const scopes of [[], ["read"], ["read", "admin"]] as Scope[][]) {
      expect(refusal(() => admit(operation, caller({ scopes }), raw())).code).toBe("missing_scope");
    }
  });

  test("puts path, query and body together; two that differ are refused, two that agree are not", () => {
    const agreeing = raw({ path: { a: "1" }, search: "a=1", body: { a: "1", b: [] } });
    expect(admit(anything, caller(), agreeing).input).toEqual({ a: "1", b: [] });
    for (const different of [
      raw({ path: { a: "1" }, body: { a: "2" } }),
      raw({ search: "a=1", body: { a: "2" } }),
      raw({ path: { a: "1" }, search: "a=2" }),
    ]) {
      expect(refusal(() => admit(anything, caller(), different))).toMatchObject({
        code: "invalid_input",
        issues: [{ path: "a" }],
      });
    }
  });

  test("makes metadata.<key> a member of metadata, in query and body", () => {
    expect(admit(anything, caller(), raw({ search: "metadata.x=1&metadata.y.z=2" })).input).toEqual({
      metadata: { x: "1", "y.z": "2" },
    });
    expect(admit(anything, caller(), raw({ body: { metadata: { w: 0 }, "metadata.x": 1 } })).input).toEqual({
      metadata: { w: 0, x: 1 },
    });
    expect(refusal(() => admit(anything, caller(), raw({ body: { metadata: "x", "metadata.x": 1 } }))).issues).toEqual([
      { path: "metadata", message: "must be a map" },
    ]);
    expect(
      refusal(() => admit(operationWith(z.strictObject({})), caller(), raw({ search: "metadata.x=1" }))).issues?.[0]
        ?.path,
    ).toBe("metadata.x");
  });

  test("refuses prototypes, lone surrogates, NUL, endless numbers and endless nesting wherever they hide", () => {
    let deep: unknown = 1;
    for (let n = 0; n < 100_000; n++) deep = [deep];
    const fitting = JSON.parse(`${"[".repeat(MAX_JSON_DEPTH - 1)}${"]".repeat(MAX_JSON_DEPTH - 1)}`);
    expect(admit(anything, caller(), raw({ body: { b: fitting } })).input).toEqual({ b: fitting });
    for (const b of [
      deep,
      JSON.parse('{"__proto__":1}'),
      "\ud800",
      { "\udfff": 1 },
      [Number.POSITIVE_INFINITY],
      [[fitting]],
    ]) {
      expect(refusal(() => admit(anything, caller(), raw({ body: { b } }))).code).toBe("invalid_input");
    }
    for (const b of ["\0", { "a\0": 1 }, ["x", ["\0"]]]) {
      expect(refusal(() => admit(anything, caller(), raw({ body: { b } }))).code).toBe("forbidden_characters");
    }
    expect(refusal(() => admit(anything, caller(), raw({ search: "a=%00" }))).code).toBe("forbidden_characters");
    expect(refusal(() => admit(anything, caller(), raw({ search: "__proto__=1" }))).code).toBe("invalid_input");
  });

  test("repeats no control character of the caller's keys", () => {
    const { error, issues } = refusal(() => admit(anything, caller(), raw({ body: { "x\r\ny": 1 } })));
    expect(error).toBe("x\ufffd\ufffdy is not a field of this operation.");
    expect(issues).toEqual([{ path: "x\ufffd\ufffdy", message: "is not a field of this operation" }]);
  });

  test("names at most 20 issues", () => {
    const body = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`x${n}`, 1]));
    expect(refusal(() => admit(anything, caller(), raw({ body }))).issues).toHaveLength(20);
  });

  test("answers with the code that a field has of its own, also inside a map or list", () => {
    const operation = operationWith(z.strictObject({ subject: headerText(10).optional(), tags: tags.optional() }));
    for (const body of [{ subject: "a\nb" }, { tags: ["a\nb"] }, { tags: { "a\nb": "" } }, { tags: { a: "b\r" } }]) {
      expect(refusal(() => admit(operation, caller(), raw({ body }))).code).toBe("forbidden_characters");
    }
    expect(refusal(() => admit(operation, caller(), raw({ body: { tags: 7 } }))).code).toBe("invalid_input");
  });
});

describe("the idempotency key", () => {
  const keyOf = (more: Partial<RawInput>) => admit(anything, caller(), raw(more)).idempotencyKey;

  test("is taken from body or header, and is no part of the input", () => {
    expect(keyOf({})).toBeNull();
    expect(keyOf({ headers: new Headers({ "Idempotency-Key": "h" }) })).toBe("h");
    const admitted = admit(anything, caller(), raw({ body: { a: "x", idempotency_key: "k" } }));
    expect(admitted).toMatchObject({ idempotencyKey: "k", input: { a: "x" } });
  });

  test.each(["", " x", "x ", "a\tb", "ä", "x".repeat(256), 7, null, {}])("%j is none", (idempotency_key) => {
    if (idempotency_key === null) expect(keyOf({ body: { idempotency_key } })).toBeNull();
    else
      expect(refusal(() => keyOf({ body: { idempotency_key } }))).toMatchObject({
        code: "invalid_input",
        issues: [{ path: "idempotency_key" }],
      });
  });
});

describe("the acting agent", () => {
  const agentOf = (operation: Operation, key: Caller, more: Partial<RawInput>) =>
    admit(operation, key, raw(more)).caller.agent_id;
  const header = { headers: new Headers({ "X-MM-Agent": "bob" }) };

  test("is the body's, else the header's, else the key's own", () => {
    expect(agentOf(anything, caller({ agent_id: "own" }), {})).toBe("own");
    expect(agentOf(anything, caller(), header)).toBe("bob");
    expect(agentOf(anything, caller(), { ...header, body: { agent_id: "carol" } })).toBe("carol");
  });

  test("stays a field where the operation has one of that name", () => {
    const operation = operationWith(z.strictObject({ agent_id: agentId.optional() }));
    const admitted = admit(operation, caller(), raw({ ...header, body: { agent_id: "carol" } }));
    expect(admitted).toMatchObject({ caller: { agent_id: "bob" }, input: { agent_id: "carol" } });
  });

  test("is never another than the one a key is bound to", () => {
    const bound = caller({ agent_id: "alice", bound_agent_id: "alice" });
    expect(agentOf(anything, bound, { body: { agent_id: "alice" } })).toBe("alice");
    expect(refusal(() => agentOf(anything, bound, header)).code).toBe("agent_not_allowed");
    expect(refusal(() => agentOf(anything, bound, { body: { agent_id: "bob" } })).code).toBe("agent_not_allowed");
  });

  test.each(["", "a b", "a;b", "a=b", "ä", "x".repeat(65)])("%j is no agent's id", (agent_id) => {
    expect(refusal(() => agentOf(anything, caller(), { body: { agent_id } })).code).toBe("invalid_input");
  });
});
