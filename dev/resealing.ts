/** Walks through everything that is sealed at rest, by `POST /setup/reseal`, until all of it is under the current MASTER_KEY. */

/** What one call answered. */
export interface StepAnswer {
  status: number;
  body: unknown;
  /** Seconds that the answer asks to wait, or null. */
  retry_after: number | null;
}

/** What the walk needs from outside; tests pass their own. */
export interface ResealTools {
  /** Makes one call. A deployment that is not reached is a 503. */
  step(cursor: string | null): Promise<StepAnswer>;
  say(sentence: string): void;
  pause(ms: number): Promise<void>;
}

const KINDS = ["domains", "dkim_keys", "identity_keys", "data_keys", "log_keys"] as const;
type Counts = Record<(typeof KINDS)[number], number>;

interface Step {
  resealed: Counts;
  unreadable: number;
  cursor: string | null;
  done: boolean;
}

/** How often one step is tried: a new secret takes up to some minutes to reach every part of a deployment. */
const TRIES = 10;
const PAUSE_SECONDS = 5;
/** Each pass but the first finds only what somebody sealed under the old key meanwhile. */
const PASSES = 5;
/** A line of progress after this many steps. */
const STEPS_A_LINE = 20;

function isStep(body: unknown): body is Step {
  if (typeof body !== "object" || body === null) return false;
  const { resealed, unreadable, cursor, done } = body as Partial<Step>;
  return (
    typeof resealed === "object" &&
    KINDS.every((kind) => Number.isInteger(resealed?.[kind])) &&
    Number.isInteger(unreadable) &&
    typeof done === "boolean" &&
    (done ? cursor === null : typeof cursor === "string")
  );
}

function sentenceOf({ status, body }: StepAnswer): string {
  const { error, hint } = Object(body) as { error?: unknown; hint?: unknown };
  if (status === 404) return "There is no such path, or SETUP_TOKEN is not the deployment's.";
  return [error, hint].filter((part) => typeof part === "string").join(" ") || `It answered ${status}.`;
}

async function stepOf({ step, say, pause }: ResealTools, cursor: string | null): Promise<Step> {
  for (let attempt = 1; ; attempt++) {
    const answer = await step(cursor);
    if (answer.status === 200 && isStep(answer.body)) return answer.body;
    if (answer.status !== 503 || attempt === TRIES) throw new Error(sentenceOf(answer));
    const seconds = answer.retry_after ?? PAUSE_SECONDS;
    say(`${sentenceOf(answer)} Trying again in ${seconds} s.`);
    await pause(seconds * 1000);
  }
}

function total(counts: Counts): number {
  return KINDS.reduce((sum, kind) => sum + counts[kind], 0);
}

function words({ domains, dkim_keys, identity_keys, data_keys, log_keys }: Counts): string {
  return `${domains} domains, ${dkim_keys} DKIM keys, ${identity_keys} identity keys, ${data_keys} data keys, ${log_keys} log keys`;
}

async function walk(tools: ResealTools): Promise<{ resealed: Counts; unreadable: number }> {
  const resealed: Counts = { domains: 0, dkim_keys: 0, identity_keys: 0, data_keys: 0, log_keys: 0 };
  let unreadable = 0;
  let cursor: string | null = null;
  for (let steps = 1; ; steps++) {
    const step: Step = await stepOf(tools, cursor);
    for (const kind of KINDS) resealed[kind] += step.resealed[kind];
    unreadable += step.unreadable;
    if (step.done) return { resealed, unreadable };
    if (steps % STEPS_A_LINE === 0) tools.say(`… ${words(resealed)}`);
    ({ cursor } = step);
  }
}

/**
 * Reseals until a whole walk finds nothing left to do. Returned means: everything opens under the current MASTER_KEY alone.
 * @throws Error with one sentence if a step fails for good, or something opens under neither key.
 */
export async function resealEverything(tools: ResealTools): Promise<void> {
  for (let pass = 1; pass <= PASSES; pass++) {
    const { resealed, unreadable } = await walk(tools);
    if (unreadable > 0) {
      throw new Error(
        `${unreadable} sealed values open under neither MASTER_KEY nor MASTER_KEY_PREVIOUS; the worker's log names them. Is MASTER_KEY_PREVIOUS the key from before? Do not remove it, nor throw any old key away.`,
      );
    }
    if (total(resealed) === 0) {
      tools.say("Everything is sealed under the current MASTER_KEY. MASTER_KEY_PREVIOUS may be removed now:");
      return tools.say("  npx wrangler secret delete MASTER_KEY_PREVIOUS");
    }
    tools.say(`Resealed ${words(resealed)}. Looking through everything once more.`);
  }
  throw new Error(`After ${PASSES} walks something is still being sealed under the old MASTER_KEY. Try again later.`);
}
