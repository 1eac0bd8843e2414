import { expect } from "vitest";
import type { Entry } from "../../src/audit/entry.ts";
import type { FaultCode } from "../../src/audit/faults.ts";
import type { GivenTrust } from "../../src/audit/trust.ts";
import { noteSigner } from "./note-signer.ts";
import { TestLog } from "./test-log.ts";

/** A log of fifty entries, and what a forger may do to its export. */

/** An export that does not hold. */
export interface Tampering {
  lines: string[];
  /** What the reader goes by, beside the log's key. */
  given?: Partial<GivenTrust>;
  code: FaultCode;
  /** From 1. */
  line: number;
  seq: number | null;
  says?: RegExp;
}

export const SIZE = 50;
export const log = new TestLog(SIZE);
export const whole = log.lines();
/** Where the checkpoint is. */
export const last = whole.length - 1;
export const line = (index: number) => whole[index] as string;
export const witness = noteSigner("witness.example/w1", 7, "cosignature/v1");
export const replaced = (index: number, by: string) => whole.with(index, by);
export const changed = (index: number, from: string, to: string) => {
  expect(line(index)).toContain(from);
  return replaced(index, line(index).replace(from, to));
};

/** Entries hashed and linked anew from one on, as a forger with the database would. */
export function rewritten(seq: number, change: Partial<Entry>, signer = log.signer): TestLog {
  const forged = new TestLog(SIZE, { change: (entry) => (entry.seq === seq ? { ...entry, ...change } : entry) });
  return Object.assign(forged, { signer });
}

export const forged = rewritten(20, { action: "message.deleted" });
export const thief = noteSigner(log.origin, 66);
export const other = new TestLog(SIZE, { log: "mbx_2", seed: 2 });
export const swapped = (one: number, two: number) =>
  whole.map((each, at) => (at === one ? line(two) : at === two ? line(one) : each));
export const without = (...gone: number[]) => whole.filter((_, at) => !gone.includes(at));
export const spliced = (at: number, added: string) => [...whole.slice(0, at), added, ...whole.slice(at)];
export const backwards = new TestLog(SIZE, {
  change: (entry) => (entry.seq === 30 ? { ...entry, at: "2026-10-31T00:00:00.000Z" } : entry),
});
export const opened = log.lines({ opened: true });
export const part = log.part(10, 30);
