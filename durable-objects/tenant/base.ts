import type { Env } from "../../src/env.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { EventType } from "../../src/webhooks/event.ts";
import { Ledger, type NewEntry } from "../ledger.ts";
import { DATA_KEYS, DKIM_KEYS, IDENTITY_KEYS } from "../resealing.ts";
import type { NewTenant } from "../tenant-rpc.ts";
import { TENANT_SCHEMA } from "./schema.ts";
import { isWithinKey, type StoredKey } from "./stored-key.ts";

/** What the object keeps of its tenant. */
export interface StoredTenant extends NewTenant {
  created_at: string;
}

/** What the tenant object's parts work with: its row, its keys, its chain. */
export abstract class TenantBase extends Ledger {
  protected readonly schemaVersions = TENANT_SCHEMA;
  protected override readonly sealedTables = [DKIM_KEYS, IDENTITY_KEYS, DATA_KEYS];
  /** The object's own tables. Writes belong inside `commit`. */
  readonly rows: SqlStorage = this.sql;

  /** @throws Error before the tenant was provisioned. */
  tenant(): StoredTenant {
    return JSON.parse(this.sql.exec<{ tenant: string }>("SELECT tenant FROM tenant").one().tenant) as StoredTenant;
  }

  /** Inside `commit`. */
  saveTenant(tenant: StoredTenant): void {
    this.sql.exec("INSERT OR REPLACE INTO tenant VALUES (1, ?)", JSON.stringify(tenant));
  }

  isProvisioned(): boolean {
    return this.established !== null;
  }

  /** A door may remember a key for some seconds after it was revoked or narrowed; here it is known at once. */
  isMine(caller: Caller): boolean {
    if (this.established?.tenant_id !== caller.tenant_id) return false;
    const key = this.findKey(caller.key_id);
    return key === null || isWithinKey(caller, key);
  }

  findKey(id: string): StoredKey | null {
    const row = this.sql.exec<{ key: string }>("SELECT key FROM api_keys WHERE id = ?", id).toArray()[0];
    return row ? (JSON.parse(row.key) as StoredKey) : null;
  }

  /** Appends an audit entry. Inside `commit`, beside the change it records. @returns the entry's id. */
  record(entry: NewEntry): string {
    return this.append(entry).id;
  }

  /** Records an event for the world outside about the tenant as a whole. Inside `commit`. */
  emitEvent(type: EventType, data: Record<string, unknown>): void {
    const noMessage = { message_id: null, email_id: null, thread_id: null };
    this.appendEvent(type, { mailbox: null, mailbox_id: null, ...noMessage, data });
  }

  schedule(kind: string, ref: string, due: number, options: { attempts?: number } = {}): void {
    this.timers.set(kind, ref, due, options);
  }

  /** The refs of every timer of a kind. */
  scheduled(kind: string): string[] {
    return this.timers.refs(kind);
  }

  isScheduled(kind: string, ref: string): boolean {
    return this.timers.get(kind, ref) !== null;
  }

  unschedule(kind: string, ref: string): void {
    this.timers.clear(kind, ref);
  }

  time(): string {
    return new Date(this.now()).toISOString();
  }

  environment(): Env {
    return this.env;
  }

  /** Resolves once everything committed so far is durable: before anything leaves for the world outside. */
  flush(): Promise<void> {
    return this.ctx.storage.sync();
  }
}
