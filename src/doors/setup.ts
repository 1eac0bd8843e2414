import { createHash, timingSafeEqual } from "node:crypto";
import type { Env } from "../env.ts";
import { setUp, setupIn } from "../operations/setup.ts";
import { parseInput } from "./admit.ts";
import { bearerToken } from "./authentication.ts";
import { errorAnswer, refusalAnswer } from "./error-answers.ts";
import { readJsonBody } from "./limits.ts";
import type { DoorDependencies } from "./serve.ts";

/** `POST /setup`: whoever holds SETUP_TOKEN makes tenants. For everyone else there is nothing at this path. */

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function isAdmitted(token: string | null, expected: string | undefined): boolean {
  if (!expected || token === null) return false;
  // Hashes have one length, so that comparing them tells nothing of the token's.
  return timingSafeEqual(sha256(token), sha256(expected));
}

/** @returns 201 with what was made; the keys in it are shown once. */
export async function setupAnswer(request: Request, env: Env, { now }: DoorDependencies): Promise<Response> {
  if (!isAdmitted(bearerToken(request.headers), env.SETUP_TOKEN)) {
    return refusalAnswer({
      code: "not_found",
      error: "There is nothing at this path.",
      hint: "GET /docs lists what there is.",
    });
  }
  try {
    const input = parseInput(setupIn, await readJsonBody(request));
    return Response.json(await setUp(env, input, now()), { status: 201 });
  } catch (error) {
    return errorAnswer(error, "setup");
  }
}
