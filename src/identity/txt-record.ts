import { fromBase64, toBase64 } from "./encoding.ts";
import { isOurId } from "./header-form.ts";
import type { PublicJwk, PublishedKey } from "./keys.ts";
import { fingerprintOf, jwkOfSpki, spkiOf, UnreadableKey } from "./public-keys.ts";

/** FORMATS.md §3: the TXT record `_multimail.<domain>`, for verifying with no service at all. */

/** Characters of a record that is read. */
const MAX_RECORD = 2048;

/** @returns `v=mmid1; k=p256; kid=…; fp=…; p=…`, one character-string of DNS (at most 255 octets) for a kid of ours. */
export function identityTxtRecord(key: PublicJwk & { kid: string }): string {
  return `v=mmid1; k=p256; kid=${key.kid}; fp=${fingerprintOf(key)}; p=${toBase64(spkiOf(key))}`;
}

/** The tags of a list as DKIM writes them (RFC 6376 §3.2); null where one occurs twice or is none. */
function tagsOf(text: string): Map<string, string> | null {
  const tags = new Map<string, string>();
  for (const part of text.replace(/;\s*$/, "").split(";")) {
    const [, name, value] = /^\s*([A-Za-z][A-Za-z0-9_]*)\s*=(.*)$/s.exec(part) ?? [];
    if (name === undefined || value === undefined || tags.has(name)) return null;
    tags.set(name, value.trim());
  }
  return tags;
}

function keyOf(encoded: string): PublicJwk | null {
  const der = fromBase64(encoded);
  try {
    return der && jwkOfSpki(der);
  } catch (error) {
    // A record is a stranger's text: one without a usable key says nothing.
    if (error instanceof UnreadableKey) return null;
    throw error;
  }
}

/**
 * @param text the record, its character-strings joined.
 * @returns the key, whose life the record does not say; null for any other record, one whose fingerprint is not the key's, or
 *   one with a tag that occurs twice. Unknown tags are ignored.
 */
export function readIdentityTxtRecord(text: string): PublishedKey | null {
  if (text.length > MAX_RECORD || !/^\s*v\s*=\s*mmid1\s*(?:;|$)/.test(text)) return null;
  const tags = tagsOf(text);
  const key = tags?.get("k") === "p256" ? keyOf(tags.get("p") ?? "") : null;
  const kid = tags?.get("kid");
  if (!key || !isOurId(kid) || tags?.get("fp") !== fingerprintOf(key)) return null;
  return { ...key, kid, not_before: null, retired_at: null, revoked_at: null };
}
