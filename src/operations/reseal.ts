import { z } from "zod";
import type { Env } from "../env.ts";
import { Refused, unwrap } from "../errors.ts";
import { callMailbox, callTenant, routingOrNotFound } from "../store/mailbox-client.ts";
import { mailboxesAfter, resealColumn, tenantsAfter } from "../store/reseal-directory.ts";
import {
  noneResealed,
  type ResealedPage,
  type ResealPosition,
  type ResealRequest,
  SEALED_KINDS,
  type SealedKind,
} from "../store/resealing.ts";
import { masterKeyId } from "../store/secrets.ts";
import { foreignCursor } from "./page-cursor.ts";

/** Bringing everything at rest under the current MASTER_KEY, one bounded step a call (docs/keys.md). */

/** In this order: D1's copies of data keys come after the objects, whose drains bring them as they are in the object. */
const PHASES = ["domains", "tenants", "mailboxes", "data_keys"] as const;
type Phase = (typeof PHASES)[number];

/** Objects in one step: each is a call of its own, of which a request may make 50 on the smallest plan. */
const OBJECTS = 20;

/** What `POST /setup/reseal` takes. */
export const resealIn = z.strictObject({ cursor: z.string().max(2_000).nullable().default(null) });

export interface ResealAnswer {
  /** How many rows this step wrote anew. */
  resealed: Record<SealedKind, number>;
  /** How many rows of this step neither MASTER_KEY nor MASTER_KEY_PREVIOUS opens. They are left as they are. */
  unreadable: number;
  /** What the next call takes; null at the end. */
  cursor: string | null;
  done: boolean;
}

const position = z.strictObject({ kind: z.enum(SEALED_KINDS), after: z.string() });
const place = z.strictObject({
  /** `masterKeyId` of the key that the walk is for. */
  under: z.string(),
  phase: z.enum(PHASES),
  /** The id of the last domain, object or data key that is done, or "". */
  after: z.string(),
  /** The object that is not done yet, and where in it. */
  within: z.strictObject({ id: z.string(), position }).nullable(),
});
type Place = z.output<typeof place>;

/** What a step of one phase came to. `next` is null at the phase's end. */
interface Step {
  resealed: Record<SealedKind, number>;
  unreadable: number;
  next: Pick<Place, "after" | "within"> | null;
}

function readCursor(cursor: string): Place {
  try {
    return place.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
  } catch {
    throw foreignCursor();
  }
}

function writeCursor(at: Place): string {
  return Buffer.from(JSON.stringify(at)).toString("base64url");
}

async function columnStep(env: Env, kind: "domains" | "data_keys", { after }: Place): Promise<Step> {
  const { resealed, unreadable, next } = await resealColumn(env.DB, env, kind, after);
  return {
    resealed: { ...noneResealed(), [kind]: resealed },
    unreadable,
    next: next === null ? null : { after: next, within: null },
  };
}

type ResealObject = (id: string, request: ResealRequest) => Promise<ResealedPage>;

/** @param ids of the objects after `after`, at most `OBJECTS`. */
async function objectsStep(ids: readonly string[], resealObject: ResealObject, at: Place): Promise<Step> {
  const step: Step = { resealed: noneResealed(), unreadable: 0, next: null };
  let { after } = at;
  for (const id of ids) {
    const from: ResealPosition | null = at.within?.id === id ? at.within.position : null;
    const page = await resealOrName(
      id,
      () => resealObject(id, { under: at.under, position: from }),
      after !== at.after,
    );
    // The objects before it are done, and are not asked again: the next call begins with the one that failed.
    if (page === null) return { ...step, next: { after, within: null } };
    for (const kind of SEALED_KINDS) step.resealed[kind] += page.resealed[kind];
    step.unreadable += page.unreadable;
    if (page.next !== null) return { ...step, next: { after, within: { id, position: page.next } } };
    after = id;
  }
  return { ...step, next: ids.length < OBJECTS ? null : { after, within: null } };
}

/**
 * @param mayStop whether the step has done something that is worth an answer.
 * @returns null if the object failed and the step may stop before it.
 * @throws {Refused} `unavailable`, naming the object.
 */
async function resealOrName(
  id: string,
  call: () => Promise<ResealedPage>,
  mayStop: boolean,
): Promise<ResealedPage | null> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof Refused) throw error;
    console.error(`the object of ${id} could not be resealed`, error);
    if (mayStop) return null;
    throw new Refused("unavailable", `The object of ${id} does not answer; what was resealed before it stays so.`, {
      hint: "Repeat the call with the same cursor.",
    });
  }
}

const STEPS: Readonly<Record<Phase, (env: Env, at: Place) => Promise<Step>>> = {
  domains: (env, at) => columnStep(env, "domains", at),
  tenants: async (env, at) =>
    objectsStep(
      await tenantsAfter(env.DB, at.after, OBJECTS),
      async (id, request) => unwrap(await callTenant(env, id, (tenant) => tenant.reseal(request))),
      at,
    ),
  mailboxes: async (env, at) =>
    objectsStep(
      await mailboxesAfter(env.DB, at.after, OBJECTS),
      (id, request) => callMailbox(env, routingOrNotFound(id), (mailbox) => mailbox.reseal(request)),
      at,
    ),
  data_keys: (env, at) => columnStep(env, "data_keys", at),
};

function placeAfter({ under, phase }: Place, next: Step["next"]): Place | null {
  if (next) return { under, phase, ...next };
  const following = PHASES[PHASES.indexOf(phase) + 1];
  return following ? { under, phase: following, after: "", within: null } : null;
}

/**
 * Does one step. Each is safe to repeat and goes on beside normal work; a walk from null to `done` leaves nothing under another
 * key, as long as every part of the deployment has the current one.
 * @param cursor of the step before, or null to begin.
 * @throws {Refused} `invalid_input` for a cursor that no step gave; `unavailable` if an object does not answer, or this and
 *   another part of the deployment have different keys.
 */
export async function resealStep(env: Env, cursor: string | null): Promise<ResealAnswer> {
  const under = masterKeyId(env);
  const at = cursor === null ? { under, phase: PHASES[0], after: "", within: null } : readCursor(cursor);
  if (at.under !== under) throw otherKey();
  const { next, ...done } = await STEPS[at.phase](env, at);
  const then = placeAfter(at, next);
  return { ...done, cursor: then && writeCursor(then), done: then === null };
}

function otherKey(): Refused {
  return new Refused("unavailable", "This cursor was given under another MASTER_KEY than the one here.", {
    hint: "If MASTER_KEY was changed just now, try again in a minute; if it was changed since, begin without a cursor.",
    detail: { retry_after: 30 },
  });
}
