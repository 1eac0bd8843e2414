import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { CHECKPOINT } from "../../../durable-objects/ledger/checkpoints.ts";
import { RECONCILE } from "../../../durable-objects/ledger/reconciler.ts";
import { RETAIN } from "../../../durable-objects/ledger/retention.ts";
import { SEGMENT } from "../../../durable-objects/ledger/segments.ts";
import { MailboxObject } from "../../../durable-objects/mailbox.ts";
import type { DeliveryAdmission } from "../../../durable-objects/tenant-rpc.ts";
import type { Env } from "../../../src/env.ts";
import { unwrap } from "../../../src/errors.ts";
import { newId, newRoutingNumber } from "../../../src/ids.ts";
import { defaultPlan } from "../../../src/operations/new-mailbox.ts";
import type { Mailbox } from "../../../src/operations/shapes/mailbox.ts";
import type { Caller } from "../../../src/oversight/caller.ts";
import { newIdentityKey } from "../../../src/store/identity-keys.ts";
import { caller } from "../mailbox-harness.ts";
import { type Agent, addressOf, type KeyName, keysOf } from "./cast.ts";
import { farEnd, forEver } from "./far-end.ts";

/** Long after any real time, so that the platform's own alarms find nothing to do. */
const BEGINNING = Date.UTC(2100, 0, 4, 9);
/** How often one thing that is due may make another due before that counts as never coming to rest. */
const ROUNDS = 12;
/** How long work that is under way may take before it counts as never ending: storage is slow while the machine is busy. */
const REST_LIMIT = 60_000;

/** What an instance complains of that is no more. */
export const LOST = "this instance is lost";

type Row = Record<string, SqlStorageValue>;

/** What the tenant's object would say, which has tests of its own. */
export interface TenantFacts {
  confirmed: Set<string>;
  isPaused: boolean;
  pausedAgents: Set<string>;
  /** It does not answer. */
  isAway: boolean;
}

/** D1's row of something that waits. */
interface IndexRow {
  open: boolean;
  version: number;
}

/**
 * A mailbox in the real object, on the real storage, with a clock of its own and the rest of the world in memory: no D1, R2 or
 * SMTP is waited for, so that thousands of stories can be played. One object serves many of them, each on storage as it was when
 * the mailbox was made.
 */
export class World {
  readonly mailbox: Mailbox;
  readonly keys: Readonly<Record<KeyName, Caller>>;
  now = BEGINNING;
  tenant: TenantFacts = this.freshTenant();
  /** D1's pending index. */
  index = new Map<string, IndexRow>();
  /** D1 takes nothing. */
  isIndexAway = false;
  /** When the object asked to be woken, by its own clock; null: never. */
  wakeAt: number | null = null;
  private stub: DurableObjectStub;
  private readonly env: Env;
  private beginning: { table: string; rows: Row[] }[] = [];
  private running: MailboxObject | null = null;
  /** Counts the instances. */
  private life = 0;
  private durable: DurableObjectState | null = null;

  constructor() {
    const routing = newRoutingNumber();
    const tenant_id = newId("ten", BEGINNING);
    const stub: DurableObjectStub = env.MAILBOX.getByName(routing);
    this.stub = stub;
    this.keys = keysOf(tenant_id);
    this.mailbox = {
      ...defaultPlan(tenant_id, `agent-${routing.toLowerCase()}@${env.MAIL_DOMAIN}`),
      id: newId("mbx", BEGINNING, routing),
      ai_disclosure: false,
      created_at: new Date(BEGINNING).toISOString(),
    };
    this.env = this.surroundings();
  }

  get object(): MailboxObject {
    if (!this.running) throw new Error("the object does not run");
    return this.running;
  }

  get sql(): SqlStorage {
    return this.state.storage.sql;
  }

  private get state(): DurableObjectState {
    if (!this.durable) throw new Error("the object does not run");
    return this.durable;
  }

  get routing(): string {
    return this.mailbox.id.slice(-8);
  }

