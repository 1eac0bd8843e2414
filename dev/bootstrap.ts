import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import type { Mailbox } from "../src/operations/shapes/mailbox.ts";
import { modeSchema } from "../src/operations/shapes/values.ts";
import { MODES, type Mode } from "../src/oversight/modes.ts";
import {
  CUSTOMER_DOMAIN,
  EVIL_DOMAIN,
  loadSender,
  outsideZones,
  PEOPLE_DOMAIN,
  type Sender,
  type ZoneData,
} from "./senders.ts";
import { readJson, type World, type WorldPaths, writePrivately } from "./world-files.ts";

/** Makes the world's tenant through the deployment's own door, `POST /setup`, and publishes what belongs into DNS. */

/** The deployment's own domain in the local world. */
export const MAIL_DOMAIN = "agents.example";
/** Writes the topmost Received line of the world's inbound mail. */
export const RECEIVED_BY = `mx.${MAIL_DOMAIN}`;
export const APPROVER = `approver@${PEOPLE_DOMAIN}`;
export const OPERATOR = `operator@${PEOPLE_DOMAIN}`;

const KEYS = [
  { name: "agent", scopes: ["read", "send"] },
  { name: "oversight", scopes: ["read", "oversight"] },
  { name: "admin", scopes: ["read", "admin"] },
] as const;

interface DnsRecord {
  type: string;
  name: string;
  value: string;
}

/** What `tenant.json` keeps between runs. */
export interface TenantFile {
  tenant_id: string;
  keys: World["keys"];
  dns_records: DnsRecord[];
}

interface SetupAnswer {
  tenant_id: string;
  keys: World["keys"];
  dns_records: DnsRecord[];
}

function mailboxFor(mode: Mode) {
  return {
    address_local: mode.replace("_", "-"),
    oversight_mode: mode,
    display_name: `Agent (${mode})`,
    approver_email: APPROVER,
    oversight_keys_may_decide: true,
  };
}

async function answerOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${new URL(response.url).pathname} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

async function setUp(baseUrl: string, setupToken: string): Promise<TenantFile> {
  const response = await fetch(`${baseUrl}/setup`, {
    method: "POST",
    headers: { authorization: `Bearer ${setupToken}`, "content-type": "application/json" },
    body: JSON.stringify({
      name: "Local world",
      operator_email: OPERATOR,
      approvers: [APPROVER],
      mailboxes: MODES.map(mailboxFor),
      keys: KEYS,
    }),
  });
  const { tenant_id, keys, dns_records } = (await answerOf(response)) as SetupAnswer;
  return { tenant_id, keys, dns_records };
}

/** @returns the world's mailboxes, one in each mode, as they are now. */
async function mailboxesByMode(baseUrl: string, key: string): Promise<Mailbox[]> {
  const response = await fetch(`${baseUrl}/v1/mailboxes?limit=100`, { headers: { authorization: `Bearer ${key}` } });
  const { mailboxes } = (await answerOf(response)) as { mailboxes: Mailbox[] };
  return MODES.map((mode) => {
    const address = `${mailboxFor(mode).address_local}@${MAIL_DOMAIN}`;
    const found = mailboxes.find((mailbox) => mailbox.address === address);
    if (!found) throw new Error(`The mailbox ${address} is gone. Start afresh with --fresh.`);
    return { ...found, oversight_mode: modeSchema.parse(found.oversight_mode) };
  });
}

/** Adds records to a zones file's content; what is there already stays as it is. */
export function withRecords(zones: ZoneData, records: DnsRecord[]): ZoneData {
  const merged = structuredClone(zones);
  for (const { type, name, value } of records) {
    const sets = merged[name] ?? {};
    const values = sets[type] ?? [];
    merged[name] = { ...sets, [type]: values.includes(value) ? values : [...values, value] };
  }
  return merged;
}

/** The zones of the deployment's own domain: what set-up said to publish, and the addresses of the world's servers. */
function ownRecords(tenant: TenantFile): DnsRecord[] {
  return [...tenant.dns_records, { type: "A", name: RECEIVED_BY, value: "127.0.0.1" }];
}

/** @returns the senders outside, whose keys the world keeps. */
export function loadSenders(paths: WorldPaths): Promise<Sender[]> {
  return Promise.all([CUSTOMER_DOMAIN, EVIL_DOMAIN].map((domain) => loadSender(paths.senders, domain)));
}

async function writeZones(file: string, zones: ZoneData): Promise<void> {
  await writeFile(file, `${JSON.stringify(zones, null, 2)}\n`);
}

/** Since when everyone outside has their domain, and we have ours. */
const REGISTERED: Readonly<Record<string, string>> = {
  [CUSTOMER_DOMAIN]: "2009-04-17T08:00:00Z",
  [EVIL_DOMAIN]: "2026-11-01T08:00:00Z",
};

/** Writes the zones file with everyone outside, if there is none: edits made by hand are kept over a restart. */
export async function ensureZones(paths: WorldPaths): Promise<void> {
  if (!existsSync(paths.registrations)) {
    await writeFile(paths.registrations, `${JSON.stringify(REGISTERED, null, 2)}\n`);
  }
  if (existsSync(paths.zones)) return;
  await writeZones(paths.zones, outsideZones(await loadSenders(paths)));
}

/** Makes the tenant if this folder has none yet. @returns its keys and its mailboxes as they are now. */
export async function ensureTenant(
  paths: WorldPaths,
  baseUrl: string,
  setupToken: string,
): Promise<Pick<World, "keys" | "mailboxes">> {
  let tenant = readJson(paths.tenant) as TenantFile | null;
  if (!tenant) {
    tenant = await setUp(baseUrl, setupToken);
    await writePrivately(paths.tenant, `${JSON.stringify(tenant, null, 2)}\n`);
  }
  const zones = JSON.parse(readFileSync(paths.zones, "utf8")) as ZoneData;
  await writeZones(paths.zones, withRecords(zones, ownRecords(tenant)));
  return { keys: tenant.keys, mailboxes: await mailboxesByMode(baseUrl, tenant.keys.admin) };
}
