import { z } from "zod";
import { ERROR_STATUS, type ErrorCode, type Issue, Refused } from "../errors.ts";
import { actingAs } from "../operations/acting-agent.ts";
import { agentId } from "../operations/fields.ts";
import { isAskedFor, type Operation } from "../operations/operation.ts";
import type { Caller } from "../oversight/caller.ts";
import { shownInput } from "./asked.ts";
import { inputSentence, inputWords } from "./input-words.ts";
import { MAX_ISSUES, refuseUnstorable, shownPath } from "./limits.ts";

/** The one way to a handler: scope, agent, input. Every door goes through here, so no door can forget a rule. */

/** The field by which an operation that takes tags is told how to give them; `tags` in a query. */
export const TAGS_FORM = "tags_form";

/** What a request carries, before it is understood. */
export interface RawInput {
  path: Readonly<Record<string, string>>;
  query: URLSearchParams;
  /** The JSON body, or undefined. */
  body: unknown;
  headers: Headers;
}

/** What a handler is given. */
export interface Admitted {
  caller: Caller;
  input: unknown;
  idempotencyKey: string | null;
}

/** @throws {Refused} `missing_scope`. */
export function requireScope(operation: Operation, caller: Caller): void {
  if (operation.scope === "public" || operation.scope.some((scope) => caller.scopes.includes(scope))) return;
  throw new Refused("missing_scope", `${operation.name} needs a key with the scope ${operation.scope.join(" or ")}.`);
}

/** @returns the names of an operation's input fields. */
export function inputFields(schema: z.ZodType): Record<string, z.ZodType> {
  if (schema instanceof z.ZodObject) return schema.shape;
  if (schema instanceof z.ZodPipe) return inputFields(schema.in as z.ZodType);
  throw new Error("an operation's input is an object, perhaps transformed");
}

function inputError(issues: Issue[], code: ErrorCode = "invalid_input"): Refused {
  const shown = issues.slice(0, MAX_ISSUES).map(({ path, message }) => ({ path: shownPath(path), message }));
  const [first] = shown;
  return new Refused(code, inputSentence(first?.path ?? "", first?.message ?? "is not taken"), { issues: shown });
}

function differs(path: string): Refused {
  return inputError([{ path, message: "says something else than the path or query" }]);
}

/** `metadata.<key>` in a query or body is a member of `metadata`. */
function fold(target: Record<string, unknown>, name: string, value: unknown, hasMetadata: boolean): void {
  const key = hasMetadata && name.startsWith("metadata.") ? name.slice("metadata.".length) : "";
  if (key === "") {
    if (target[name] !== undefined && target[name] !== value) throw differs(name);
    target[name] = value;
    return;
  }
  const map = target.metadata ?? {};
  if (typeof map !== "object" || map === null || Array.isArray(map))
    throw inputError([{ path: "metadata", message: "must be a map" }]);
  target.metadata = { ...map, [key]: value };
}

/** `?tags=` chooses how an answer gives tags; beside tags that are themselves an input, the field for that is this one. */
function fieldOfQuery(name: string, fields: Record<string, z.ZodType>): string {
  return name === "tags" && TAGS_FORM in fields ? TAGS_FORM : name;
}

/** Path, query and body as one object. @throws {Refused} if two of them contradict each other, or the body is no object. */
function gather(raw: RawInput, fields: Record<string, z.ZodType>): Record<string, unknown> {
  const hasMetadata = "metadata" in fields;
  const { body } = raw;
  if (body !== undefined && (typeof body !== "object" || body === null || Array.isArray(body))) {
    throw inputError([{ path: "", message: "must be a JSON object" }]);
  }
  const query = [...new Set(raw.query.keys())].map((name): [string, unknown] => {
    const values = raw.query.getAll(name);
    return [fieldOfQuery(name, fields), values.length === 1 ? values[0] : values];
  });
  // Before a key that names a prototype is copied anywhere.
  refuseUnstorable(body);
  refuseUnstorable(Object.fromEntries(query));
  refuseUnstorable(raw.path);
  const input: Record<string, unknown> = {};
  for (const [name, value] of [...Object.entries(body ?? {}), ...query, ...Object.entries(raw.path)]) {
    fold(input, name, value, hasMetadata);
  }
  return input;
}

const idempotencyKey = z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/, {
  error: "must be 1 to 255 printable ASCII characters",
});

