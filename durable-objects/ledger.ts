import { DurableObject } from "cloudflare:workers";
import type { OnlyNamed } from "../src/audit/actions.ts";
import type { Entry } from "../src/audit/entry.ts";
import { readPosition } from "../src/audit/reconciliation.ts";
import type { Env } from "../src/env.ts";
import { accepted, type Outcome, type Refusal, refused } from "../src/errors.ts";
import { newId } from "../src/ids.ts";
import type { Caller } from "../src/oversight/caller.ts";
import { Batches, drainAgain, drainToD1 } from "../src/store/audit-drain.ts";
import { noneResealed, type ResealedPage, type ResealRequest } from "../src/store/resealing.ts";
import { masterKeyId } from "../src/store/secrets.ts";
import type { EventSubject, EventType, WebhookEvent } from "../src/webhooks/event.ts";
import { OPERATOR } from "./ledger/actors.ts";
import { appendEntry } from "./ledger/chain.ts";
import {
  CHECKPOINT,
  checkpointByTimer,
  makeCheckpoint,
  proofOf,
  scheduleCheckpoint,
  witnessedCheckpoint,
} from "./ledger/checkpoints.ts";
import { cosign } from "./ledger/cosignatures.ts";
import { FORGET_KEYS, forgetKeysByTimer } from "./ledger/erasure.ts";
import { scheduleKeeping, startKeeping } from "./ledger/keeping.ts";
import type { Log, NewEntry } from "./ledger/log.ts";
import { makeLogKey, verifierKeyOfLog } from "./ledger/log-key.ts";
import { RECONCILE, reconcileByTimer, reconcileFor } from "./ledger/reconciler.ts";
import { type KeepingTerms, RETAIN, retainByTimer } from "./ledger/retention.ts";
import { LEDGER_VERSIONS } from "./ledger/schema.ts";
import { SEGMENT, sealByTimer } from "./ledger/segments.ts";
import { plantTree } from "./ledger/tree.ts";
import type {
  CheckpointAnswer,
  LogCheckpoint,
  LogRpc,
  ProofAnswer,
  ProofQuestion,
  ReconcileAnswer,
} from "./log-rpc.ts";
import { DATA_KEYS, LOG_KEYS, resealPage, type SealedTable } from "./resealing.ts";
import { backoff, type Timer, Timers } from "./timers.ts";

/** How long after a commit its entries are drained: long enough to take more along, within the promised second. */
const DRAIN_DELAY = 250;
/** While work is under way the alarm comes back after this, should the work never end. */
const WATCHDOG = 70_000;
const DUE_AT_ONCE = 64;

interface LogTimer {
  work: (timer: Timer) => Promise<void> | void;
  /** It goes over the network: it does not hold up the alarm. */
  slow: boolean;
}

export { SYSTEM } from "./ledger/actors.ts";

const NO_LOG = refused("not_found", "There is nothing here by that id.");
const OTHER_MASTER_KEY = refused(
  "unavailable",
  "The new MASTER_KEY has not reached every part of this deployment yet; try again in a minute.",
  { detail: { retry_after: 30 } },
);

/**
 * What mailbox and tenant objects share: one way to write (`commit`), an audit chain in the same transaction, timers served by
 * one alarm, and the ordered drain to D1. An object that was never established has no tables and writes nothing.
 */
export abstract class Ledger extends DurableObject<Env> implements Log, LogRpc {
  /** Replaced in tests. */
  clock: () => number = Date.now;
  protected readonly sql: SqlStorage;
  protected readonly timers: Timers;
  protected established: { log: string; tenant_id: string } | null = null;
  /** Timers under way, so that none runs twice at once. Lost with the instance, which is what `leased` is for. */
  private readonly underWay = new Map<string, Promise<void>>();
  private draining: Promise<void> | null = null;
  private readonly batches = new Batches();
  private drainFailures = 0;
  /** After a failure: when the alarm drains again. */
  private drainDue = 0;
  private armedFor: number | null = null;
  private restUntil = 0;

  /** SQL of the subclass's tables, one list per schema version, only ever appended to. */
  protected abstract readonly schemaVersions: readonly (readonly string[])[];
  /** Does what a timer asks. It reschedules or clears its own timer; a throw is retried with backoff. */
  protected abstract runTimer(timer: Timer): Promise<void>;
  /** Kinds that may take long (network): they do not hold up the alarm. */
  protected abstract readonly slowTimers: ReadonlySet<string>;
  /** Tables with something sealed under MASTER_KEY. */
  protected readonly sealedTables: readonly SealedTable[] = [DATA_KEYS, LOG_KEYS];

