import { DurableObject } from "cloudflare:workers";
import {
  type Actor,
  type DetailValue,
  type Entry,
  entryText,
  entryTime,
  hashEntryText,
  NO_PREVIOUS,
} from "../src/audit/entry.ts";
import { type DataKey, newDataKey, sealPersonal, unwrapDataKey, wrapDataKey } from "../src/audit/sealing.ts";
import type { Env } from "../src/env.ts";
import { accepted, type Outcome, refused } from "../src/errors.ts";
import { newId } from "../src/ids.ts";
import type { Mode } from "../src/oversight/modes.ts";
import { drainToD1 } from "../src/store/audit-drain.ts";
import { noneResealed, type ResealedPage, type ResealRequest } from "../src/store/resealing.ts";
import { masterKeyId } from "../src/store/secrets.ts";
import type { EventSubject, EventType, WebhookEvent } from "../src/webhooks/event.ts";
import { DATA_KEYS, resealPage, type SealedTable } from "./resealing.ts";
import { backoff, TIMERS_SCHEMA, type Timer, Timers } from "./timers.ts";

/** An entry before it is placed in the chain. */
export interface NewEntry {
  actor: Actor;
  action: string;
  resource: { type: string; id: string };
  mode?: Mode | null;
  detail?: Record<string, DetailValue>;
  /** Sealed under the data key `sealedBy` (default: the log's own). */
  personal?: Record<string, unknown>;
  sealedBy?: string;
}

const LEDGER_SCHEMA = [
  `CREATE TABLE ledger (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    log TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    -- How many entries and events D1 has for certain.
    drained INTEGER NOT NULL,
    events_drained INTEGER NOT NULL
  )`,
  "CREATE TABLE entries (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, hash TEXT NOT NULL, entry TEXT NOT NULL)",
  "CREATE TABLE data_keys (kid TEXT PRIMARY KEY, wrapped TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE events (sequence INTEGER PRIMARY KEY, event TEXT NOT NULL)",
  ...TIMERS_SCHEMA,
];

/** How long after a commit its entries are drained: long enough to take more along, within the promised second. */
const DRAIN_DELAY = 250;
/** While work is under way the alarm comes back after this, should the work never end. */
const WATCHDOG = 70_000;
const DUE_AT_ONCE = 64;

/** The system itself as the actor of an entry. */
export const SYSTEM: Actor = { type: "system", id: "multimail", via: "system" };
/** Whoever runs the deployment, through the set-up door. */
const OPERATOR: Actor = { type: "human", id: "operator", via: "system" };
const OTHER_MASTER_KEY = refused(
  "unavailable",
  "The new MASTER_KEY has not reached every part of this deployment yet; try again in a minute.",
  { detail: { retry_after: 30 } },
);

/**
 * What mailbox and tenant objects share: one way to write (`commit`), an audit chain in the same transaction, timers served by
 * one alarm, and the ordered drain to D1. An object that was never established has no tables and writes nothing.
 */
export abstract class Ledger extends DurableObject<Env> {
  /** Replaced in tests. */
  clock: () => number = Date.now;
  protected readonly sql: SqlStorage;
  protected readonly timers: Timers;
  protected established: { log: string; tenant_id: string } | null = null;
  /** Timers under way, so that none runs twice at once. Lost with the instance, which is what `leased` is for. */
  private readonly underWay = new Map<string, Promise<void>>();
  private draining: Promise<void> | null = null;
  private drainFailures = 0;
  private armedFor: number | null = null;
  private restUntil = 0;

