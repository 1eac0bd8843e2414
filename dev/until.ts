import { setTimeout as delay } from "node:timers/promises";

/** How long anything in the local world may take before it counts as not happening. */
const DEADLINE_MS = 60_000;
const POLL_MS = 50;

/**
 * Waits until something is there.
 * @param what for the error: "the notification in the outbox".
 * @param probe looks once; null or undefined: not yet.
 * @throws Error after a minute.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | null | undefined> | T | null | undefined,
): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await probe();
    if (found !== null && found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`Waited ${DEADLINE_MS / 1000} seconds in vain for ${what}.`);
    await delay(POLL_MS);
  }
}
