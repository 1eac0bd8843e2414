import { farEnd } from "./far-end.ts";
import type { Step } from "./steps.ts";
import { type Story, Violation } from "./story.ts";

/** Clocks, breakdowns, and the far end. */

type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

/** Whom each message's next attempt is to address. */
export type Addressed = ReadonlyMap<string, readonly string[]>;

/** @returns whom the attempts made by this step could address, as it was before. */
export function addressedNow({ reference }: Story): Addressed {
  return new Map(reference.outgoing().map((message) => [message.id, reference.waitingRecipients(message)]));
}

function dueAttempts({ world }: Story): Set<string> {
  return new Set(world.dueNow().flatMap(({ kind, ref }) => (kind === "deliver" ? [ref] : [])));
}

export async function timePasses(story: Story, { minutes, alarm }: Of<"time passes">): Promise<string> {
  const { world, reference } = story;
  world.now += minutes * 60_000;
  if (!alarm) return `${minutes} minutes pass, and the alarm is late`;
  reference.serve(dueAttempts(story));
  const restless = await world.runDue();
  if (restless !== null) throw new Violation("what is due is done once", `${restless} comes back again and again`);
  return `${minutes} minutes pass`;
}

export async function setFarEnd(_story: Story, { slow, mended }: Of<"far end">): Promise<string> {
  farEnd.isSlow = slow;
  farEnd.isMended = mended;
  return `the far end answers ${slow ? "late" : "at once"}, and ${mended ? "takes what it put off" : "puts later@ off"}`;
}

export async function farEndAnswers({ world, reference }: Story): Promise<string | null> {
  if (farEnd.owed.length === 0) return null;
  for (const message of reference.outgoing()) reference.answered(message);
  await world.answer();
  return "the far end answers what it owed";
}

export async function somethingIsAway({ world }: Story, { tenant, index }: Of<"something is away">): Promise<string> {
  world.tenant.isAway = tenant;
  world.isIndexAway = index;
  const away = [tenant && "the tenant", index && "D1"].filter(Boolean).join(" and ") || "nothing";
  return `${away} is away`;
}

export async function restart({ world }: Story): Promise<string> {
  await world.restart();
  return "the object restarts";
}
