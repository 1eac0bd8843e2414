import type { OnlyNamed } from "../../src/audit/actions.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { EventType } from "../../src/webhooks/event.ts";
import type { NewEntry } from "../ledger/log.ts";
import { Ledger } from "../ledger.ts";
import { DATA_KEYS, DKIM_KEYS, IDENTITY_KEYS, LOG_KEYS } from "../resealing.ts";
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
  protected override readonly sealedTables = [DKIM_KEYS, IDENTITY_KEYS, DATA_KEYS, LOG_KEYS];
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
  record<E extends NewEntry>(entry: E & OnlyNamed<E>): string {
    return this.recordChecked(entry);
  }

  /** The same of an entry whose fields were checked where it was made. Inside `commit`. */
  recordChecked(entry: NewEntry): string {
    return this.appendChecked(entry).id;
  }

  /** Records an event for the world outside about the tenant as a whole. Inside `commit`. */
  emitEvent(type: EventType, data: Record<string, unknown>): void {
    const noMessage = { message_id: null, email_id: null, thread_id: null };
    this.appendEvent(type, { mailbox: null, mailbox_id: null, ...noMessage, data });
  }
}