  /** SQL of the subclass's tables, one list per schema version, only ever appended to. */
  protected abstract readonly schemaVersions: readonly (readonly string[])[];
  /** Does what a timer asks. It reschedules or clears its own timer; a throw is retried with backoff. */
  protected abstract runTimer(timer: Timer): Promise<void>;
  /** Kinds that may take long (network): they do not hold up the alarm. */
  protected abstract readonly slowTimers: ReadonlySet<string>;
  /** Tables with something sealed under MASTER_KEY. */
  protected readonly sealedTables: readonly SealedTable[] = [DATA_KEYS];

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.timers = new Timers(this.sql);
  }

  /** To be called at the end of the subclass's constructor: migrations, and work that the last instance left. */
  protected wake(): void {
    const tables = this.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'ledger'").toArray();
    if (tables.length === 0) return;
    const { log, tenant_id, schema_version } = this.sql
      .exec<{ log: string; tenant_id: string; schema_version: number }>(
        "SELECT log, tenant_id, schema_version FROM ledger",
      )
      .one();
    this.established = { log, tenant_id };
    this.commit(() => {
      if (schema_version < this.schemaVersions.length) this.migrate(schema_version);
      this.timers.expireLeases(this.now());
    });
  }

  private migrate(from: number): void {
    for (const statement of this.schemaVersions.slice(from).flat()) this.sql.exec(statement);
    this.sql.exec("UPDATE ledger SET schema_version = ?", this.schemaVersions.length);
  }

  /** Makes the tables. Inside `commit`. */
  protected establish(log: string, tenantId: string): void {
    for (const statement of LEDGER_SCHEMA) this.sql.exec(statement);
    this.sql.exec("INSERT INTO ledger VALUES (1, ?, ?, 0, 0, 0)", log, tenantId);
    this.migrate(0);
    this.established = { log, tenant_id: tenantId };
  }

  now(): number {
    return this.clock();
  }

  /**
   * The one way to write: all of `fn` or nothing, then the alarm is set for what it left to do.
   * @throws Error if `fn` returns a promise: an await inside would commit half.
   */
  commit<T>(fn: () => T): T {
    const before = this.established;
    try {
      const value = this.ctx.storage.transactionSync(() => {
        const result = fn();
        if (result !== null && typeof result === "object" && "then" in result) {
          throw new Error("commit takes a synchronous function: an await inside it would commit half");
        }
        return result;
      });
      // A crash here loses nothing: the alarm is written in the same batch as the transaction, with no await between them.
      this.arm();
      return value;
    } catch (error) {
      this.established = before;
      throw error;
    }
  }

  /** Appends to the audit chain. Inside `commit`, beside the change it records. */
  protected append(entry: NewEntry): Entry {
    const { log } = this.identity();
    const head = this.sql
      .exec<{ seq: number; hash: string; at: string }>("SELECT seq, hash, at FROM entries ORDER BY seq DESC LIMIT 1")
      .toArray()[0];
    const seq = head ? head.seq + 1 : 0;
    const at = entryTime(this.now(), head?.at ?? null);
    const whole: Entry = {
      v: 1,
      log,
      seq,
      id: newId("aud", Date.parse(at)),
      at,
      actor: entry.actor,
      action: entry.action,
      resource: entry.resource,
      mode: entry.mode ?? null,
      detail: entry.detail ?? {},
      ...(entry.personal && { sealed: sealPersonal(this.dataKey(entry.sealedBy ?? log), log, seq, entry.personal) }),
      prev: head?.hash ?? NO_PREVIOUS,
    };
    const text = entryText(whole);
    this.sql.exec("INSERT INTO entries VALUES (?, ?, ?, ?)", seq, at, hashEntryText(text), text);
    return whole;
  }

  /** Records an event for the world outside, as the next of this log (FORMATS.md §5). Inside `commit`. */
  protected appendEvent(type: EventType, about: EventSubject): void {
    const { sequence } = this.sql
      .exec<{ sequence: number }>("SELECT coalesce(max(sequence) + 1, 0) AS sequence FROM events")
      .one();
    const event: WebhookEvent = {
      id: newId("evt", this.now()),
      type,
      event: type,
      event_type: type,
      timestamp: new Date(this.now()).toISOString(),
      sequence,
      tenant_id: this.identity().tenant_id,
      ...about,
    };
    this.sql.exec("INSERT INTO events VALUES (?, ?)", sequence, JSON.stringify(event));
  }

  /** The data key of a resource, made at first use. Inside `commit`. */
  private dataKey(kid: string): DataKey {
    const row = this.sql.exec<{ wrapped: string }>("SELECT wrapped FROM data_keys WHERE kid = ?", kid).toArray()[0];
    if (row) return unwrapDataKey(this.env, kid, row.wrapped);
    const key = newDataKey(kid);
    this.sql.exec("INSERT INTO data_keys VALUES (?, ?)", kid, wrapDataKey(this.env, key));
    return key;
  }

  /** See MailboxRpc and TenantRpc. An object that was never established has nothing to reseal. */
  async reseal({ under, position }: ResealRequest): Promise<Outcome<ResealedPage>> {
    if (masterKeyId(this.env) !== under) return OTHER_MASTER_KEY;
    if (!this.established) return accepted({ resealed: noneResealed(), unreadable: 0, next: null });
    const { log, tenant_id } = this.established;
    const page = this.commit(() => {
      const done = resealPage(this.sql, this.env, this.sealedTables, tenant_id, position);
      const { dkim_keys, identity_keys, data_keys } = done.resealed;
      if (dkim_keys + identity_keys + data_keys > 0) {
        const type = log === tenant_id ? "tenant" : "mailbox";
        const detail = { dkim_keys, identity_keys, data_keys };
        this.append({ actor: OPERATOR, action: "master_key.resealed", resource: { type, id: log }, detail });
      }
      return done;
    });
    // A drain under way may have read a data key as it was before: D1's copy is there, and resealed with the others, after this.
    await this.draining;
    return accepted(page);
  }

  /** Which log and tenant this is. @throws Error before `establish`. */
  protected identity(): { log: string; tenant_id: string } {
    if (!this.established) throw new Error("the object was never established");
    return this.established;
  }

  /** Sets the alarm for the earliest thing to do. */
  private arm(): void {
    if (!this.established) return;
    const due = this.nextDue();
    if (due === null || (this.armedFor !== null && this.armedFor <= due && this.armedFor > this.now())) return;
    this.armedFor = due;
    // Timers follow `clock`, the platform's alarm follows real time; they differ in tests only.
    void this.ctx.storage.setAlarm(Date.now() + Math.max(0, due - this.now()));
  }

  private nextDue(): number | null {
    const waiting = this.timers.earliest(this.underWay.size + 1).find((timer) => !this.underWay.has(timerKey(timer)));
    const times: number[] = [];
    if (waiting) times.push(waiting.due);
    if (this.underWay.size > 0) times.push(this.now() + WATCHDOG);
    if (this.isUndrained()) times.push(this.now() + (this.drainFailures ? backoff(this.drainFailures) : DRAIN_DELAY));
    return times.length ? Math.max(Math.min(...times), this.restUntil) : null;
  }

  private isUndrained(): boolean {
    const { behind } = this.sql
      .exec<{ behind: number }>(
        `SELECT (SELECT coalesce(max(seq) + 1, 0) FROM entries) > drained
           OR (SELECT coalesce(max(sequence) + 1, 0) FROM events) > events_drained AS behind FROM ledger`,
      )
      .one();
    return behind === 1;
  }

  /** Never throws: the platform gives up on an alarm after six failures. */
  override async alarm(): Promise<void> {
    if (!this.established) return;
    // Re-armed before it works: a crash from here on is followed by another alarm.
    this.armedFor = null;
    await this.ctx.storage.setAlarm(Date.now() + WATCHDOG);
    const started = this.timers
      .due(this.now(), DUE_AT_ONCE)
      .filter((timer) => !this.underWay.has(timerKey(timer)))
      .map((timer) => ({ timer, work: this.start(timer) }));
    const quick = started.filter(({ timer }) => !this.slowTimers.has(timer.kind)).map(({ work }) => work);
    await Promise.all([this.drain(), ...quick]);
    if (this.nextDue() === null) await this.ctx.storage.deleteAlarm();
    else this.arm();
  }

  private start(timer: Timer): Promise<void> {
    const work = this.runTimer(timer)
      .catch((error) => this.retryLater(timer, error))
      // Storage itself fails: the timer's row is still there, and due. Without the rest it would be tried without a pause.
      .catch((error) => {
        console.error(`timer ${timer.kind} ${timer.ref} could not be put off`, error);
        this.restUntil = this.now() + WATCHDOG;
      })
      .finally(() => {
        this.underWay.delete(timerKey(timer));
        this.armedFor = null;
        this.arm();
      });
    this.underWay.set(timerKey(timer), work);
    return work;
  }

  private retryLater(timer: Timer, error: unknown): void {
    console.error(`timer ${timer.kind} ${timer.ref} failed and will be tried again`, error);
    const attempts = timer.attempts + 1;
    this.commit(() => this.timers.set(timer.kind, timer.ref, this.now() + backoff(attempts), { attempts }));
  }

  /** Brings entries, events and data keys to D1 in order. Single-flight; what fails stays and is tried again. */
  drain(): Promise<void> {
    this.draining ??= drainToD1(this.env.DB, this.sql, this.identity())
      .then(
        () => {
          this.drainFailures = 0;
        },
        (error) => {
          this.drainFailures += 1;
          console.error("draining to D1 failed and will be tried again", error);
        },
      )
      .finally(() => {
        this.draining = null;
      });
    return this.draining;
  }

  /** Resolves once no timer is under way and D1 has everything. For tests and health checks. */
  async settled(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay.values());
    await this.drain();
  }
}

function timerKey({ kind, ref }: Timer): string {
  return `${kind} ${ref}`;
}
