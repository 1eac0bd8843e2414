import { describe, expect, test } from "vitest";
import { z } from "zod";
import { admit, type RawInput } from "../../src/doors/admit.ts";
import { MAX_JSON_DEPTH } from "../../src/doors/limits.ts";
import { Refused } from "../../src/errors.ts";
import { attachmentsIn } from "../../src/operations/attachments-in.ts";
import {
  agentId,
  flag,
  headerText,
  instant,
  someAddresses,
  tags,
  tagsForm,
  wholeNumber,
} from "../../src/operations/fields.ts";
import { defineOperation, type Effect, type Operation } from "../../src/operations/operation.ts";
import type { Caller, Scope } from "../../src/oversight/caller.ts";

function operationWith(input: z.ZodType, scope: Scope[] = ["read"], effect: Effect | null = null): Operation {
  return defineOperation({
    name: "try_it",
    summary: "Tries.",
    scope,
    effect,
    recorded: "by_its_object",
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

describe("words", () => {
  const fields = z.strictObject({
    text: z.string().min(1).max(3).optional(),
    name: headerText(10).optional(),
    whole: wholeNumber(1, 100).optional(),
    flag: flag.optional(),
    choice: z.enum(["a", "b"]).optional(),
    list: z.array(z.string()).min(1).max(2).optional(),
    when: instant.optional(),
    hash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
    form: z.string().regex(/^a+$/).optional(),
    agent: agentId.optional(),
    to: someAddresses.optional(),
    tags: tags.optional(),
    map: z.record(z.string(), z.unknown()).optional(),
    object: z.strictObject({}).optional(),
    own: z
      .string()
      .refine(() => false, { error: "multipart types are not taken" })
      .optional(),
  });

  test.each<[Record<string, unknown>, string]>([
    [{ text: 7 }, "text must be a string."],
    [{ text: null }, "text must be a string."],
    [{ text: "" }, "text may not be empty."],
    [{ text: "xxxx" }, "text may have at most 3 characters."],
    [{ name: "x".repeat(11) }, "name may have at most 10 characters."],
    [{ name: "a\nb" }, "name may not contain line breaks or NUL."],
    [{ whole: 0 }, "whole must be at least 1."],
    [{ whole: "101" }, "whole may be at most 100."],
    [{ whole: "ten" }, "whole must be a number."],
    [{ whole: 1.5 }, "whole must be a whole number."],
    [{ flag: "maybe" }, "flag must be true or false."],
    [{ choice: "c" }, "choice must be one of a, b."],
    [{ list: "x" }, "list must be a list."],
    [{ list: [] }, "list needs at least 1 entry."],
    [{ list: ["a", "b", "c"] }, "list may have at most 2 entries."],
    [{ list: [7] }, "list.0 must be a string."],
    [{ when: "yesterday" }, "when must be a date and time with its zone, such as 2026-11-21T10:00:00Z."],
    [{ when: 7 }, "when must be a string."],
    [{ hash: "xyz" }, "hash must be 64 characters of 0-9a-f."],
    [{ form: "b" }, "form is not in the form that is needed."],
    [{ agent: "a b" }, "agent must be 1 to 64 characters of A-Z a-z 0-9 . _ -."],
    [{ to: 7 }, "to must be a string or a list."],
    [{ to: [] }, "to needs at least one address."],
    [{ to: ["a", 7] }, "to.1 must be a string."],
    [{ tags: 7 }, "tags must be a map or a list."],
    [{ map: [1] }, "map must be a map."],
    [{ object: 1 }, "object must be an object."],
    [{ own: "x" }, "own: multipart types are not taken."],
    [{ is: 1 }, "is is not a field of this operation."],
  ])("%j", (body, error) => {
    expect(refusal(() => admit(operationWith(fields), caller(), raw({ body }))).error).toBe(error);
  });

  test.each(Object.keys(fields.shape))("a missing %s is said to be needed", (name) => {
    const { error, issues } = refusal(() => admit(operationWith(fields.required()), caller(), raw({ body: {} })));
    expect(error).toBe("text is needed.");
    expect(issues).toContainEqual({ path: name, message: "is needed" });
  });

  test("a body that is no object, and a whole input that is refused", () => {
    const empty = z.strictObject({ a: z.string().optional() }).refine(() => false, { error: "names no setting" });
    expect(refusal(() => admit(operationWith(empty), caller(), raw({ body: {} }))).error).toBe(
      "The input names no setting.",
    );
    expect(refusal(() => admit(anything, caller(), raw({ body: [] }))).error).toBe("The input must be a JSON object.");
  });
});

describe("tags in the query", () => {
  test("are the form of the answer's tags where the operation takes tags, else what they are", () => {
    const tagging = operationWith(z.strictObject({ tags, tags_form: tagsForm }));
    const both = raw({ search: "tags=list", body: { tags: { list: "1" } } });
    expect(admit(tagging, caller(), both).input).toEqual({ tags: { list: "1" }, tags_form: "list" });
    expect(admit(tagging, caller(), raw({ body: { tags: ["a"] } })).input).toEqual({
      tags: { a: "" },
      tags_form: "map",
    });
    expect(refusal(() => admit(tagging, caller(), raw({ search: "tags=list" }))).error).toBe("tags is needed.");
    const plain = operationWith(z.strictObject({ tags: tagsForm }));
    expect(admit(plain, caller(), raw({ search: "tags=list" })).input).toEqual({ tags: "list" });
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

describe("the approval that a call brings", () => {
  const query = z.strictObject({ a: z.string().optional(), b: flag.default(false), c: z.unknown().optional() });
  const asking = operationWith(query, ["read"], "read");
  const header = (ref: string) => new Headers({ "X-MM-Approval": ref });
  const askedOf = (more: Partial<RawInput> & { search?: string }, operation = asking) =>
    admit(operation, caller(), raw(more)).caller.asked;

  test("is taken from body, query or header, and is no part of the input", () => {
    for (const more of [
      { body: { a: "x", approval_ref: "apr_1" } },
      { search: "a=x&approval_ref=apr_1" },
      { search: "a=x", headers: header("apr_1") },
      { body: { a: "x", approval_ref: "apr_1" }, search: "approval_ref=apr_1", headers: header("apr_1") },
    ]) {
      const { caller: acting, input } = admit(asking, caller(), raw(more));
      expect(input).toEqual({ a: "x", b: false });
      expect(acting.asked).toEqual({ operation: "try_it", input: { a: "x", b: false }, approval_ref: "apr_1" });
    }
  });

  test("is null where none is brought", () => {
    for (const body of [undefined, {}, { approval_ref: null }]) expect(askedOf({ body })?.approval_ref).toBeNull();
  });

  test("that two places name differently is a 422", () => {
    for (const more of [
      { body: { approval_ref: "apr_1" }, search: "approval_ref=apr_2" },
      { body: { approval_ref: "apr_1" }, headers: header("apr_2") },
      { search: "approval_ref=apr_1", headers: header("apr_2") },
    ]) {
      expect(refusal(() => askedOf(more))).toMatchObject({ code: "invalid_input", issues: [{ path: "approval_ref" }] });
    }
  });

  test.each(["", " apr_1", "a b", "ä", "x".repeat(65), 7, {}, ["apr_1"]])("%j is none", (approval_ref) => {
    expect(refusal(() => askedOf({ body: { approval_ref } }))).toMatchObject({
      code: "invalid_input",
      issues: [{ path: "approval_ref" }],
    });
  });

  test("twice in a query, or twice in the header, is none", () => {
    const twice = new Headers({ "X-MM-Approval": "apr_1" });
    twice.append("X-MM-Approval", "apr_1");
    expect(refusal(() => askedOf({ headers: twice })).code).toBe("invalid_input");
    expect(refusal(() => askedOf({ search: "approval_ref=apr_1&approval_ref=apr_1" })).code).toBe("invalid_input");
  });

  test.each<[Effect | null, boolean]>([
    ["read", true],
    ["annotate", true],
    ["send", false],
    ["administer", false],
    ["decide", false],
    [null, false],
  ])("goes with the effect %s: %j", (effect, taken) => {
    const operation = operationWith(query, ["read"], effect);
    expect(askedOf({ headers: header("apr_1") }, operation)?.approval_ref).toBe(taken ? "apr_1" : undefined);
    const inBody = () => askedOf({ body: { approval_ref: "apr_1" } }, operation);
    if (taken) expect(inBody()?.approval_ref).toBe("apr_1");
    else expect(refusal(inBody).issues?.[0]?.path).toBe("approval_ref");
  });
});

describe("what a human is shown of a call", () => {
  test("is the parsed input as plain JSON, by whatever door and spelling it came", () => {
    const input = z.strictObject({
      a: z.string().optional(),
      when: instant.optional(),
      n: wholeNumber(1, 9).default(3),
    });
    const operation = operationWith(input, ["read"], "annotate");
    const shown = [
      raw({ body: { when: "2026-11-21", a: "x" } }),
      raw({ search: "a=x&n=3", body: { when: "2026-11-21T00:00:00Z" } }),
      raw({ path: { a: "x" }, search: "when=2026-11-21T01:00:00%2B01:00" }),
    ].map((request) => admit(operation, caller(), request).caller.asked?.input);
    for (const each of shown) expect(each).toEqual({ a: "x", when: "2026-11-21T00:00:00.000Z", n: 3 });
  });

  test("has no member for what was left out", () => {
    const input = z.strictObject({ a: z.string().optional() }).transform(({ a }) => ({ a, inner: { a } }));
    const { asked } = admit(operationWith(input, ["read"], "read"), caller(), raw()).caller;
    expect(Object.keys(asked?.input ?? {})).toEqual(["inner"]);
    expect(Object.keys((asked?.input.inner ?? {}) as object)).toEqual([]);
  });

  test("names files by size and SHA-256 wherever they are, and the handler still gets them", () => {
    const files = [{ name: "a.txt", content_base64: "aGVsbG8=", content_type: "text/plain" }];
    const named = [
      {
        name: "a.txt",
        content_type: "text/plain",
        size: 5,
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
      },
    ];
    const input = z
      .strictObject({ attachments: attachmentsIn, metadata: z.record(z.string(), z.unknown()) })
      .transform((given) => ({ ...given, draft: { content: [given] } }));
    const operation = operationWith(input, ["read"], "annotate");
    const metadata = { attachments: files };
    const admitted = admit(operation, caller(), raw({ body: { attachments: files, metadata } }));
    const given = { attachments: files, metadata };
    expect(admitted.input).toEqual({ ...given, draft: { content: [given] } });
    const shown = { attachments: named, metadata };
    expect(admitted.caller.asked?.input).toEqual({ ...shown, draft: { content: [shown] } });
  });

  test("is only what is asked: neither the idempotency key nor the agent is in it", () => {
    const operation = operationWith(z.strictObject({ a: z.string() }), ["read"], "annotate");
    const body = { a: "x", idempotency_key: "k", agent_id: "bob", approval_ref: "apr_1" };
    expect(admit(operation, caller(), raw({ body })).caller.asked?.input).toEqual({ a: "x" });
  });
});
