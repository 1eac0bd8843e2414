import { z } from "zod";
import { DKIM_KEY_TYPES, DMARC_POLICIES, RECORD_PURPOSES } from "../../mail/domain-plan.ts";
import { timestamp } from "./values.ts";

/** A domain, as the tenant object answers it. */

export const DOMAIN_STATUSES = ["aligned", "misaligned", "pending"] as const;

const checkResult = z.enum(["pass", "fail", "missing", "unknown"]);

/** A record to publish. */
export const wantedRecordShape = z.object({
  type: z.enum(["TXT", "MX", "CNAME"]),
  name: z.string(),
  value: z.string(),
  strings: z.array(z.string()).optional().describe("A TXT value as it is published, in strings of at most 255 octets"),
  purpose: z.enum(RECORD_PURPOSES),
  required: z.boolean(),
  note: z.string().optional(),
});

/** What was found where a record belongs. */
export const recordFindingShape = z.object({
  type: z.enum(["TXT", "MX", "CNAME"]),
  required: z.boolean(),
  purpose: z.enum(RECORD_PURPOSES),
  result: checkResult,
  name: z.string(),
  expected: z.string(),
  found: z.array(z.string()),
  detail: z.string().nullable(),
});

export const checksShape = z.partialRecord(z.enum([...RECORD_PURPOSES, "alignment"]), checkResult);

const dkimKeyShape = z.object({
  selector: z.string(),
  algorithm: z.enum(["rsa-sha256", "ed25519-sha256"]),
  state: z.enum(["active", "next", "retired"]).describe("active: it signs; next: it will, once it is seen published"),
  created_at: timestamp,
  remove_after: timestamp.nullable().describe("Retired: until then it stays published for mail on its way"),
});

export const domainShape = z.object({
  id: z.string(),
  tenant_id: z.string(),
  domain: z.string().describe("In A-labels, as it is sent"),
  domain_unicode: z.string().describe("As people read it"),
  note: z.string().nullable().describe("Said where its letters imitate others"),
  status: z.enum(DOMAIN_STATUSES).describe("misaligned after it was aligned: broken, and mail from it waits"),
  /** What is to be done, or that all is well. */
  detail: z.string(),
  checks: checksShape,
  findings: z.array(recordFindingShape),
  dns_records: z.array(wantedRecordShape),
  dkim_key_type: z.enum(DKIM_KEY_TYPES),
  dkim_keys: z.array(dkimKeyShape),
  dmarc_policy: z.enum(DMARC_POLICIES),
  dmarc_rua: z.string().nullable(),
  mta_sts: z.boolean(),
  mta_sts_policy: z.string().nullable().describe("To be served at https://mta-sts.<domain>/.well-known/mta-sts.txt"),
  tls_rpt: z.string().nullable(),
  bimi_logo_url: z.string().nullable(),
  sending: z.enum(["ok", "held", "not_yet"]).describe("held: mail from it waits until its records are mended"),
  verified_at: timestamp.nullable().describe("When control of the DNS was proved"),
  broken_since: timestamp.nullable(),
  checked_at: timestamp.nullable(),
  next_check_at: timestamp.nullable().describe("Null: it is not looked at by itself any more"),
  created_at: timestamp,
});
export type Domain = z.infer<typeof domainShape>;

/** What to publish in the DNS, as set-up lists it too. */
export const dnsRecordShape = z.object({
  type: z.enum(["TXT", "MX"]),
  name: z.string(),
  value: z.string(),
  purpose: z.enum(["dkim", "spf", "dmarc", "inbound", "identity"]),
  required: z.boolean(),
});
