import { generateKeyPairSync } from "node:crypto";
import type { DomainPlan, WantedRecord } from "../../src/mail/domain-plan.ts";
import type { Zone } from "./dns-zone.ts";

const KEYS = {
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 })
    .publicKey.export({ type: "spki", format: "der" })
    .toString("base64"),
  rsa2: generateKeyPairSync("rsa", { modulusLength: 2048 })
    .publicKey.export({ type: "spki", format: "der" })
    .toString("base64"),
  ed: generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64"),
};
const { x = "", y = "" } = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });

export const RSA_KEY = { selector: "mm1r", algorithm: "rsa-sha256", public_key: KEYS.rsa, state: "active" } as const;
export const ED_KEY = { selector: "mm1e", algorithm: "ed25519-sha256", public_key: KEYS.ed, state: "active" } as const;
export const NEXT_KEY = { selector: "mm2r", algorithm: "rsa-sha256", public_key: KEYS.rsa2, state: "next" } as const;
export const IDENTITY = {
  kid: "key_01J9ZV8Q6V3XK6T9C2N4M7P5RA",
  public_jwk: { kty: "EC", crv: "P-256", x, y },
} as DomainPlan["identity"];

/** A plan as the tests need it most: both keys, a relay, our own inbound host. */
export function planOf(changed: Partial<DomainPlan> = {}): DomainPlan {
  return {
    domain: "customer.example",
    dkim_keys: [RSA_KEY, ED_KEY],
    identity: null,
    hosts: { mx_host: "mx.agents.test", spf_include: "spf.relay.example" },
    dmarc: { policy: "quarantine", rua: null },
    challenge: null,
    mta_sts_id: null,
    tls_rpt: null,
    bimi_logo_url: null,
    ...changed,
  };
}

/** The zone of whoever runs the relay. */
export const RELAY_ZONE: Zone = { "spf.relay.example": { TXT: ["v=spf1 ip4:192.0.2.0/24 -all"] } };

/** @returns a zone in which all of `records` are published as they are answered. */
export function published(records: readonly WantedRecord[], others: Zone = RELAY_ZONE): Zone {
  const zone: Record<string, Record<string, (string | string[])[]>> = {};
  for (const { type, name, value, strings } of records) {
    zone[name] ??= {};
    const entry = zone[name] as Record<string, (string | string[])[]>;
    entry[type] = [...(entry[type] ?? []), strings ?? value];
  }
  return { ...(zone as Zone), ...others };
}
