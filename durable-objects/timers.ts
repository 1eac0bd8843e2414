/** Something an object must do at a time. One row each in the object's `timers` table, all served by its single alarm. */
export interface Timer extends Record<string, SqlStorageValue> {
  kind: string;
  /** What it is about: an id. One timer for each (kind, ref). */
  ref: string;
  /** Milliseconds since the epoch. */
  due: number;
  /** How often it was tried and failed. */
  attempts: number;
  /** Work is under way and `due` is when it counts as lost; a restarted object takes it up at once. */
  leased: number;
}

export const TIMERS_SCHEMA = [
  `CREATE TABLE timers (
    kind TEXT NOT NULL,
    ref TEXT NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    leased INTEGER NOT NULL,
    PRIMARY KEY (kind, ref)
  ) WITHOUT ROWID`,
  "CREATE INDEX timers_by_due ON timers (due)",
];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** How long a delivery is tried before it is given up. */
export const GIVE_UP_AFTER = 3 * 24 * HOUR;

/** @returns milliseconds to wait after the `attempts`-th failure: 1 minute, doubling, at most 4 hours. */
export function backoff(attempts: number): number {
  return Math.min(MINUTE * 2 ** Math.max(0, Math.min(attempts - 1, 20)), 4 * HOUR);
}

/** The timers of one object. Writes belong inside its `commit`. */
export class Timers {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  set(kind: string, ref: string, due: number, options: { attempts?: number; leased?: boolean } = {}): void {
    this.sql.exec(
      "INSERT OR REPLACE INTO timers (kind, ref, due, attempts, leased) VALUES (?, ?, ?, ?, ?)",
      kind,
      ref,
      Math.round(due),
      options.attempts ?? 0,
      options.leased ? 1 : 0,
    );
  }

  clear(kind: string, ref: string): void {
    this.sql.exec("DELETE FROM timers WHERE kind = ? AND ref = ?", kind, ref);
  }

  get(kind: string, ref: string): Timer | null {
    return this.select("WHERE kind = ? AND ref = ?", kind, ref)[0] ?? null;
  }

  /** @returns the refs of every timer of a kind. */
  refs(kind: string): string[] {
    return this.select("WHERE kind = ? ORDER BY ref", kind).map((timer) => timer.ref);
  }

  /** @returns timers that are due, the longest overdue first. */
  due(now: number, limit: number): Timer[] {
    return this.select("WHERE due <= ? ORDER BY due LIMIT ?", now, limit);
  }

  /** @returns the earliest timers; more than one, since the first may be under way. */
  earliest(limit: number): Timer[] {
    return this.select("ORDER BY due LIMIT ?", limit);
  }

  /** After a restart nothing is under way any more: leased work is due now. */
  expireLeases(now: number): void {
    this.sql.exec("UPDATE timers SET due = ?, leased = 0 WHERE leased = 1", now);
  }

  private select(clause: string, ...bindings: SqlStorageValue[]): Timer[] {
    return this.sql.exec<Timer>(`SELECT kind, ref, due, attempts, leased FROM timers ${clause}`, ...bindings).toArray();
  }
}
