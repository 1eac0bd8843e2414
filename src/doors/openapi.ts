import { z } from "zod";
import { ERROR_STATUS } from "../errors.ts";
import { isAskedFor, type Operation, type RestBinding } from "../operations/operation.ts";
import { OPERATIONS } from "../operations/registry.ts";
import { LONGEST_NOTE } from "../pages/decision.tsx";
import { inputFields, TAGS_FORM } from "./admit.ts";
import { CHOICES } from "./approve/form.ts";

/** OpenAPI 3.1, generated from the operations; nothing here knows any of them by name. */

type JsonSchema = Record<string, unknown>;

interface ObjectSchema {
  properties: Record<string, JsonSchema>;
  required: string[];
}

/** @returns a schema without `$schema`, in the dialect that OpenAPI 3.1 shares (JSON Schema 2020-12). */
function jsonSchema(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io,
    target: "draft-2020-12",
    unrepresentable: "any",
    reused: "inline",
  });
  return rest;
}

const APPROVAL = {
  type: "string",
  maxLength: 64,
  description: "The human's approval of this very call, where the mailbox's mode asks for one",
};

/** The input's fields and the conventions' beside them: what `admit` takes of every call. */
function inputSchema(operation: Operation): ObjectSchema {
  const { properties, required } = jsonSchema(operation.input, "input") as Partial<ObjectSchema>;
  const convention: Record<string, JsonSchema> = {
    idempotency_key: { type: "string", maxLength: 255, description: "The same as the Idempotency-Key header" },
    ...(!("agent_id" in inputFields(operation.input)) && {
      agent_id: { type: "string", description: "The agent that acts; the same as the X-MM-Agent header" },
    }),
    ...(isAskedFor(operation) && {
      approval_ref: { ...APPROVAL, description: `${APPROVAL.description}; the same as the X-MM-Approval header` },
    }),
  };
  return { properties: { ...properties, ...convention }, required: required ?? [] };
}

function pathParameters(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
}

function parameter(
  name: string,
  place: "path" | "query" | "header",
  schema: JsonSchema,
  required: boolean,
): JsonSchema {
  const { description, ...rest } = schema;
  return { name, in: place, required, schema: rest, ...(description !== undefined && { description }) };
}

const HEADER_PARAMETERS: JsonSchema[] = [
  parameter("Idempotency-Key", "header", { type: "string", maxLength: 255 }, false),
  parameter("X-MM-Agent", "header", { type: "string", description: "The agent that acts" }, false),
];

function approvalHeader(operation: Operation): JsonSchema[] {
  return isAskedFor(operation) ? [parameter("X-MM-Approval", "header", APPROVAL, false)] : [];
}

/** `metadata.<key>` is how a query writes a member of a map (deepObject is not). */
function queryParameter(name: string, schema: JsonSchema, required: boolean): JsonSchema {
  if (name !== "metadata") return parameter(name, "query", schema, required);
  return parameter(
    "metadata.<key>",
    "query",
    { type: "string", description: "Matches messages whose metadata has this value" },
    false,
  );
}

function body({ properties, required }: ObjectSchema, without: readonly string[]): JsonSchema | null {
  const kept = Object.entries(properties).filter(([name]) => !without.includes(name));
  const needed = required.filter((name) => !without.includes(name));
  const schema = {
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(kept),
    ...(needed.length && { required: needed }),
  };
  return { required: needed.length > 0, content: { "application/json": { schema } } };
}

/** What can go wrong with every call. */
const COMMON_ERRORS = [400, 401, 403, 404, 409, 413, 415, 422, 429, 503] as const;

function responses(operation: Operation): JsonSchema {
  const isFile = operation.output instanceof z.ZodString;
  const content = isFile
    ? { "application/octet-stream": { schema: { type: "string", format: "binary" } } }
    : {
        "application/json": { schema: jsonSchema(operation.output, "output") },
        ...(operation.textForm !== undefined && { [operation.textForm]: { schema: { type: "string" } } }),
      };
  const errors = COMMON_ERRORS.map((status) => [String(status), { $ref: "#/components/responses/Error" }]);
  return {
    "2XX": { description: operation.summary, content },
    ...(isAskedFor(operation) && { "202": { $ref: "#/components/responses/Held" } }),
    ...Object.fromEntries(errors),
  };
}

