import { createHash, createHmac, randomInt, timingSafeEqual } from "node:crypto";
import type { Env } from "../src/env.ts";
import { accepted, type Outcome, refused } from "../src/errors.ts";
import { newId, randomBytes } from "../src/ids.ts";
import { comparableAddress } from "../src/mail/address.ts";
import { operatorCodeMail } from "../src/mail/notification.ts";
import { sendSystemMail } from "../src/mail/system-mail.ts";
import type { Account, ApiKey } from "../src/operations/shapes.ts";
import type { Caller } from "../src/oversight/caller.ts";
import { deriveKey } from "../src/store/secrets.ts";
import { countMailboxes, recordKey, recordTenant } from "../src/store/tenant-projection.ts";
import { Ledger, SYSTEM } from "./ledger.ts";
import { actorOf, notFound } from "./mailbox/base.ts";
import { TENANT_SCHEMA } from "./tenant/schema.ts";
import type { NewApiKey, NewTenant, RememberedAnswer, TenantRpc } from "./tenant-rpc.ts";
import type { Timer } from "./timers.ts";

const HOUR = 3600_000;
const CODE_LIFE = 24 * HOUR;
const CODES_PER_HOUR = 5;
const CODE_TRIES = 5;
const MAIL_LIMIT = 60_000;
const IDEMPOTENCY_KEPT = 24 * HOUR;

type StoredKey = ApiKey & { hash: string };
interface StoredTenant extends NewTenant {
  created_at: string;
}

