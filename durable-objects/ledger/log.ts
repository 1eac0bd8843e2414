import type { Action, OnlyNamed } from "../../src/audit/actions.ts";
import type { Actor, DetailValue, Entry } from "../../src/audit/entry.ts";
import type { Env } from "../../src/env.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import type { LogCheckpoint } from "../log-rpc.ts";
import type { KeepingTerms } from "./retention.ts";

/** An entry before it is placed in the chain. */
export interface NewEntry {
  actor: Actor;
  action: Action;
  resource: { type: string; id: string };
  mode?: Mode | null;
  detail?: Record<string, DetailValue>;
  /** Sealed under the data key `sealedBy`; without one, under a key of this entry's own, whose kid is the entry's id. */
  personal?: Record<string, unknown>;
  sealedBy?: string;
}

/** What the parts of a log work with: the object that it lives in. */
export interface Log {
  /** Which log this is, and whose. @throws Error before the object was established. */
  identity(): { log: string; tenant_id: string };
  storage(): SqlStorage;
  environment(): Env;
  /** Milliseconds since the epoch. */
  now(): number;
  /** The one way to write: all of `fn` or nothing. `fn` is synchronous. */
  commit<T>(fn: () => T): T;
  /** Appends an audit entry. Inside `commit`, beside the change it records. */
  append<E extends NewEntry>(entry: E & OnlyNamed<E>): Entry;
  schedule(kind: string, ref: string, due: number, options?: { attempts?: number; leased?: boolean }): void;
  /**
   * Has it done by then: a timer that is set for earlier stays, one that is set for later is brought forward, as a clock that was ahead
   * leaves it. @returns whether it was set.
   */
  scheduleBy(kind: string, ref: string, due: number): boolean;
  unschedule(kind: string, ref: string): void;
  /** Brings entries, events and data keys to D1; never throws, and what fails is tried again by the alarm. */
  drain(): Promise<void>;
  /** Resolves once a drain that is under way has ended, whichever way: what it read before now has reached D1, or never will. */
  afterDrain(): Promise<void>;
  /** Brings these entries, their data keys with them, to D1 once more. @throws whatever D1 throws. */
  drainAgain(first: number, last: number): Promise<void>;
  /** How long the log is kept, as its account says it now. @throws Error if the account cannot be asked. */
  keepingTerms(): Promise<KeepingTerms>;
  /** A new checkpoint is there: whoever is to hold it is told. Inside `commit`. */
  checkpointMade(checkpoint: LogCheckpoint): void;
  /** Resolves once everything committed so far is durable. */
  flush(): Promise<void>;
}
