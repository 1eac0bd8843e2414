import { MODES } from "../oversight/modes.ts";
import { isAddress } from "./address-list.ts";
import { APPROVAL_KINDS, CLAIM_LIMITS, type Claim } from "./claim.ts";
import { fromBase64url } from "./encoding.ts";
import { isOurId } from "./header-form.ts";

/** What each member of a claim may be (FORMATS.md §1, §2.1): for the writer, who may not exceed it, and for readers alike. */

type Check = (value: unknown) => boolean;

function matches(pattern: RegExp): Check {
  return (value) => typeof value === "string" && pattern.test(value);
}

function orNull(check: Check): Check {
  return (value) => value === null || check(value);
}

function oneOf(values: readonly string[]): Check {
  return (value) => typeof value === "string" && values.includes(value);
}

function isBytes(length: number): Check {
  return (value) => typeof value === "string" && fromBase64url(value)?.length === length;
}

/** ISO 8601 in UTC with milliseconds, and a time that there is. */
function isTime(value: unknown): boolean {
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) return false;
  const time = new Date(value);
  return !Number.isNaN(time.getTime()) && time.toISOString() === value;
}

/** An address that takes no more room than there is as JSON writes it, where a quoted local part is longer. */
function isMailbox(value: unknown): boolean {
  return typeof value === "string" && isAddress(value) && JSON.stringify(value).length - 2 <= CLAIM_LIMITS.mailbox;
}

const CHECKS: Record<keyof Claim, Check> = {
  agent_id: matches(CLAIM_LIMITS.agent_id),
  model_id: orNull(matches(CLAIM_LIMITS.model_id)),
  model_provider: orNull(matches(CLAIM_LIMITS.model_provider)),
  tenant_id: isOurId,
  oversight_mode: oneOf(MODES),
  ai_disclosure: (value) => typeof value === "boolean",
  mailbox: isMailbox,
  sent_at: isTime,
  nonce: isBytes(12),
  kid: isOurId,
  email_id: isOurId,
  body_hash: isBytes(32),
  approval_ref: orNull(isOurId),
  approval_kind: orNull(oneOf(APPROVAL_KINDS)),
};

/** The members in the order in which they are written. */
export const CLAIM_MEMBERS = Object.keys(CHECKS) as (keyof Claim)[];

/** @returns the name of a member that is missing or not what it may be; null for a claim. Unknown members are ignored. */
export function wrongMember(payload: Readonly<Record<string, unknown>>): keyof Claim | null {
  return CLAIM_MEMBERS.find((name) => !Object.hasOwn(payload, name) || !CHECKS[name](payload[name])) ?? null;
}

/** @returns `payload` as the claim it is; null if it is none. */
export function asClaim(payload: Readonly<Record<string, unknown>>): Claim | null {
  return wrongMember(payload) === null ? (payload as unknown as Claim) : null;
}