/** One tenant: its keys, its approvers, the operator's confirmations, its audit chain. Named by the tenant's id. */
export class TenantObject extends Ledger implements TenantRpc {
  protected readonly schemaVersions = TENANT_SCHEMA;
  protected readonly slowTimers: ReadonlySet<string> = new Set();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.wake();
  }

  /** The only timer: a key whose row D1 did not take at once. */
  protected async runTimer(timer: Timer): Promise<void> {
    if (timer.kind !== "key") throw new Error(`there is no work for the timer ${timer.kind}`);
    await this.projectKey(timer.ref);
  }

  async provision(tenant: NewTenant): Promise<Outcome<Account>> {
    if (!this.established) {
      const created_at = new Date(this.now()).toISOString();
      this.commit(() => {
        this.establish(tenant.id, tenant.id);
        this.save({ ...tenant, confirmed_approvers: tenant.confirmed_approvers.map(comparableAddress), created_at });
        this.append({
          actor: { ...SYSTEM, type: "human", id: "operator" },
          action: "tenant.created",
          resource: { type: "tenant", id: tenant.id },
          personal: { name: tenant.name, operator_email: tenant.operator_email, approvers: tenant.confirmed_approvers },
        });
      });
    }
    const stored = this.tenant();
    await recordTenant(this.env.DB, stored);
    return accepted(await this.accountOf(stored));
  }

  async account(caller: Caller): Promise<Outcome<Account>> {
    if (!this.isMine(caller)) return notFound();
    return accepted(await this.accountOf(this.tenant()));
  }

  private async accountOf({
    id,
    name,
    operator_email,
    confirmed_approvers,
    created_at,
  }: StoredTenant): Promise<Account> {
    const mailbox_count = await countMailboxes(this.env.DB, id);
    return { id, tenant_id: id, name, operator_email, approvers: confirmed_approvers, mailbox_count, created_at };
  }

  async createKey(caller: Caller | null, wanted: NewApiKey): Promise<Outcome<ApiKey & { key: string }>> {
    if (!this.established || (caller && !this.isMine(caller))) return notFound();
    if (wanted.scopes.includes("send") && wanted.scopes.includes("oversight")) {
      return refused("conflicting_scopes", "One key cannot both send and approve; make two keys.");
    }
    const key = `mm_${wanted.test ? "test" : "live"}_${Buffer.from(randomBytes(32)).toString("base64url")}`;
    const id = newId("key", this.now());
    const stored: StoredKey = {
      ...wanted,
      id,
      prefix: key.slice(0, 12),
      created_by: caller?.key_id ?? null,
      created_at: new Date(this.now()).toISOString(),
      revoked_at: null,
      hash: createHash("sha256").update(key).digest("hex"),
    };
    this.commit(() => {
      this.saveKey(stored);
      this.append({
        actor: caller ? actorOf(caller) : { ...SYSTEM, type: "human", id: "operator" },
        action: "key.created",
        resource: { type: "api_key", id },
        detail: { scopes: wanted.scopes, test: wanted.test, mailboxes: wanted.mailbox_ids, agent_id: wanted.agent_id },
        personal: { name: wanted.name },
      });
    });
    // A crash here leaves a key that nobody was told of; its `key` timer still brings it to D1, where it can be revoked.
    await this.projectKey(id);
    return accepted({ ...publicKeyRow(stored), key });
  }

  async listKeys(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ api_keys: ApiKey[]; cursor: string | null }>> {
    if (!this.isMine(caller)) return notFound();
    const rows = this.sql
      .exec<{ key: string }>(
        "SELECT key FROM api_keys WHERE id > ? ORDER BY id LIMIT ?",
        page.cursor ?? "",
        page.limit + 1,
      )
      .toArray()
      .map(({ key }) => publicKeyRow(JSON.parse(key) as StoredKey));
    const api_keys = rows.slice(0, page.limit);
    return accepted({ api_keys, cursor: rows.length > page.limit ? (api_keys.at(-1)?.id ?? null) : null });
  }

  async revokeKey(caller: Caller, keyId: string): Promise<Outcome<ApiKey>> {
    const stored = this.isMine(caller) ? this.findKey(keyId) : null;
    if (!stored) return notFound();
    if (stored.revoked_at === null) {
      stored.revoked_at = new Date(this.now()).toISOString();
      this.commit(() => {
        this.saveKey(stored);
        this.append({ actor: actorOf(caller), action: "key.revoked", resource: { type: "api_key", id: keyId } });
      });
    }
    await this.projectKey(keyId);
    return accepted(publicKeyRow(stored));
  }

  async isConfirmedApprover(address: string): Promise<boolean> {
    const { confirmed_approvers, operator_email } = this.tenant();
    return [operator_email, ...confirmed_approvers].map(comparableAddress).includes(comparableAddress(address));
  }

  async confirmApprover(caller: Caller, address: string): Promise<void> {
    if (!this.isMine(caller) || (await this.isConfirmedApprover(address))) return;
    this.commit(() => {
      const tenant = this.tenant();
      this.save({ ...tenant, confirmed_approvers: [...tenant.confirmed_approvers, comparableAddress(address)] });
      this.append({
        actor: actorOf(caller),
        action: "approver.confirmed",
        resource: { type: "tenant", id: tenant.id },
        personal: { address },
      });
    });
  }

  async overseerFor(approver: string | null): Promise<string> {
    return approver !== null && (await this.isConfirmedApprover(approver)) ? approver : this.tenant().operator_email;
  }

  async askOperator(
    caller: Caller,
    change: string,
    words: string,
  ): Promise<Outcome<{ expires_at: string; sent_to: string }>> {
    if (!this.isMine(caller)) return notFound();
    const { asked } = this.sql
      .exec<{ asked: number }>("SELECT count(*) AS asked FROM confirmations WHERE asked_at > ?", this.now() - HOUR)
      .one();
    if (asked >= CODES_PER_HOUR) {
      return refused("rate_limited", "The operator was asked often enough this hour; try again later.", {
        detail: { retry_after: 3600 },
      });
    }
    const code = String(randomInt(100_000_000)).padStart(8, "0");
    const expires = this.now() + CODE_LIFE;
    const id = this.commit(() => {
      // A new code for the same change by the same key replaces the one before.
      this.sql.exec("DELETE FROM confirmations WHERE expires_at <= ?", this.now());
      this.sql.exec("UPDATE confirmations SET tries_left = 0 WHERE change = ? AND key_id = ?", change, caller.key_id);
      const { next } = this.sql
        .exec<{ next: number }>("SELECT coalesce(max(id), 0) + 1 AS next FROM confirmations")
        .one();
      this.sql.exec(
        "INSERT INTO confirmations VALUES (?, ?, ?, ?, ?, ?, ?)",
        next,
        change,
        caller.key_id,
        this.codeHash(code, change, caller.key_id),
        this.now(),
        expires,
        CODE_TRIES,
      );
      const entry = this.append({
        actor: actorOf(caller),
        action: "operator.asked",
        resource: { type: "tenant", id: caller.tenant_id },
        personal: { change: words },
      });
      return entry.id;
    });
    await this.ctx.storage.sync();
    return this.mailCode(caller, code, words, new Date(expires).toISOString(), id);
  }

  private async mailCode(
    caller: Caller,
    code: string,
    words: string,
    expires_at: string,
    id: string,
  ): Promise<Outcome<{ expires_at: string; sent_to: string }>> {
    const { operator_email, name } = this.tenant();
    const mail = operatorCodeMail({
      code,
      words,
      key_id: caller.key_id,
      expires_at,
      tenant_name: name,
      product_url: this.env.PUBLIC_URL,
    });
    const outcome = await sendSystemMail(
      this.env,
      { ...mail, to: operator_email, id, date: new Date(this.now()) },
      AbortSignal.timeout(MAIL_LIMIT),
    );
    if (outcome.outcome !== "accepted") {
      return refused("unavailable", "The operator's mail server did not take the code; try again in a minute.", {
        detail: { retry_after: 60 },
      });
    }
    return accepted({ expires_at, sent_to: operator_email });
  }

  async redeemCode(caller: Caller, change: string, code: string): Promise<Outcome<true>> {
    if (!this.isMine(caller)) return notFound();
    const wrong = refused(
      "invalid_approval_code",
      "This code is not valid for exactly this change by this key, or it is used up.",
      {
        hint: "Repeat the call without approval_code to have the operator mailed a new one.",
      },
    );
    return this.commit(() => {
      const row = this.sql
        .exec<{ id: number; code_hash: string }>(
          "SELECT id, code_hash FROM confirmations WHERE change = ? AND key_id = ? AND expires_at > ? AND tries_left > 0 ORDER BY id DESC LIMIT 1",
          change,
          caller.key_id,
          this.now(),
        )
        .toArray()[0];
      if (!row) return wrong;
      const given = Buffer.from(this.codeHash(code, change, caller.key_id));
      const right = timingSafeEqual(given, Buffer.from(row.code_hash));
      this.sql.exec("UPDATE confirmations SET tries_left = ? * (tries_left - 1) WHERE id = ?", right ? 0 : 1, row.id);
      this.append({
        actor: actorOf(caller),
        action: right ? "operator.confirmed" : "operator.code_refused",
        resource: { type: "tenant", id: caller.tenant_id },
      });
      return right ? accepted(true as const) : wrong;
    });
  }

  async recall(caller: Caller, idempotencyKey: string): Promise<Outcome<RememberedAnswer | null>> {
    if (!this.isMine(caller)) return notFound();
    const row = this.sql
      .exec<{ digest: string; body: string }>(
        "SELECT digest, body FROM idempotency WHERE key = ? AND expires_at > ?",
        `${caller.key_id}/${idempotencyKey}`,
        this.now(),
      )
      .toArray()[0];
    return accepted(row ?? null);
  }

  async remember(caller: Caller, idempotencyKey: string, { digest, body }: RememberedAnswer): Promise<Outcome<true>> {
    if (!this.isMine(caller)) return notFound();
    this.commit(() => {
      this.sql.exec("DELETE FROM idempotency WHERE expires_at <= ?", this.now());
      this.sql.exec(
        "INSERT OR IGNORE INTO idempotency VALUES (?, ?, ?, ?)",
        `${caller.key_id}/${idempotencyKey}`,
        digest,
        body,
        this.now() + IDEMPOTENCY_KEPT,
      );
    });
    return accepted(true);
  }

  private codeHash(code: string, change: string, keyId: string): string {
    return createHmac("sha256", deriveKey(this.env.MASTER_KEY, "approval-code"))
      .update(JSON.stringify([code, change, keyId]))
      .digest("hex");
  }

  /** A door may remember a key for some seconds after it was revoked; here it is known at once. */
  private isMine(caller: Caller): boolean {
    if (this.established?.tenant_id !== caller.tenant_id) return false;
    return (this.findKey(caller.key_id)?.revoked_at ?? null) === null;
  }

  private tenant(): StoredTenant {
    return JSON.parse(this.sql.exec<{ tenant: string }>("SELECT tenant FROM tenant").one().tenant) as StoredTenant;
  }

  private save(tenant: StoredTenant): void {
    this.sql.exec("INSERT OR REPLACE INTO tenant VALUES (1, ?)", JSON.stringify(tenant));
  }

  private findKey(id: string): StoredKey | null {
    const row = this.sql.exec<{ key: string }>("SELECT key FROM api_keys WHERE id = ?", id).toArray()[0];
    return row ? (JSON.parse(row.key) as StoredKey) : null;
  }

  /** Inside `commit`: with the timer that brings it to D1 should the direct way fail. */
  private saveKey(key: StoredKey): void {
    this.sql.exec("INSERT OR REPLACE INTO api_keys VALUES (?, ?)", key.id, JSON.stringify(key));
    this.timers.set("key", key.id, this.now() + 2_000);
  }

  private async projectKey(id: string): Promise<void> {
    const key = this.findKey(id);
    if (!key) throw new Error(`the key ${id} is missing`);
    await recordKey(this.env.DB, this.identity().tenant_id, key);
    if (this.findKey(id)?.revoked_at === key.revoked_at) this.commit(() => this.timers.clear("key", id));
  }
}

function publicKeyRow({ hash: _hash, ...key }: StoredKey): ApiKey {
  return key;
}
