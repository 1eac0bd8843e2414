import { describe, expect, test } from "vitest";
import { openApiDocument } from "../../src/doors/openapi.ts";
import { ERROR_STATUS } from "../../src/errors.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  description?: string;
  schema: Record<string, unknown>;
}

interface Described {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: {
    required: boolean;
    content: {
      "application/json": {
        schema: { properties: Record<string, unknown>; required?: string[]; additionalProperties: boolean };
      };
    };
  };
  responses: Record<string, unknown>;
  security?: unknown[];
  "x-scopes"?: string[];
}

/** What is served without a key. */
const OPEN = [
  "get /health",
  "get /v1/openapi.json",
  "get /docs",
  "get /.well-known/multimail-signing-key",
  "get /.well-known/jwks.json",
  "get /v1/approve/{token}",
  "post /v1/approve/{token}",
];

const document = openApiDocument("https://mail.example.com/");
const described = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods as Record<string, Described>).map(([method, operation]) => ({ path, method, operation })),
);

function find(method: string, path: string): Described {
  const found = described.find((each) => each.path === path && each.method === method);
  if (!found) throw new Error(`${method} ${path} is not described`);
  return found.operation;
}

describe("the OpenAPI document", () => {
  test("is 3.1, says where it is, and is plain JSON", () => {
    expect(document).toMatchObject({ openapi: "3.1.0", servers: [{ url: "https://mail.example.com" }] });
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
  });

  test("describes every operation at each of its REST paths and by its name, and nothing else", () => {
    const expected = OPERATIONS.flatMap(({ name, rest }) => [
      ...rest.map(({ method, path }) => `${method.toLowerCase()} ${path}`),
      `post /v1/${name}`,
    ]);
    expect(described.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([...expected, ...OPEN].sort());
  });

  test("has unique operation ids", () => {
    const ids = described.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("declares exactly the parameters that a path has", () => {
    for (const { path, operation } of described) {
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      expect(inPath.map(({ name }) => name)).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
      for (const parameter of inPath) expect(parameter.required).toBe(true);
      const all = (operation.parameters ?? []).map((parameter) => `${parameter.in} ${parameter.name}`);
      expect(new Set(all).size).toBe(all.length);
    }
  });

  test("refers only to what it has", () => {
    for (const [, reference] of JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)) {
      const found = (reference ?? "")
        .slice(2)
        .split("/")
        .reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], document);
      expect(found, reference).toBeDefined();
    }
  });

  test("says which scopes let a key in, and that public paths need none", () => {
    for (const { scope, name } of OPERATIONS) {
      const operation = find("post", `/v1/${name}`);
      expect(operation["x-scopes"], name).toEqual(scope === "public" ? [] : scope);
      // OpenAPI 3.1, "Security Requirement Object": an empty one beside the key makes the key optional.
      expect(operation.security, name).toEqual(scope === "public" ? [{}, { key: [] }] : undefined);
    }
    for (const open of OPEN) {
      const [method, path] = open.split(" ") as [string, string];
      expect(find(method, path).security, open).toEqual([]);
    }
  });

  test("has path parameters in the path alone for REST, and among the fields for RPC", () => {
    const rest = find("post", "/v1/mailboxes/{mailbox_id}/send").requestBody?.content["application/json"].schema;
    expect(rest?.properties).not.toHaveProperty("mailbox_id");
    expect(rest).toMatchObject({ required: ["to"], additionalProperties: false });
    expect(rest?.properties).toHaveProperty("idempotency_key");
    const rpc = find("post", "/v1/send_email").requestBody?.content["application/json"].schema;
    expect(rpc?.properties).toHaveProperty("mailbox_id");
  });

  test("has a query parameter for each filter", () => {
    const names = find("get", "/v1/mailboxes/{mailbox_id}/emails").parameters?.map(({ name }) => name);
    for (const name of [
      "status",
      "direction",
      "sender",
      "subject_contains",
      "q",
      "date_after",
      "date_before",
      "has_attachments",
      "tag",
      "thread_id",
      "dkim_result",
      "since_id",
      "unread_only",
      "offset",
      "limit",
      "cursor",
      "metadata.<key>",
    ]) {
      expect(names).toContain(name);
    }
  });

  test("says of every filter of the audit log what it is", () => {
    for (const { name, description } of find("get", "/v1/audit-log").parameters ?? []) {
      if (name !== "limit" && name !== "cursor") expect(description, name).toBeTruthy();
    }
  });

  test("has the form of an answer's tags in the query where tags are in the body", () => {
    const { parameters, requestBody } = find("put", "/v1/mailboxes/{mailbox_id}/emails/{email_id}/tags");
    expect(parameters).toContainEqual(expect.objectContaining({ in: "query", name: "tags", required: false }));
    expect(requestBody?.content["application/json"].schema).toMatchObject({ required: ["tags"] });
  });

  test("documents the answer to what a human must allow first, and how the approval is brought, where a mode may hold", () => {
    const proposals = ["create_template", "update_template"];
    for (const { name, effect, askedAs, rest } of OPERATIONS) {
      const all = [...rest.map(({ method, path }) => find(method.toLowerCase(), path)), find("post", `/v1/${name}`)];
      for (const { responses, parameters = [], requestBody } of all) {
        const named = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
        const properties = requestBody?.content["application/json"].schema.properties ?? {};
        const places = [
          named.includes("header X-MM-Approval"),
          named.includes("query approval_ref") || "approval_ref" in properties,
          JSON.stringify(responses["202"])?.includes("#/components/responses/Held") ?? false,
        ];
        const asked = askedAs ?? effect;
        const isHeld = (asked === "read" || asked === "annotate") && !proposals.includes(name);
        expect(places, name).toEqual([isHeld, isHeld, isHeld]);
      }
    }
    expect(document.components.schemas.Held.required).toEqual([
      "status",
      "pending_id",
      "expires_at",
      "hint",
      "message",
    ]);
  });

  test("lists every error code", () => {
    expect(document.components.schemas.Error).toMatchObject({
      properties: { code: { enum: Object.keys(ERROR_STATUS).filter((code) => code !== "held") } },
    });
  });
});