function checked(schema: z.ZodType<string>, value: unknown, path: string): string {
  const result = schema.safeParse(value, { error: inputWords });
  if (result.success) return result.data;
  throw inputError(result.error.issues.map(({ message }) => ({ path, message })));
}

/** Takes a convention's field out of the input, unless the operation has a field of that name itself. */
function take(input: Record<string, unknown>, name: string, own: boolean): unknown {
  const value = input[name];
  if (!own) delete input[name];
  return value;
}

/** A convention that goes by a field or a header, which must agree. */
function fieldOrHeader(
  input: Record<string, unknown>,
  name: string,
  inHeader: string | null,
  schema: z.ZodType<string>,
): string | null {
  const inBody = take(input, name, false);
  const given = inBody ?? inHeader;
  if (given === null || given === undefined) return null;
  if (inBody !== undefined && inHeader !== null && inBody !== inHeader) throw differs(name);
  return checked(schema, given, name);
}

/** Whether it is one that a human gave is for the mailbox to say. */
const approvalRef = z.string().regex(/^[A-Za-z0-9_]{1,64}$/);

/** The agent that acts: the body's, else the header's, else the key's own. */
function agentOf(input: Record<string, unknown>, headers: Headers, ownField: boolean): string | null {
  const inBody = take(input, "agent_id", ownField);
  if (inBody !== undefined && !ownField) return checked(agentId, inBody, "agent_id");
  const inHeader = headers.get("x-mm-agent");
  return inHeader === null ? null : checked(agentId, inHeader, "X-MM-Agent");
}

type ZodIssue = z.core.$ZodIssue;

/** The alternative that was meant: one that the value fails inside, rather than by its kind. */
function meant(alternatives: readonly ZodIssue[][]): ZodIssue[] | null {
  return (
    alternatives.find((issues) => issues.every(({ code, path }) => code !== "invalid_type" || path.length > 0)) ?? null
  );
}

/** The issues inside an issue, with whole paths, where they say more than it does. */
function leaves(issue: ZodIssue): ZodIssue[] {
  const inner =
    issue.code === "invalid_union" ? meant(issue.errors) : issue.code === "invalid_key" ? issue.issues : null;
  if (!inner || inner.length === 0) return [issue];
  return inner.flatMap(leaves).map((leaf) => ({ ...leaf, path: [...issue.path, ...leaf.path] }));
}

function issueOf(issue: ZodIssue): Issue[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key].join("."), message: "is not a field of this operation" }));
  }
  return [{ path: path.join("."), message: issue.message }];
}

/** The code of the first issue that has one of its own. */
function codeOf(issues: readonly ZodIssue[]): ErrorCode {
  for (const issue of issues) {
    const code: unknown = issue.code === "custom" ? issue.params?.code : undefined;
    if (typeof code === "string" && code in ERROR_STATUS) return code as ErrorCode;
  }
  return "invalid_input";
}

/**
 * Parses an input by its schema.
 * @throws {Refused} `invalid_input`, or the code that a field has of its own, with an issue for each field.
 */
export function parseInput<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  refuseUnstorable(value);
  const parsed = schema.safeParse(value, { error: inputWords });
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.flatMap(leaves);
  throw inputError(issues.flatMap(issueOf), codeOf(issues));
}

/**
 * Understands a request to an operation.
 * @param caller as authenticated; its scope has been checked with `requireScope`, before the body was read.
 * @throws {Refused} `invalid_input` or a field's own code, with an issue for each field; `agent_not_allowed`.
 */
export function admit(operation: Operation, caller: Caller, raw: RawInput): Admitted {
  requireScope(operation, caller);
  const fields = inputFields(operation.input);
  const input = gather(raw, fields);
  const key = fieldOrHeader(input, "idempotency_key", raw.headers.get("idempotency-key"), idempotencyKey);
  const acting = actingAs(caller, agentOf(input, raw.headers, "agent_id" in fields));
  if (!isAskedFor(operation)) {
    return { caller: acting, input: parseInput(operation.input, input), idempotencyKey: key };
  }
  const approval_ref = fieldOrHeader(input, "approval_ref", raw.headers.get("x-mm-approval"), approvalRef);
  const parsed = parseInput(operation.input, input);
  const asked = { operation: operation.name, input: shownInput(parsed), approval_ref };
  return { caller: { ...acting, asked }, input: parsed, idempotencyKey: key };
}