function needed(scope: Operation["scope"]): string {
  if (scope === "public") return "Needs no key; one that is sent must be valid.";
  return `Needs a key with the scope ${scope.map((each) => `\`${each}\``).join(" or ")}.`;
}

function describe(operation: Operation, operationId: string): JsonSchema {
  return {
    operationId,
    summary: operation.summary,
    description: needed(operation.scope),
    ...(operation.scope === "public" && { security: [{}, { key: [] }] }),
    "x-scopes": operation.scope === "public" ? [] : operation.scope,
    "x-effect": operation.effect,
    responses: responses(operation),
  };
}

function restOperation(operation: Operation, { method, path }: RestBinding, operationId: string): JsonSchema {
  const input = inputSchema(operation);
  const inPath = pathParameters(path);
  const parameters = inPath.map((name) => parameter(name, "path", input.properties[name] ?? { type: "string" }, true));
  const described = { ...describe(operation, operationId), tags: ["REST"] };
  if (method !== "GET") {
    const form = input.properties[TAGS_FORM];
    if (form) parameters.push(parameter("tags", "query", form, false));
    return {
      ...described,
      parameters: [...parameters, ...HEADER_PARAMETERS, ...approvalHeader(operation)],
      requestBody: body(input, inPath),
    };
  }
  const query = Object.entries(input.properties)
    .filter(
      ([name]) =>
        !inPath.includes(name) &&
        name !== "idempotency_key" &&
        (name !== "agent_id" || "agent_id" in inputFields(operation.input)),
    )
    .map(([name, schema]) => queryParameter(name, schema, input.required.includes(name)));
  return { ...described, parameters: [...parameters, ...query, ...approvalHeader(operation)] };
}

function rpcOperation(operation: Operation): JsonSchema {
  return {
    ...describe(operation, `rpc_${operation.name}`),
    tags: ["RPC"],
    parameters: [...HEADER_PARAMETERS, ...approvalHeader(operation)],
    requestBody: body(inputSchema(operation), []),
  };
}

function open(summary: string, operationId: string, type: string, more: JsonSchema = {}): JsonSchema {
  const answer = { description: summary, content: { [type]: {} } };
  return { operationId, summary, security: [], tags: ["Public"], responses: { "2XX": answer }, ...more };
}

const DECISION_FORM: JsonSchema = {
  type: "object",
  required: ["csrf", "decision"],
  properties: {
    csrf: { type: "string", description: "The secret that the page's form carries" },
    content_hash: { type: "string", description: "The content that the page showed" },
    decision: { type: "string", enum: [...CHOICES] },
    note: { type: "string", maxLength: LONGEST_NOTE },
    subject: { type: "string", description: "With approve_edited: the subject to send" },
    body: { type: "string", description: "With approve_edited: the text to send, in the form that the page gave" },
    without: { type: "array", items: { type: "string" }, description: "With approve_edited: who is not to get it" },
  },
};

/** The decision page is for people: every answer is a page. */
const PAGE = { "text/html": {} };
const DECISION_LINK: JsonSchema = {
  parameters: [
    parameter("token", "path", { type: "string", description: "What the notification's link ends in" }, true),
  ],
  responses: {
    "200": { description: "The held message, or what was decided about it", content: PAGE },
    "4XX": { description: "Why this link decides nothing", content: PAGE },
    "503": { description: "The page cannot be shown now", content: PAGE },
  },
};

const WHOSE_KEYS = parameter("tenant_id", "query", { type: "string", description: "Whose keys" }, true);
const WHICH_KEY: JsonSchema[] = [
  parameter("kid", "query", { type: "string", description: "The key at the top, in place of the active one" }, false),
  parameter("format", "query", { type: "string", enum: ["jwk", "pem"] }, false),
];

/** What is served without a key: method, path and description. */
const OPEN_PATHS: readonly [method: string, path: string, described: JsonSchema][] = [
  ["GET", "/health", open("Says whether the service and what it needs answer.", "health", "application/json")],
  ["GET", "/v1/openapi.json", open("This document.", "openapi", "application/json")],
  ["GET", "/docs", open("The reference for people.", "docs", "text/html")],
  [
    "GET",
    "/.well-known/multimail-signing-key",
    open("The same as get_identity_public_key.", "signing_key", "application/json", {
      parameters: [WHOSE_KEYS, ...WHICH_KEY],
    }),
  ],
  [
    "GET",
    "/.well-known/jwks.json",
    open("A tenant's keys as a JWK set (RFC 7517), without those that were revoked.", "jwks", "application/json", {
      parameters: [WHOSE_KEYS],
    }),
  ],
  [
    "GET",
    "/v1/approve/{token}",
    open(
      "Shows a held message to the person who decides. Changes nothing.",
      "decision_page",
      "text/html",
      DECISION_LINK,
    ),
  ],
  [
    "POST",
    "/v1/approve/{token}",
    open("Takes the decision that the page's form sends.", "decide_by_link", "text/html", {
      ...DECISION_LINK,
      requestBody: { required: true, content: { "application/x-www-form-urlencoded": { schema: DECISION_FORM } } },
      responses: {
        "303": { description: "Decided; the page shows the outcome" },
        "4XX": { description: "Nothing was decided by this call, and why", content: PAGE },
        "503": { description: "The decision could not be taken now", content: PAGE },
      },
    }),
  ],
];

function paths(): Record<string, JsonSchema> {
  const all: Record<string, JsonSchema> = {};
  const add = (path: string, method: string, described: JsonSchema) => {
    all[path] = { ...all[path], [method.toLowerCase()]: described };
  };
  for (const operation of OPERATIONS) {
    for (const [index, binding] of operation.rest.entries()) {
      add(
        binding.path,
        binding.method,
        restOperation(operation, binding, index === 0 ? operation.name : `${operation.name}_${index + 1}`),
      );
    }
    add(`/v1/${operation.name}`, "POST", rpcOperation(operation));
  }
  for (const [method, path, described] of OPEN_PATHS) add(path, method, described);
  return all;
}

const ERROR_SCHEMA: JsonSchema = {
  type: "object",
  required: ["error", "code"],
  properties: {
    error: { type: "string", description: "One plain sentence" },
    code: { type: "string", enum: Object.keys(ERROR_STATUS).filter((code) => code !== "held") },
    hint: { type: "string" },
    issues: {
      type: "array",
      items: {
        type: "object",
        required: ["path", "message"],
        properties: { path: { type: "string" }, message: { type: "string" } },
      },
    },
  },
};

const HELD_SCHEMA: JsonSchema = {
  type: "object",
  required: ["status", "pending_id", "expires_at", "hint", "message"],
  properties: {
    status: { const: "pending" },
    pending_id: { type: "string", description: "For get_pending, which tells the approval_ref once a human approved" },
    expires_at: { type: ["string", "null"], description: "ISO 8601 UTC; null: it waits for ever" },
    hint: { type: "string" },
    message: { type: "string", description: "One plain sentence" },
  },
};

/** @param publicUrl where this deployment is. @returns the document. */
export function openApiDocument(publicUrl: string) {
  return {
    openapi: "3.1.0",
    info: {
      title: "MultiMail",
      version: "1",
      description: "Email for AI agents that humans can trust.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: publicUrl.replace(/\/$/, "") }],
    security: [{ key: [] }],
    tags: [
      { name: "REST" },
      { name: "RPC", description: "Every operation by its name, path parameters in the body" },
      { name: "Public" },
    ],
    paths: paths(),
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "An mm_live_ or mm_test_ key" } },
      schemas: { Error: ERROR_SCHEMA, Held: HELD_SCHEMA },
      responses: {
        Held: {
          description: "Not done: a human is asked first. Repeat the call with `approval_ref` once they have approved.",
          content: { "application/json": { schema: { $ref: "#/components/schemas/Held" } } },
        },
        Error: {
          description: "A refusal",
          content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
        },
      },
    },
  };
}
