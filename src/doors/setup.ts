import { createHash, timingSafeEqual } from "node:crypto";
import type { Env } from "../env.ts";
import { resealIn, resealStep } from "../operations/reseal.ts";
import { setUp, setupIn } from "../operations/setup.ts";
import { parseInput } from "./admit.ts";
import { bearerToken } from "./authentication.ts";
import { errorAnswer, refusalAnswer } from "./error-answers.ts";
import { readJsonBody } from "./limits.ts";
import type { DoorDependencies } from "./serve.ts";

/**
 * `POST /setup` and `POST /setup/reseal`: whoever holds SETUP_TOKEN makes tenants, and brings what is at rest under a new
 * MASTER_KEY. For everyone else there is nothing at these paths.
 */

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function isAdmitted(token: string | null, expected: string | undefined): boolean {
  if (!expected || token === null) return false;
  // Hashes have one length, so that comparing them tells nothing of the token's.
  return timingSafeEqual(sha256(token), sha256(expected));
}

async function answerAdmitted(
  request: Request,
  env: Env,
  work: (body: unknown) => Promise<Response>,
): Promise<Response> {
  if (!isAdmitted(bearerToken(request.headers), env.SETUP_TOKEN)) {
    return refusalAnswer({
      code: "not_found",
      error: "There is nothing at this path.",
      hint: "GET /docs lists what there is.",
    });
  }
  try {
    return await work(await readJsonBody(request));
  } catch (error) {
    return errorAnswer(error, new URL(request.url).pathname);
  }
}

/** @returns 201 with what was made; the keys in it are shown once. */
export function setupAnswer(request: Request, env: Env, { now }: DoorDependencies): Promise<Response> {
  return answerAdmitted(request, env, async (body) =>
    Response.json(await setUp(env, parseInput(setupIn, body), now()), { status: 201 }),
  );
}

/** @returns 200 with what this step resealed and the cursor of the next. Without a body it begins. */
export function resealAnswer(request: Request, env: Env): Promise<Response> {
  return answerAdmitted(request, env, async (body) =>
    Response.json(await resealStep(env, parseInput(resealIn, body ?? {}).cursor)),
  );
}
