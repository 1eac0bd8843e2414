import type { Context } from "hono";
import type { Env } from "../env.ts";
import type { Answer, Operation } from "../operations/operation.ts";
import type { Caller } from "../oversight/caller.ts";
import { admit, requireScope } from "./admit.ts";
import { pageHeaders } from "./approve/headers.ts";
import { authenticate, authenticateAgain, authenticateIfAsked, REMEMBERED_MS, RevokedKey } from "./authentication.ts";
import { errorAnswer } from "./error-answers.ts";
import { answerOnce } from "./idempotency.ts";
import { readJsonBody } from "./limits.ts";
import { limitRate } from "./rate-limit.ts";
import { namedIn, recordRefused } from "./record.ts";
import { readableByPages } from "./security-headers.ts";

/** What the worker's doors run on. */
export type AppEnvironment = { Bindings: Env };

/** What doors take from outside; tests pass their own. */
export interface DoorDependencies {
  /** Milliseconds since the epoch. */
  now(): number;
}

/** RFC 6266: a name that any client reads, and the exact one for those that read RFC 8187. */
function contentDisposition(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const exact = encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}

const CONTENT_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/;

function toResponse(answer: Answer<unknown>): Response {
  if ("body" in answer) {
    return Response.json(answer.body, { status: answer.status, ...(answer.headers && { headers: answer.headers }) });
  }
  if ("text" in answer) {
    const { text, content_type } = answer;
    // A page of ours has the policy of all our pages; the rest of our answers show nothing.
    const page = content_type.startsWith("text/html") ? pageHeaders("", "") : {};
    return new Response(text, { headers: { ...page, ...answer.headers, "Content-Type": content_type } });
  }
  if ("stream" in answer) {
    const headers = { "Content-Type": answer.content_type, "Content-Disposition": contentDisposition(answer.name) };
    return new Response(answer.stream, { headers });
  }
  const { stream, name, content_type, size } = answer.file;
  const type = content_type.split(";")[0]?.trim() ?? "";
  return new Response(stream, {
    headers: {
      "Content-Type": CONTENT_TYPE.test(type) ? type : "application/octet-stream",
      "Content-Length": String(size),
      "Content-Disposition": contentDisposition(name),
      // A stranger sent it: should a browser show it after all, it runs nothing and is of no origin.
      "Content-Security-Policy": "default-src 'none'; sandbox",
    },
  });
}

/**
 * Serves one call: who asks, may they, what do they ask, and the operation's answer.
 * @param path parameters of the path, by name.
 */
export async function serve(
  context: Context<AppEnvironment>,
  operation: Operation,
  path: Record<string, string>,
  dependencies: DoorDependencies,
): Promise<Response> {
  const response = await answerTo(context, operation, path, dependencies);
  return operation.readableByPages ? readableByPages(response) : response;
}

async function answerTo(
  context: Context<AppEnvironment>,
  operation: Operation,
  path: Record<string, string>,
  { now }: DoorDependencies,
): Promise<Response> {
  const { env, req } = context;
  let known: Caller | null = null;
  // As much of the call as was read before it was refused.
  const read: unknown[] = [path];
  try {
    if (operation.rateLimited) await limitRate(env, req.raw.headers);
    const asked = now();
    const establish = operation.scope === "public" ? authenticateIfAsked : authenticate;
    const caller = await establish(env.DB, req.raw.headers, "rest", now);
    known = caller;
    const query = new URL(req.url).searchParams;
    read.push(Object.fromEntries(query));
    requireScope(operation, caller);
    const body = req.method === "GET" ? undefined : await readJsonBody(req.raw);
    read.push(body);
    const admitted = admit(operation, caller, { path, query, body, headers: req.raw.headers });
    known = admitted.caller;
    const answer = await answerOnce(env, operation, admitted, now);
    // What was written is done and is said to be; what was only read is not for a key that was withdrawn while it waited.
    if (operation.effect === "read" && now() - asked >= REMEMBERED_MS)
      await authenticateAgain(env.DB, req.raw.headers, caller, now);
    return toResponse(answer);
  } catch (error) {
    const attempted = error instanceof RevokedKey ? error.caller : known;
    return refusedAnswer(env, operation, attempted, { error, asked: namedIn(read) });
  }
}

/** The refusal is an entry before it is answered; where it cannot be one, that is the answer. */
async function refusedAnswer(
  env: Env,
  { name }: Operation,
  caller: Caller | null,
  attempt: { error: unknown; asked: Record<string, string[]> },
): Promise<Response> {
  try {
    if (caller) await recordRefused(env, name, caller, attempt);
    return errorAnswer(attempt.error, name);
  } catch (error) {
    return errorAnswer(error, name);
  }
}
