import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { TestProject } from "vitest/node";
import type { ServerAddresses } from "../support/servers.ts";

declare module "vitest" {
  interface ProvidedContext extends ServerAddresses {
    /** `SLOW=1`: what is drawn at random is drawn ten times as often. */
    slow: boolean;
    /** What is drawn at random by the thousand is drawn from it: `SEED=…`, or the one of every run; null (`SEED=random`): anew. */
    seed: number | null;
  }
}

/** Whoever changes something is told of what they broke, and of nothing else. This one found a fault once. */
const SEED = -872069227;

function seedOf(given: string | undefined): number | null {
  if (given === undefined || given === "") return SEED;
  if (given === "random") return null;
  const seed = Number(given);
  if (!Number.isSafeInteger(seed)) throw new Error(`SEED is ${given}, which is neither a whole number nor "random"`);
  return seed;
}

/**
 * Tests in workerd cannot run a server, so theirs run here, for as long as the tests. In a thread of their own they answer at once
 * also while vitest, which transforms the modules of all tests, has no time for anything else.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = new Worker(join(import.meta.dirname, "../support/servers-thread.ts"));
  const [addresses] = (await once(servers, "message")) as [ServerAddresses];
  for (const name of Object.keys(addresses) as (keyof ServerAddresses)[]) project.provide(name, addresses[name]);
  project.provide("slow", process.env.SLOW === "1");
  project.provide("seed", seedOf(process.env.SEED));
  return async () => {
    servers.postMessage("close");
    await once(servers, "exit");
  };
}