  /** Runs `work` where the object runs. After an eviction it goes on in a new place. */
  async inside<T>(work: () => Promise<T>): Promise<T> {
    return runInDurableObject(this.stub, async (_object, state) => {
      this.durable = state;
      await this.restart();
      if (this.beginning.length === 0) await this.make();
      return work();
    });
  }

  private async make(): Promise<void> {
    unwrap(await this.object.create(caller(this.mailbox.tenant_id, ["admin"]), this.mailbox));
    await this.object.settled();
    const tables = this.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%\\_cf\\_%' ESCAPE '\\' AND name NOT LIKE 'search\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
      )
      .toArray();
    this.beginning = tables.map(({ name }) => ({
      table: name,
      rows: this.sql.exec(`SELECT * FROM ${name}`).toArray(),
    }));
  }

  /** Begins anew: storage as it was when the mailbox was made, with these settings. */
  async beginAgain(settings: Partial<Mailbox>): Promise<void> {
    farEnd.reset();
    this.now = BEGINNING;
    this.tenant = this.freshTenant();
    this.index = new Map();
    this.isIndexAway = false;
    this.state.storage.transactionSync(() => {
      for (const { table, rows } of this.beginning) {
        this.sql.exec(`DELETE FROM ${table}`);
        for (const row of rows) {
          const columns = Object.keys(row);
          const values = columns.map(() => "?").join(", ");
          this.sql.exec(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${values})`, ...Object.values(row));
        }
      }
      this.sql.exec("UPDATE settings SET mailbox = ?", JSON.stringify({ ...this.mailbox, ...settings }));
    });
    await this.restart();
  }

  /**
   * The object's instance is lost, and what it had under way; another one begins on the same storage. The lost one goes on as far as
   * it gets without the world: it writes nothing any more, waits for ever for storage, and hands nothing over.
   */
  async restart(): Promise<void> {
    farEnd.forget();
    this.life += 1;
    const own = this.life;
    const isLost = () => this.life !== own;
    const object = new MailboxObject(this.state, this.env);
    const { storage } = this.state;
    // Until it has the story's clock and alarm it has the platform's.
    this.wakeAt = await storage.getAlarm();
    await storage.deleteAlarm();
    Reflect.set(object, "ctx", {
      storage: {
        transactionSync: <T>(work: () => T) => {
          if (isLost()) throw new Error(LOST);
          return storage.transactionSync(work);
        },
        sync: async () => {
          await storage.sync();
          if (isLost()) await forEver();
        },
        setAlarm: async (at: number) => {
          if (!isLost()) this.wakeAt = this.now + (at - Date.now());
        },
        deleteAlarm: async () => {
          if (!isLost()) this.wakeAt = null;
        },
      },
    });
    object.clock = () => this.now;
    this.running = object;
  }

  /** The platform throws the object away, with whatever it has under way. To be called outside of `inside`. */
  async evict(): Promise<void> {
    this.running = null;
    this.durable = null;
    await abortAllDurableObjects();
    this.stub = env.MAILBOX.getByName(this.routing);
  }

  /** Lets the platform forget what it was to do for the object. */
  async end(): Promise<void> {
    await runInDurableObject(this.stub, (_object, state) => state.storage.deleteAll());
  }

  /** Does whatever is due, as the platform's alarm would. @returns null, or what does not come to rest. */
  async runDue(): Promise<string | null> {
    for (let round = 0; round < ROUNDS; round++) {
      this.leaveOutKeeping();
      if (this.dueNow().length === 0) return null;
      await this.object.alarm();
      await this.rest();
    }
    return this.dueNow()
      .map(({ kind, ref }) => `${kind} ${ref}`)
      .join(", ");
  }

  /** How the log is signed, sealed, dropped and compared decides on no message, and has tests of its own. */
  private leaveOutKeeping(): void {
    const kinds = JSON.stringify([CHECKPOINT, SEGMENT, RETAIN, RECONCILE]);
    this.object.commit(() => this.sql.exec("DELETE FROM timers WHERE kind IN (SELECT value FROM json_each(?))", kinds));
  }

  /** Timers that are due and whose work is not under way. */
  dueNow(): { kind: string; ref: string }[] {
    return this.sql
      .exec<{ kind: string; ref: string }>("SELECT kind, ref FROM timers WHERE due <= ?", this.now)
      .toArray()
      .filter(({ kind, ref }) => !this.underWay().has(`${kind} ${ref}`));
  }

  private underWay(): Map<string, Promise<void>> {
    return Reflect.get(this.object, "underWay");
  }

  /** Waits until nothing goes on any more but what the far end owes an answer to. */
  async rest(): Promise<void> {
    const begun = Date.now();
    while (this.underWay().size > farEnd.owed.length) {
      if (Date.now() - begun > REST_LIMIT)
        throw new Error(`this does not end: ${[...this.underWay().keys()].join(", ")}`);
      await scheduler.wait(0);
    }
  }

  /** The far end answers whatever it owes an answer to. */
  async answer(): Promise<void> {
    for (const answer of farEnd.owed.splice(0)) answer();
    await this.rest();
  }

  isPausedFor(agent: Agent | null): boolean {
    return this.tenant.isPaused || (agent !== null && this.tenant.pausedAgents.has(agent));
  }

  private freshTenant(): TenantFacts {
    return {
      confirmed: new Set([addressOf("Ana"), addressOf("Bo")]),
      isPaused: false,
      pausedAgents: new Set(),
      isAway: false,
    };
  }

  private surroundings(): Env {
    const whoOversees = async (people: readonly string[]) => {
      if (this.tenant.isAway) throw new Error("the tenant does not answer");
      const operator = addressOf("the operator");
      return { confirmed: people.filter((each) => each === operator || this.tenant.confirmed.has(each)), operator };
    };
    const identity_key = newIdentityKey(env, this.mailbox.tenant_id, newId("idk", BEGINNING));
    const admitDelivery = async (agentId: Agent | null): Promise<DeliveryAdmission> => {
      if (this.tenant.isAway) throw new Error("the tenant does not answer");
      const domain = { status: "ok" as const, return_path_domain: env.MAIL_DOMAIN };
      return { paused: this.isPausedFor(agentId), identity_key, domain, suppressed: [], checkpoint: "none" };
    };
    // The suppression list has tests of its own.
    const noteTrouble = async () => {
      if (this.tenant.isAway) throw new Error("the tenant does not answer");
    };
    // The same of the account's log.
    const recordCheckpoint = noteTrouble;
    const newestCheckpoint = async () => {
      if (this.tenant.isAway) throw new Error("the tenant does not answer");
      return "none";
    };
    const nothing = { objects: [], truncated: false };
    const surroundings = {
      DB: {
        prepare: (query: string) => this.statement(query),
        batch: async () => this.reachIndex(),
      },
      STORE: { put: async () => null, get: async () => null, delete: async () => {}, list: async () => nothing },
      TENANT: { getByName: () => ({ whoOversees, admitDelivery, noteTrouble, recordCheckpoint, newestCheckpoint }) },
    };
    return { ...env, ...(surroundings as unknown as Pick<Env, "DB" | "STORE" | "TENANT">) };
  }

  /** Of all that the object writes to D1, the pending index is kept. */
  private statement(query: string) {
    const bind = (...values: unknown[]) => ({
      // The far end does not preserve bytes, so no DKIM key is needed.
      first: async () => (query.includes("FROM domains") ? { dkim_keys: "[]" } : null),
      run: async () => {
        this.reachIndex();
        if (!query.includes("INSERT INTO pending")) return;
        const [id, open, version] = [String(values[0]), values[6] === 1, Number(values[7])];
        const known = this.index.get(id);
        if (!known || version >= known.version) this.index.set(id, { open, version });
      },
    });
    return { bind };
  }

  private reachIndex(): [] {
    if (this.isIndexAway) throw new Error("D1 is away");
    return [];
  }
}
