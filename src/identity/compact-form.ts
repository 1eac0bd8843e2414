import type { Claim } from "./claim.ts";
import { asClaim, CLAIM_MEMBERS, wrongMember } from "./claim-check.ts";
import { fromBase64url, fromJson, fromUtf8, isObject, toBase64url, utf8 } from "./encoding.ts";
import { type Fault, HEADER, KEY_FIELDS, KEY_IN_MESSAGE, tooLong } from "./header-form.ts";
import { hasRepeatedMember, namesAMember } from "./json-members.ts";
import { judgeKeys, type KeyJudgement } from "./key-life.ts";
import type { PublishedKey, SigningKey } from "./keys.ts";
import { verifyP256 } from "./signatures.ts";

/** FORMATS.md §2.1: `base64url(payload) "." base64url(signature)`. */

/** A header of the compact form, as far as it can be read. */
export interface CompactForm {
  /** The payload as it was found, even where it is no claim; null where there is none that can be read. */
  payload: Record<string, unknown> | null;
  /** Null where there is a fault. */
  claim: Claim | null;
  fault: Fault | null;
  /** What the signature is over, and the signature in DER. */
  signed: Uint8Array;
  signature: Uint8Array;
}

/**
 * Writes the header's value.
 * @throws Error for a claim outside the limits of FORMATS.md §1: a mistake of ours.
 */
export function writeCompact(claim: Claim, key: SigningKey): { value: string; signature: string } {
  const wrong = wrongMember({ ...claim });
  if (wrong !== null) throw new Error(`The claim's ${wrong} is not what it may be`);
  // In the order of the format, whatever the order of what is given.
  const payload = Object.fromEntries(CLAIM_MEMBERS.map((name) => [name, claim[name]]));
  const encoded = toBase64url(utf8(JSON.stringify(payload)));
  const signature = toBase64url(key.sign(utf8(encoded)));
  return { value: `${encoded}.${signature}`, signature };
}

/** @returns what the header's value says; never throws. */
export function readCompact(value: string): CompactForm {
  const nothing = { payload: null, claim: null, signed: new Uint8Array(), signature: new Uint8Array() };
  const long = tooLong(HEADER.identity, value);
  if (long) return { ...nothing, fault: long };
  const malformed = (detail: string): Fault => ({ reason: "malformed", detail });
  const [encoded = "", encodedSignature = "", ...more] = value.split(".");
  const octets = fromBase64url(encoded);
  const signature = fromBase64url(encodedSignature);
  if (more.length > 0 || !octets?.length || !signature?.length) {
    return { ...nothing, fault: malformed(`${HEADER.identity} is not two parts of base64url.`) };
  }
  const json = fromUtf8(octets);
  const payload = json === null ? undefined : fromJson(json);
  if (json === null || !isObject(payload)) {
    return { ...nothing, fault: malformed(`The payload of ${HEADER.identity} is no JSON object.`) };
  }
  const found = { payload, claim: null, signed: utf8(encoded), signature };
  if (namesAMember(json, KEY_FIELDS)) return { ...found, fault: KEY_IN_MESSAGE };
  if (hasRepeatedMember(json)) {
    return { ...found, fault: { reason: "repeated", detail: `${HEADER.identity} has a member twice.` } };
  }
  const claim = asClaim(payload);
  if (!claim) return { ...found, fault: malformed(`The claim's ${wrongMember(payload)} is not what it may be.`) };
  return { ...found, claim, fault: null };
}

/**
 * Whether the signature of a claim holds. The claim's kid picks the key, and a key without a kid is tried.
 * @param keys null where the reader has none.
 */
export function verifyCompact(
  { claim, signed, signature }: CompactForm & { claim: Claim },
  keys: readonly PublishedKey[] | null,
): KeyJudgement {
  const picked = keys?.filter(({ kid }) => kid === null || kid === claim.kid) ?? null;
  return judgeKeys(picked, new Date(claim.sent_at), (key) => verifyP256(key, signature, signed));
}
