import type { Env } from "../env.ts";
import { refusalAnswer } from "./error-answers.ts";

/** How long a part may take before it counts as failing. */
const PATIENCE = 5_000;

/** Each part is really used: a query, a look-up, a call. None of it writes. */
const PARTS: Readonly<Record<string, (env: Env) => Promise<unknown>>> = {
  d1: (env) => env.DB.prepare("SELECT 1 FROM tenants LIMIT 1").first(),
  r2: (env) => env.STORE.head("health"),
  objects: (env) => env.MAILBOX.getByName("health").ping(),
};

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @returns 200 if D1, R2 and an object answer, else 503 that names what does not. */
export async function healthAnswer(env: Env): Promise<Response> {
  const names = Object.keys(PARTS);
  const results = await Promise.allSettled(Object.values(PARTS).map((part) => within(part(env))));
  const checks = Object.fromEntries(
    results.map(({ status }, index) => [names[index], status === "fulfilled" ? "ok" : "failed"]),
  );
  const failing = names.filter((name) => checks[name] === "failed");
  for (const [index, result] of results.entries()) {
    if (result.status === "rejected") console.error(`health: ${names[index]} failed`, result.reason);
  }
  if (failing.length === 0) return Response.json({ status: "ok", checks });
  const error = `These do not answer: ${failing.join(", ")}.`;
  return refusalAnswer({ code: "unavailable", error, detail: { status: "failing", failing, checks } });
}
