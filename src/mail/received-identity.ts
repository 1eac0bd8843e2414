import type { TrustedKeys } from "../identity/keys.ts";
import { readIdentityTxtRecord } from "../identity/txt-record.ts";
import type { AgentMetadata, HeaderForm, IdentityReason, MessageVerdict } from "../identity/verdict.ts";
import { IDENTITY_HEADERS, verifyMessage } from "../identity/verify-message.ts";
import { domainOf } from "./address.ts";
import { DnsError, type Resolver } from "./dns-over-https.ts";
import type { AuthenticationVerdicts, MailAddress } from "./message.ts";

/** What the identity headers of an arriving message come to (FORMATS.md §2.6), and whose keys they were checked with. */

/** As a mailbox keeps it. Plain data. */
export interface ReceivedIdentity {
  verified: boolean;
  reasons: IdentityReason[];
  forms: { form: HeaderForm; valid: boolean; reason: IdentityReason | null; kid: string | null }[];
  /** Whose keys: this deployment's, or those that the From domain publishes; null where there were none. */
  source: "deployment" | "dns" | null;
  /** Null unless verified. */
  agent: AgentMetadata | null;
  /** The verified claim's nonce, under whose keys verified it; null where no claim was verified. */
  nonce: string | null;
  /** Lower-case names. */
  headers: Record<string, string>;
}

export interface ArrivingIdentity {
  /** The message exactly as it arrived, or of a large one its beginning. */
  raw: Uint8Array;
  /** Only the beginning is there. */
  large: boolean;
  from: readonly MailAddress[];
  headers: readonly (readonly [name: string, value: string])[];
  authentication: Pick<AuthenticationVerdicts, "dkim_result">;
}

/** Who has keys. Neither is asked for anything that the message claims. */
export interface KeySources {
  /** @returns this deployment's keys for whoever has that address here, or null. */
  ownKeys(address: string): Promise<TrustedKeys | null>;
  dns: Resolver;
}

/** A domain in the middle of rotations publishes a few; one with more than these is not searched through. */
const MAX_RECORDS = 8;
/** A header line has at most 998 octets; of whatever is longer, the beginning is kept. */
const KEPT_CHARACTERS = 2_000;

/** Found, or why not. */
type Found = { keys: TrustedKeys | null; source: ReceivedIdentity["source"]; broken: boolean };

/**
 * Verifies the identity headers of an arriving message. Keys come from this deployment if the From address is one of its
 * mailboxes', else from the `_multimail` TXT record of the From domain once DKIM verified that domain.
 * @returns null if the message carries none. A breakdown of the DNS is the reason `lookup_failed`.
 * @throws Error only if this deployment's own keys cannot be read: the sender is to try again.
 */
export async function judgeIdentity(arriving: ArrivingIdentity, sources: KeySources): Promise<ReceivedIdentity | null> {
  const carries = arriving.headers.some(([name]) => IDENTITY_HEADERS.has(name.toLowerCase()));
  if (!carries) return null;
  if (arriving.large) return unverified("too_large", arriving);
  const { keys, source, broken } = await findKeys(arriving, sources);
  const verdict = await verifyMessage(arriving.raw, keys);
  if (verdict.verified === null) return null;
  const reasons = verdict.reasons.map(({ reason }) => reason);
  return {
    verified: verdict.verified,
    reasons: [...new Set<IdentityReason>(broken ? ["lookup_failed", ...reasons] : reasons)],
    forms: verdict.headers.map(({ form, valid, reason, kid }) => ({ form, valid, reason, kid })),
    source,
    agent: verdict.agent_metadata,
    nonce: nonceOf(verdict, keys),
    headers: bounded(verdict.identity_headers),
  };
}

async function findKeys({ from, authentication }: ArrivingIdentity, { ownKeys, dns }: KeySources): Promise<Found> {
  const none: Found = { keys: null, source: null, broken: false };
  const [author] = from;
  if (!author || from.length !== 1) return none;
  const own = await ownKeys(author.address);
  if (own) return { keys: own, source: "deployment", broken: false };
  const domain = domainOf(author.address);
  if (authentication.dkim_result !== "pass" || domain === "") return none;
  try {
    const answers = (await dns(`_multimail.${domain}`, "TXT")) as string[][];
    const p256 = answers
      .slice(0, MAX_RECORDS)
      .map((strings) => readIdentityTxtRecord(strings.join("")))
      .filter((key) => key !== null);
    return p256.length > 0
      ? { keys: { tenant_id: null, p256, ed25519: [], domains: [domain] }, source: "dns", broken: false }
      : none;
  } catch (error) {
    if (error instanceof DnsError)
      return { ...none, broken: !["ENOTFOUND", "ENODATA", "EBADNAME"].includes(error.code) };
    throw error;
  }
}

/**
 * A nonce is told from those of other senders by what is proven of this one: our tenant, or the From domain. Under the tenant that
 * a stranger's claim names, anyone could use up the nonces of another's messages before they arrive.
 */
function nonceOf({ claim, verified }: MessageVerdict, keys: TrustedKeys | null): string | null {
  const owner = keys?.tenant_id ?? keys?.domains?.[0] ?? null;
  return verified && owner !== null && typeof claim?.nonce === "string" ? `${owner}/${claim.nonce}` : null;
}

function bounded(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.slice(0, KEPT_CHARACTERS)]));
}

function unverified(reason: IdentityReason, { headers }: ArrivingIdentity): ReceivedIdentity {
  const carried = headers.filter(([name]) => IDENTITY_HEADERS.has(name.toLowerCase()));
  return {
    verified: false,
    reasons: [reason],
    forms: [],
    source: null,
    agent: null,
    nonce: null,
    headers: bounded(Object.fromEntries(carried.map(([name, value]) => [name.toLowerCase(), value]))),
  };
}
