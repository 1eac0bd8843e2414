import type { Context } from "hono";
import type { Env } from "../env.ts";
import type { Answer, Operation } from "../operations/operation.ts";
import { admit, requireScope } from "./admit.ts";
import { authenticate, authenticateAgain, authenticateIfAsked, REMEMBERED_MS } from "./authentication.ts";
import { errorAnswer } from "./error-answers.ts";
import { answerOnce } from "./idempotency.ts";
import { readJsonBody } from "./limits.ts";
import { limitRate } from "./rate-limit.ts";
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
    return new Response(answer.text, { headers: { ...answer.headers, "Content-Type": answer.content_type } });
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
  try {
    if (operation.rateLimited) await limitRate(env, req.raw.headers);
    const asked = now();
    const establish = operation.scope === "public" ? authenticateIfAsked : authenticate;
    const caller = await establish(env.DB, req.raw.headers, "rest", now);
    requireScope(operation, caller);
    const body = req.method === "GET" ? undefined : await readJsonBody(req.raw);
    const admitted = admit(operation, caller, {
      path,
      query: new URL(req.url).searchParams,
      body,
      headers: req.raw.headers,
    });
    const answer = await answerOnce(env, operation, admitted, now);
    // What was written is done and is said to be; what was only read is not for a key that was withdrawn while it waited.
    if (operation.effect === "read" && now() - asked >= REMEMBERED_MS)
      await authenticateAgain(env.DB, req.raw.headers, caller, now);
    return toResponse(answer);
  } catch (error) {
    return errorAnswer(error, operation.name);
  }
}
