import { type Issue, Refused } from "../errors.ts";
import { readAtMost } from "./bounded-body.ts";

/** What a request may weigh, and what no JSON value in it may hold. Each limit has a reason. */

/** An isolate has 128 MB, and a JSON body takes several times its size while it is read. */
export const MAX_JSON_OCTETS = 14 * 1024 * 1024;
/** Deeper values would exhaust the stack of whoever walks them. */
export const MAX_JSON_DEPTH = 32;
/** More than a person reads. */
export const MAX_ISSUES = 20;

/** JSON and nothing else (RFC 8259): `application/json`, with or without parameters. */
function isJson(contentType: string | null): boolean {
  return /^application\/json\s*(?:;|$)/i.test(contentType ?? "");
}

/**
 * Reads a request's JSON body.
 * @returns its value, or undefined if there is no body.
 * @throws {Refused} `too_large`, before all of it is read; `unsupported_media_type`; `malformed_json`.
 */
export async function readJsonBody(request: Request): Promise<unknown> {
  const octets = await readAtMost(request, MAX_JSON_OCTETS);
  if (octets === null) throw new Refused("too_large", "The body is larger than 14 MiB.");
  if (octets.byteLength === 0) return undefined;
  if (!isJson(request.headers.get("content-type"))) {
    throw new Refused("unsupported_media_type", "The body must be JSON, sent with Content-Type: application/json.");
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(octets));
  } catch {
    // What the parser says may quote the body, and the body may hold anything: it is not passed on.
    throw new Refused("malformed_json", "The body is not JSON in UTF-8.");
  }
}

interface Problem {
  code: "invalid_input" | "forbidden_characters";
  message: string;
}

function problemOfText(text: string): Problem | null {
  if (text.includes("\0")) return { code: "forbidden_characters", message: "contains NUL" };
  return text.isWellFormed() ? null : { code: "invalid_input", message: "is not valid Unicode (a lone surrogate)" };
}

function problemOf(value: unknown, depth: number): Problem | null {
  if (typeof value === "string") return problemOfText(value);
  if (typeof value === "number" && !Number.isFinite(value))
    return { code: "invalid_input", message: "is too large a number" };
  if (depth > MAX_JSON_DEPTH)
    return { code: "invalid_input", message: `is nested deeper than ${MAX_JSON_DEPTH} levels` };
  return null;
}

/**
 * Refuses what no operation could store or hash: NUL, lone surrogates, endless numbers and nesting, keys that name a prototype.
 * Walks without recursion, so that nesting cannot exhaust the stack.
 */
export function refuseUnstorable(root: unknown): void {
  const open: { value: unknown; path: string; depth: number }[] = [{ value: root, path: "", depth: 0 }];
  for (let at = open.pop(); at; at = open.pop()) {
    const { value, path, depth } = at;
    const problem = problemOf(value, depth);
    if (problem) throw refusedAt(path, problem);
    if (value === null || typeof value !== "object") continue;
    for (const [key, inner] of Object.entries(value)) {
      const below = path === "" ? key : `${path}.${key}`;
      const wrongKey =
        key === "__proto__"
          ? { code: "invalid_input" as const, message: "is not a name that is taken" }
          : problemOfText(key);
      if (wrongKey) throw refusedAt(path, { ...wrongKey, message: `has a key that ${wrongKey.message}` });
      open.push({ value: inner, path: below, depth: depth + 1 });
    }
  }
}

/** @returns a path as an answer may repeat it: it is made of the caller's own keys. */
export function shownPath(path: string): string {
  return path
    .slice(0, 200)
    .replace(/\p{Cc}/gu, "\ufffd")
    .toWellFormed();
}

function refusedAt(path: string, { code, message }: Problem): Refused {
  const issue: Issue = { path: shownPath(path), message };
  return new Refused(code, `${issue.path === "" ? "The input" : issue.path} ${message}.`, { issues: [issue] });
}
