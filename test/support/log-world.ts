import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import { signCheckpoint } from "../../durable-objects/ledger/checkpoints.ts";
import { treeNodes } from "../../durable-objects/ledger/tree.ts";
import { MailboxObject } from "../../durable-objects/mailbox.ts";
import { CompactRange } from "../../src/audit/compact-range.ts";
import { type Entry, hashEntryText, NO_PREVIOUS } from "../../src/audit/entry.ts";
import { rootOf } from "../../src/audit/merkle-tree.ts";
import { readSegment, segmentDigest } from "../../src/audit/segment.ts";
import { readEntries } from "../../src/store/audit-entries.ts";
import { FailingStores } from "./failing-stores.ts";
import { makeMailbox, type TestMailbox } from "./mailbox-harness.ts";

/** The log of a real mailbox object on real storage, with a clock and alarm of its own, over stores that fail as a test wants. */

export const HOUR = 3600_000;
export const DAY = 24 * HOUR;
/** How often the alarm may follow itself. */
const ALARMS = 200;

export interface SegmentInfo extends Record<string, SqlStorageValue> {
  first: number;
  last: number;
  sha256: string;
  stored: number;
}

export class LogWorld {
  now: number;
  /** When the platform would call the alarm. */
  wakeAt: number | null = null;
  restarts = 0;
  /** What was written to the console: a world in which everything fails says it very often. */
  readonly complaints: string[] = [];
  readonly stores = new FailingStores(env);
  readonly box: TestMailbox;
  private readonly state: DurableObjectState;
  private running: MailboxObject;

  private constructor(box: TestMailbox, state: DurableObjectState) {
    this.box = box;
    this.state = state;
    this.now = Date.now();
    this.running = this.begin();
  }

  /** Makes a mailbox and runs `work` where its object runs, in place of the platform's instance of it. */
  static async run(work: (world: LogWorld) => Promise<void>): Promise<void> {
    const box = await makeMailbox();
    const plain: DurableObjectStub = box.stub;
    await runInDurableObject(plain, async (object: unknown, state) => {
      if (!(object instanceof MailboxObject)) throw new Error("not a mailbox object");
      await object.settled();
      await state.storage.deleteAlarm();
      // It does nothing from here on.
      Reflect.set(object, "clock", () => 0);
      state.storage.sql.exec("DELETE FROM timers WHERE kind NOT IN ('segment', 'retain', 'reconcile', 'checkpoint')");
      const world = new LogWorld(box, state);
      const complaints = vi
        .spyOn(console, "error")
        .mockImplementation((...words) => void world.complaints.push(words.join(" ")));
      await work(world).finally(() => complaints.mockRestore());
      await state.storage.deleteAlarm();
      world.sql.exec("DELETE FROM timers");
    });
  }

  private begin(): MailboxObject {
    const object = new MailboxObject(this.state, this.stores.env);
    const { storage } = this.state;
    void storage.deleteAlarm();
    Reflect.set(object, "ctx", {
      storage: {
        transactionSync: <T>(work: () => T) => storage.transactionSync(work),
        sync: () => storage.sync(),
        setAlarm: async (at: number) => {
          this.wakeAt = this.now + (at - Date.now());
        },
        deleteAlarm: async () => {
          this.wakeAt = null;
        },
      },
    });
    object.clock = () => this.now;
    // An alarm too early finds nothing to do.
    this.wakeAt = this.now;
    return object;
  }

  get log(): string {
    return this.box.mailbox.id;
  }

  get sql(): SqlStorage {
    return this.state.storage.sql;
  }

  get object(): MailboxObject {
    return this.running;
  }

  /** The instance is lost with all that it had under way; another one begins on the same storage. */
  restart(): void {
    this.restarts += 1;
    this.running = this.begin();
  }

  /** Appends entries, a minute apart. */
  fill(count: number, apart = 60_000): void {
    this.object.commit(() => {
      for (let i = 0; i < count; i++) {
        this.object.record({
          actor: { type: "system", id: "test", via: "system" },
          action: "store.swept",
          detail: { removed: i },
        });
        this.now += apart;
      }
    });
  }

  /** Runs the alarm once. An object that is lost meanwhile begins anew. */
  async alarm(): Promise<void> {
    const { object } = this;
    const survived = await this.stores.survives(object.alarm().then(() => atRest(object)));
    if (!survived) this.restart();
  }

  /** Runs the alarm as the platform would, until `until`, the clock going from one time to the next. */
  async passTime(ms: number): Promise<void> {
    const until = this.now + ms;
    for (let alarm = 0; alarm < ALARMS && this.wakeAt !== null && this.wakeAt <= until; alarm++) {
      this.now = Math.max(this.now, this.wakeAt);
      await this.alarm();
    }
    this.now = until;
  }

  /** The entries that the object has. */
  own(): { seq: number; hash: string; entry: string }[] {
    return this.sql
      .exec<{ seq: number; hash: string; entry: string }>("SELECT seq, hash, entry FROM entries ORDER BY seq")
      .toArray();
  }

