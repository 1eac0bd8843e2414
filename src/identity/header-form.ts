import { CLAIM_LIMITS } from "./claim.ts";
import type { HeaderVerdict, IdentityReason } from "./verdict.ts";

/** What the header forms of FORMATS.md §2 have in common. */

/** The headers' names, as they are written. */
export const HEADER = {
  identity: "X-MultiMail-Identity",
  identity_sig: "X-MM-Identity-Sig",
  agent: "X-MultiMail-Agent-Id",
  tenant: "X-MultiMail-Tenant",
  mode: "X-MultiMail-Oversight-Mode",
  key: "X-MultiMail-Key-Id",
  approval: "X-MultiMail-Approval",
  signature: "X-MultiMail-Signature",
  disclosure: "X-AI-Generated",
} as const;
export type HeaderName = (typeof HEADER)[keyof typeof HEADER];

/** RFC 5322 §2.1.1: octets of a line that is not folded. */
export const MAX_LINE = 998;

/** Why something does not hold. */
export interface Fault {
  reason: IdentityReason;
  /** One sentence. */
  detail: string;
}

/** A value, or why there is none. */
export type Read<T> = { value: T; fault: null } | { value: null; fault: Fault };

/** @returns a value that could be read. */
export function read<T>(value: T): Read<T> {
  return { value, fault: null };
}

/** @returns the reason for which there is no value. */
export function unread(reason: IdentityReason, detail: string): { value: null; fault: Fault } {
  return { value: null, fault: { reason, detail } };
}

/** The key that a form verifies with, as verdicts name it. */
export type VerifyingKey = Pick<HeaderVerdict, "kid" | "fingerprint">;

/** An id of ours. It may not begin with `-`, which stands for none. */
const OUR_ID = /^[A-Za-z0-9_][A-Za-z0-9_-]*$/;

/** @returns whether `value` can be an id of ours (FORMATS.md §1). */
export function isOurId(value: unknown): value is string {
  return typeof value === "string" && value.length <= CLAIM_LIMITS.our_id && OUR_ID.test(value);
}

/** @returns the fault of a value that no header line has room for; null where it has. */
export function tooLong(header: HeaderName, value: string): Fault | null {
  if (header.length + 2 + value.length <= MAX_LINE) return null;
  return { reason: "too_long", detail: `${header} is longer than ${MAX_LINE} octets.` };
}

/** Names under which a message could bring its own key (RFC 7515 §4.1.2, §4.1.3, §4.1.5). */
export const KEY_FIELDS: readonly string[] = ["jwk", "jku", "x5u"];

/** Said of a message that brings the key it wants to be verified with. */
export const KEY_IN_MESSAGE: Fault = {
  reason: "key_in_message",
  detail: "The message names the key to verify it with; keys come from where the reader trusts already.",
};

/**
 * Splits `name=value; name=value` (FORMATS.md §2.2, §2.3).
 * @param known the names in the order in which they stand; those that end in `?` may be left out.
 * @returns the values by name; a fault for anything that is not exactly that.
 */
export function readFields(header: HeaderName, value: string, known: readonly string[]): Read<Map<string, string>> {
  const long = tooLong(header, value);
  if (long) return { value: null, fault: long };
  const fields = new Map<string, string>();
  for (const part of value.split("; ")) {
    const [, name, text] = /^([a-z_0-9]+)=([\x21-\x3a\x3c-\x7e]+)$/.exec(part) ?? [];
    if (name === undefined || text === undefined) return unread("malformed", `${header} cannot be read.`);
    if (KEY_FIELDS.includes(name)) return { value: null, fault: KEY_IN_MESSAGE };
    if (fields.has(name)) return unread("repeated", `${header} has the field ${name} twice.`);
    fields.set(name, text);
  }
  const missing = known.find((name) => !name.endsWith("?") && !fields.has(name));
  if (missing !== undefined) return unread("missing_part", `${header} lacks the field ${missing}.`);
  const names = known.map((name) => name.replace("?", "")).filter((name) => fields.has(name));
  const inOrder = [...fields.keys()].every((name, index) => name === names[index]);
  return inOrder ? read(fields) : unread("malformed", `${header} has unknown fields, or fields out of order.`);
}
