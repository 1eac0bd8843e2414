import type { MailboxRpc } from "../durable-objects/mailbox-rpc.ts";
import type { TenantRpc } from "../durable-objects/tenant-rpc.ts";

/**
 * A Durable Object binding, by what its objects answer. The platform's own type turns every method whose answer holds an
 * `unknown` (metadata, details) into `never`; the values are plain data and cross the boundary whole.
 */
export interface ObjectNamespace<Rpc> {
  getByName(name: string): Rpc & DurableObjectStub;
}

/** What wrangler.toml and the secrets bind. README's table of settings says what each is for. */
export interface Env {
  DB: D1Database;
  STORE: R2Bucket;
  MAILBOX: ObjectNamespace<MailboxRpc>;
  TENANT: ObjectNamespace<TenantRpc>;
  /** Only where TRANSPORT is `cloudflare`. */
  EMAIL?: SendEmail;
  /** Limits public operations that take work, each network address for itself. Absent: nothing is limited. */
  RATE_LIMIT?: RateLimit;
  /** 32 random bytes, base64. Everything encrypted at rest is encrypted under keys derived from it. */
  MASTER_KEY: string;
  /** The other key while MASTER_KEY is being changed: it still opens what was sealed under it (docs/keys.md). */
  MASTER_KEY_PREVIOUS?: string;
  /** Whoever holds it may make tenants (`POST /setup`). Absent: nobody may. */
  SETUP_TOKEN?: string;
  PUBLIC_URL: string;
  MAIL_DOMAIN: string;
  DOH_URL: string;
  /** Where RDAP is asked how old a domain is; the domain is added at its end. Absent: nobody is asked. */
  RDAP_URL?: string;
  /** Blocklists of domains that are asked by DNS, with spaces between them; none if absent. */
  DNS_BLOCKLISTS?: string;
  /** How many names that it never looked up before a tenant may look up in a day; 200 if absent. */
  NEW_NAMES_PER_DAY?: string;
  /** How many milliseconds one source may take to say what it knows of a recipient's domain; 800 if absent. */
  SOURCE_TIMEOUT_MS?: string;
  INBOUND_RECEIVED_BY: string;
  /** The host that takes inbound mail, for the MX record that set-up lists. Email Routing sets its own, so there it is left out. */
  INBOUND_MX?: string;
  /** What the relay asks to be included in SPF, for the record that set-up lists. */
  SPF_INCLUDE?: string;
  TRANSPORT: "smtp" | "cloudflare";
  SMTP_HOST?: string;
  SMTP_PORT?: string;
  /** `starttls` (587) and `tls` (465) refuse to go on unencrypted; `none` is for a relay on the same machine. */
  SMTP_SECURITY?: "starttls" | "tls" | "none";
  SMTP_USERNAME?: string;
  SMTP_PASSWORD?: string;
}