  size(): number {
    return (this.own().at(-1)?.seq ?? -1) + 1;
  }

  segments(): SegmentInfo[] {
    return this.sql.exec<SegmentInfo>("SELECT first, last, sha256, stored FROM segments ORDER BY first").toArray();
  }

  entriesOf(action: string): Entry[] {
    return this.own()
      .map(({ entry }) => JSON.parse(entry) as Entry)
      .filter((entry) => entry.action === action);
  }

  /** D1's rows, in order. */
  async rows(): Promise<{ seq: number; hash: string; entry: string }[]> {
    const { results } = await env.DB.prepare("SELECT seq, hash, entry FROM audit_log WHERE log = ? ORDER BY seq")
      .bind(this.log)
      .all<{ seq: number; hash: string; entry: string }>();
    return results;
  }

  /** The keys of this log in R2, in order. */
  async keys(): Promise<string[]> {
    const { objects } = await env.STORE.list({ prefix: `audit/${this.box.mailbox.tenant_id}/${this.log}/` });
    return objects.map(({ key }) => key);
  }

  async bytesOf(key: string): Promise<Uint8Array> {
    const object = await env.STORE.get(key);
    if (!object) throw new Error(`R2 has no ${key}`);
    return new Uint8Array(await object.arrayBuffer());
  }

  /** Does to D1 what only the owner of its schema can, with the triggers of a table away. */
  async tamper(table: string, ...statements: string[]): Promise<void> {
    const { results } = await env.DB.prepare(
      "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?",
    )
      .bind(table)
      .all<{ name: string; sql: string }>();
    for (const { name } of results) await env.DB.prepare(`DROP TRIGGER ${name}`).run();
    for (const statement of statements) await env.DB.prepare(statement).bind(this.log).run();
    for (const { sql } of results) await env.DB.prepare(sql).run();
  }

  /**
   * What must hold whatever happened: every entry is somewhere and is what it was, the chain and the tree over all of them verify, and
   * what R2 has are the log's segments, each whole and with the checkpoint of exactly its size.
   * @returns all entries, those that have left the object too.
   */
  async check(): Promise<Entry[]> {
    const all: Entry[] = [];
    const problems: string[] = [];
    let previous = NO_PREVIOUS;
    const range = new CompactRange(0);
    const drained = this.sql.exec<{ drained: number }>("SELECT drained FROM ledger").one().drained;
    for await (const { seq, hash, text } of readEntries(env, { log: this.log, start: 0, end: drained })) {
      const entry = JSON.parse(text) as Entry;
      const before = all.at(-1);
      if (entry.seq !== seq) problems.push(`${entry.seq} stands at ${seq}`);
      if (entry.prev !== previous) problems.push(`${seq} does not continue the chain`);
      if (hashEntryText(text) !== hash) problems.push(`${seq} has another hash`);
      if (entry.at < (before?.at ?? "")) problems.push(`${seq} is older than the one before`);
      previous = hash;
      range.append(new Uint8Array(Buffer.from(hash, "hex")));
      all.push(entry);
    }
    expect(problems).toEqual([]);
    expect(all.length).toBe(drained);
    const root = rootOf(drained, treeNodes(this.sql));
    expect(Buffer.from(root).toString("hex")).toBe(Buffer.from(range.joined([])).toString("hex"));
    await this.checkSegments();
    return all;
  }

  private async checkSegments(): Promise<void> {
    let next = 0;
    for (const { first, last, sha256, stored } of this.segments()) {
      expect(first).toBe(next);
      next = last + 1;
      if (stored === 0) continue;
      const bytes = await this.bytesOf(this.keyOf(first, last));
      expect(segmentDigest(bytes)).toBe(sha256);
      const { entries, note } = readSegment(bytes, first);
      expect(entries.map(({ seq }) => seq)).toEqual([...Array(last - first + 1).keys()].map((i) => first + i));
      expect(note).toBe(signCheckpoint(this.object, next));
    }
    const stored = this.segments().filter((segment) => segment.stored === 1);
    const { results } = await env.DB.prepare(
      "SELECT first, last, sha256 FROM audit_segments WHERE log = ? ORDER BY first",
    )
      .bind(this.log)
      .all();
    expect(results.slice(0, stored.length)).toEqual(stored.map(({ first, last, sha256 }) => ({ first, last, sha256 })));
  }

  keyOf(first: number, last: number): string {
    const place = (seq: number) => String(seq).padStart(12, "0");
    return `audit/${this.box.mailbox.tenant_id}/${this.log}/${place(first)}-${place(last)}.ndjson`;
  }
}

/** Resolves once what an alarm began has ended; unlike `settled`, it begins nothing. */
async function atRest(object: MailboxObject): Promise<void> {
  const underWay: Map<string, Promise<void>> = Reflect.get(object, "underWay");
  while (underWay.size > 0) await Promise.all(underWay.values());
  await object.afterDrain();
}