  /** The timers that every log has, beside those of the subclass. */
  private readonly logTimers: Readonly<Record<string, LogTimer>> = {
    [CHECKPOINT]: { work: (timer) => checkpointByTimer(this, timer), slow: false },
    [SEGMENT]: { work: (timer) => sealByTimer(this, timer), slow: true },
    [RETAIN]: { work: (timer) => retainByTimer(this, timer), slow: true },
    [RECONCILE]: { work: (timer) => reconcileByTimer(this, timer), slow: true },
    [FORGET_KEYS]: { work: (timer) => forgetKeysByTimer(this, timer), slow: true },
  };

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
      this.migrateLedger(this.ledgerVersion());
      if (schema_version < this.schemaVersions.length) this.migrate(schema_version);
      this.timers.expireLeases(this.now());
    });
  }

  /** The first version had no column for its number. */
  private ledgerVersion(): number {
    const columns = this.sql.exec("SELECT 1 FROM pragma_table_info('ledger') WHERE name = 'ledger_version'").toArray();
    if (columns.length === 0) return 1;
    return this.sql.exec<{ ledger_version: number }>("SELECT ledger_version FROM ledger").one().ledger_version;
  }

  private migrateLedger(from: number): void {
    if (from === LEDGER_VERSIONS.length) return;
    for (const statement of LEDGER_VERSIONS.slice(from).flat()) this.sql.exec(statement);
    this.sql.exec("UPDATE ledger SET ledger_version = ?", LEDGER_VERSIONS.length);
    // Logs of the first version had no tree, nor whatever else is kept of what is appended.
    if (from === 1) {
      makeLogKey(this);
      plantTree(this.sql);
      scheduleCheckpoint(this);
      startKeeping(this);
    }
  }

  private migrate(from: number): void {
    for (const statement of this.schemaVersions.slice(from).flat()) this.sql.exec(statement);
    this.sql.exec("UPDATE ledger SET schema_version = ?", this.schemaVersions.length);
  }

  /** Makes the tables. Inside `commit`. */
  protected establish(log: string, tenantId: string): void {
    for (const statement of LEDGER_VERSIONS.flat()) this.sql.exec(statement);
    this.sql.exec(
      `INSERT INTO ledger (id, log, tenant_id, schema_version, drained, events_drained, ledger_version)
       VALUES (1, ?, ?, 0, 0, 0, ?)`,
      log,
      tenantId,
      LEDGER_VERSIONS.length,
    );
    this.migrate(0);
    this.established = { log, tenant_id: tenantId };
    makeLogKey(this);
  }

  /** See Log. */
  abstract checkpointMade(checkpoint: LogCheckpoint): void;

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

  append<E extends NewEntry>(entry: E & OnlyNamed<E>): Entry {
    return this.appendChecked(entry);
  }

  /** The same of an entry whose fields were checked where it was made. Inside `commit`. */
  protected appendChecked(entry: NewEntry): Entry {
    const appended = appendEntry(this, entry);
    scheduleCheckpoint(this);
    scheduleKeeping(this, appended);
    return appended;
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

  /** Whether the caller may ask for the log as a whole. */
  protected abstract whyNotAuditor(caller: Caller): Refusal | null;

  /** See LogRpc. */
  async checkpoint(caller: Caller): Promise<Outcome<CheckpointAnswer>> {
    const refusal = this.whyNotAuditor(caller);
    if (refusal) return { ok: false, refusal };
    const newest = this.commit(() => makeCheckpoint(this));
    // One that is under way may have begun before the newest entries were there.
    await this.draining;
    await this.drain();
    const { drained } = this.sql.exec<{ drained: number }>("SELECT drained FROM ledger").one();
    return accepted({ newest, witnessed: witnessedCheckpoint(this), drained });
  }

  /** See LogRpc. */
  async proof(caller: Caller, question: ProofQuestion): Promise<Outcome<ProofAnswer>> {
    const refusal = this.whyNotAuditor(caller);
    return refusal ? { ok: false, refusal } : proofOf(this, question);
  }

  /** See LogRpc. */
  async reconcile(caller: Caller, cursor: string | null): Promise<Outcome<ReconcileAnswer>> {
    const refusal = this.whyNotAuditor(caller);
    if (refusal) return { ok: false, refusal };
    const position = cursor === null ? null : readPosition(cursor);
    if (cursor !== null && position === null)
      return refused("invalid_input", "The cursor is not one of this operation.");
    return accepted(await reconcileFor(this, position));
  }

  /** See LogRpc. */
  async verifierKey(log: string): Promise<{ origin: string; verifier_key: string } | null> {
    return this.established?.log === log ? verifierKeyOfLog(this) : null;
  }

  /** See LogRpc. */
  async cosign(log: string, note: string): Promise<Outcome<LogCheckpoint>> {
    return this.established?.log === log ? cosign(this, note, await this.witnesses()) : NO_LOG;
  }

  /** The verifier keys of those whose co-signatures count. */
  protected abstract witnesses(): Promise<readonly string[]>;

  /** See MailboxRpc and TenantRpc. An object that was never established has nothing to reseal. */
  async reseal({ under, position }: ResealRequest): Promise<Outcome<ResealedPage>> {
    if (masterKeyId(this.env) !== under) return OTHER_MASTER_KEY;
    if (!this.established) return accepted({ resealed: noneResealed(), unreadable: 0, next: null });
    const { log, tenant_id } = this.established;
    const page = this.commit(() => {
      const done = resealPage(this.sql, this.env, this.sealedTables, tenant_id, position);
      const { dkim_keys, identity_keys, data_keys, log_keys } = done.resealed;
      if (dkim_keys + identity_keys + data_keys + log_keys > 0) {
        const type = log === tenant_id ? "tenant" : "mailbox";
        const detail = { dkim_keys, identity_keys, data_keys, log_keys };
        this.append({ actor: OPERATOR, action: "master_key.resealed", resource: { type, id: log }, detail });
      }
      return done;
    });
    // A drain under way may have read a data key as it was before: D1's copy is there, and resealed with the others, after this.
    await this.afterDrain();
    return accepted(page);
  }

  identity(): { log: string; tenant_id: string } {
    if (!this.established) throw new Error("the object was never established");
    return this.established;
  }

  storage(): SqlStorage {
    return this.sql;
  }

  environment(): Env {
    return this.env;
  }

  time(): string {
    return new Date(this.now()).toISOString();
  }

  schedule(kind: string, ref: string, due: number, options: { attempts?: number; leased?: boolean } = {}): void {
    this.timers.set(kind, ref, due, options);
  }

  scheduleBy(kind: string, ref: string, due: number): boolean {
    const timer = this.timers.get(kind, ref);
    if (timer !== null && timer.due <= due) return false;
    this.timers.set(kind, ref, due);
    return true;
  }

  unschedule(kind: string, ref: string): void {
    this.timers.clear(kind, ref);
  }

  /** The refs of every timer of a kind. */
  scheduled(kind: string): string[] {
    return this.timers.refs(kind);
  }

  isScheduled(kind: string, ref: string): boolean {
    return this.timers.get(kind, ref) !== null;
  }

  /** Before anything leaves for the world outside. */
  flush(): Promise<void> {
    return this.ctx.storage.sync();
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
    if (this.isUndrained()) times.push(this.drainFailures ? this.drainDueBy() : this.now() + DRAIN_DELAY);
    return times.length ? Math.max(Math.min(...times), this.restUntil) : null;
  }

  /** A clock that was set back does not put it off. */
  private drainDueBy(): number {
    return Math.min(this.drainDue, this.now() + backoff(this.drainFailures));
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
    const quick = started.filter(({ timer }) => !this.isSlow(timer.kind)).map(({ work }) => work);
    // Alarms for other things do not try again what fails.
    const isDrainDue = this.drainFailures === 0 || this.drainDueBy() <= this.now();
    await Promise.all([...(isDrainDue ? [this.drain()] : []), ...quick]);
    if (this.nextDue() === null) await this.ctx.storage.deleteAlarm();
    else this.arm();
  }

  private isSlow(kind: string): boolean {
    return this.logTimers[kind]?.slow ?? this.slowTimers.has(kind);
  }

  private async run(timer: Timer): Promise<void> {
    const own = this.logTimers[timer.kind];
    await (own ? own.work(timer) : this.runTimer(timer));
  }

  private start(timer: Timer): Promise<void> {
    const work = this.run(timer)
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
    this.draining ??= drainToD1(this.batches, this.env.DB, this.sql, this.identity())
      .then(
        () => {
          this.drainFailures = 0;
        },
        (error) => {
          this.drainFailures += 1;
          this.drainDue = this.now() + backoff(this.drainFailures);
          console.error("draining to D1 failed and will be tried again", error);
        },
      )
      .finally(() => {
        this.draining = null;
      });
    return this.draining;
  }

  async afterDrain(): Promise<void> {
    await this.draining;
    // One that took too long may arrive all the same.
    await this.batches.answered();
  }

  drainAgain(first: number, last: number): Promise<void> {
    return drainAgain(this.batches, this.env.DB, this.sql, this.identity(), { first, last });
  }

  /** See Log. */
  abstract keepingTerms(): Promise<KeepingTerms>;

  /** Resolves once no timer is under way and D1 has everything. For tests and health checks. */
  async settled(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay.values());
    await this.drain();
  }
}

function timerKey({ kind, ref }: Timer): string {
  return `${kind} ${ref}`;
}
