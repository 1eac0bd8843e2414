import { env } from "cloudflare:workers";
import { unwrap } from "../../src/errors.ts";
import type { DkimKeyType } from "../../src/mail/domain-plan.ts";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { newDkimKeys } from "../../src/store/domains.ts";
import { type Answer, call, keyOf, type TestTenant } from "./door-harness.ts";
import { advance, inTenant, runAlarm } from "./tenant-harness.ts";

/** Domains in the DNS of the tests, and tenants that set them up. */

declare global {
  namespace Cloudflare {
    interface Env {
      DNS_ZONES_URL: string;
    }
  }
}

type Sets = Record<string, string[]>;
export type Zones = Record<string, Sets | "away" | "silent" | null>;

/** Sets what the DNS says of these names; null: nothing. */
export async function setZones(zones: Zones): Promise<void> {
  const answer = await fetch(env.DNS_ZONES_URL, { method: "POST", body: JSON.stringify(zones) });
  if (!answer.ok) throw new Error(`the DNS of the tests answered ${answer.status}`);
}

let made = 0;

/** A domain that no other test uses. */
export function domainName(prefix = "shop"): string {
  made += 1;
  return `${prefix}-${made}-${Math.random().toString(36).slice(2, 8)}.example`;
}

type Records = Domain["dns_records"];

/** The zone of these records. */
export function zoneOf(records: Records): Record<string, Sets> {
  const zone: Record<string, Sets> = {};
  for (const { type, name, value } of records) {
    zone[name] ??= {};
    const sets = zone[name] as Sets;
    sets[type] = [...(sets[type] ?? []), value];
  }
  return zone;
}

/** Publishes all of these records. */
export function publish(records: Records): Promise<void> {
  return setZones(zoneOf(records));
}

/** Takes all of these records out of the DNS. */
export function withdraw(records: Records): Promise<void> {
  return setZones(Object.fromEntries(records.map(({ name }) => [name, null])));
}

/** Calls configure_domain. */
export function configure<Body = Domain>(
  tenant: TestTenant,
  domain: string,
  more: Record<string, unknown> = {},
  key = keyOf(tenant, "admin"),
): Promise<Answer<Body>> {
  // Ed25519 keys are made in no time.
  return call<Body>("/v1/domains", { key, json: { domain, dkim_key_type: "ed25519", ...more } });
}

export interface Verified {
  id: string;
  status: Domain["status"];
  domain_status: Domain["status"];
  sending: Domain["sending"];
  checks: Domain["checks"];
  detail: string;
  next_check_at: string | null;
}

/** Calls verify_domain_alignment. */
export async function verify(tenant: TestTenant, id: string): Promise<Verified> {
  const { status, body } = await call<Verified>(`/v1/domains/${id}/verify`, {
    method: "POST",
    key: keyOf(tenant, "admin"),
  });
  if (status !== 200) throw new Error(`verify answered ${status}: ${JSON.stringify(body)}`);
  return body;
}

/** Calls get_domain. */
export async function read(tenant: TestTenant, id: string): Promise<Domain> {
  const { status, body } = await call<Domain>(`/v1/domains/${id}`, { key: keyOf(tenant, "admin") });
  if (status !== 200) throw new Error(`get answered ${status}: ${JSON.stringify(body)}`);
  return body;
}

/** A domain of the tenant's that is set up, published and aligned. */
export async function alignedDomain(tenant: TestTenant, domain = domainName(), more: Record<string, unknown> = {}) {
  const { body } = await configure(tenant, domain, more);
  await publish(body.dns_records);
  const { status, detail } = await verify(tenant, body.id);
  if (status !== "aligned") throw new Error(`${domain} is ${status}: ${detail}`);
  return read(tenant, body.id);
}

/** How far the tests moved each tenant object's clock. */
const ahead = new Map<string, number>();

/** Lets so much time pass for the tenant's object, and does what is due then. */
export async function letPass(tenant: { id: string }, ms: number): Promise<void> {
  const total = (ahead.get(tenant.id) ?? 0) + ms;
  ahead.set(tenant.id, total);
  await advance(tenant.id, total);
  await runDue(tenant);
}

/** Does what is due. */
export async function runDue(tenant: { id: string }): Promise<void> {
  await advance(tenant.id, ahead.get(tenant.id) ?? 0);
  await runAlarm(tenant.id);
}

/** Lets time pass up to the next look that the object itself has planned, and has it looked. @returns the domain then. */
export async function nextLook(tenant: TestTenant, id: string): Promise<Domain> {
  const due = await inTenant(tenant.id, (object, { storage }) => {
    const [row] = storage.sql
      .exec<{ due: number }>("SELECT due FROM timers WHERE kind = 'domain_look' AND ref = ?", id)
      .toArray();
    return row ? Math.max(row.due - object.now(), 0) : null;
  });
  if (due === null) throw new Error("no look is planned");
  await letPass(tenant, due);
  return read(tenant, id);
}

const HOUR = 3600_000;

/** Has a domain that was aligned believed to be broken. The DNS says so already. */
export async function breakDomain(tenant: TestTenant, id: string): Promise<void> {
  await verify(tenant, id);
  await letPass(tenant, HOUR);
  const { status } = await read(tenant, id);
  if (status !== "misaligned") throw new Error(`the domain is ${status}`);
}

/** The same as `alignedDomain`, for a tenant that has no keys: its object is called directly. */
export async function alignedInObject(admin: Caller, domain: string, type: DkimKeyType = "dual"): Promise<Domain> {
  const object = env.TENANT.getByName(admin.tenant_id);
  const wish = { domain, settings: { dkim_key_type: type }, spf: [] };
  const made = unwrap(await object.configureDomain(admin, wish, newDkimKeys(env, domain, type)));
  if ("needs_keys" in made) throw new Error("the domain did not take its keys");
  await publish(made.domain.dns_records);
  const looked = unwrap(await object.lookAtDomain(admin, made.domain.id));
  if (looked.domain.status !== "aligned") throw new Error(`${domain}: ${looked.domain.detail}`);
  return looked.domain;
}
