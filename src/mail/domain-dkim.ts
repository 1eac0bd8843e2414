import type { PublicDkimKey } from "./domain-plan.ts";
import { readTagList } from "./domain-tag-list.ts";

/** The DNS record of a DKIM key (RFC 6376 §3.6.1, RFC 8463 §3), compared by what it means and not by how it is written. */

export type KeyComparison =
  /** Signatures by the key verify with this record; `advice` is what is odd about it. */
  | { same: true; advice: string | null }
  /** `problem`: what follows “the record”, as a clause. */
  | { same: false; problem: string };

function withoutSpace(text: string): string {
  return text.replace(/\s+/g, "");
}

function listed(value: string | undefined): string[] | null {
  return value === undefined ? null : value.split(":").map((entry) => entry.trim().toLowerCase());
}

function differingKey(found: string, key: PublicDkimKey, others: readonly PublicDkimKey[]): string {
  const plain = (text: string) => text.replace(/=+$/, "");
  const owner = others.find((other) => plain(other.public_key) === plain(found));
  if (owner) return `has the key of the selector ${owner.selector}, so the two names were mixed up`;
  if (key.public_key.startsWith(plain(found))) {
    return `has only the first ${found.length} of the ${key.public_key.length} characters of the key`;
  }
  return "has another key than the one that signs";
}

/**
 * @param text the record, its character-strings joined.
 * @param key the key it is to publish.
 * @param others the domain's other keys, to tell a mix-up.
 */
export function compareDkimKey(text: string, key: PublicDkimKey, others: readonly PublicDkimKey[] = []): KeyComparison {
  const differs = (problem: string): KeyComparison => ({ same: false, problem });
  const list = readTagList(text);
  if ("problem" in list) return differs(`is no list of tags: ${list.problem}`);
  const { tags } = list;
  const version = tags.get("v");
  if (version !== undefined && (version !== "DKIM1" || tags.keys().next().value !== "v")) {
    return differs("does not begin with exactly “v=DKIM1”");
  }
  const published = tags.get("p");
  if (published === undefined) return differs("has no key (“p=”)");
  const found = withoutSpace(published);
  if (found === "") return differs("has an empty key (“p=”), which revokes the selector");
  const type = (tags.get("k") ?? "rsa").toLowerCase();
  const wanted = key.algorithm === "rsa-sha256" ? "rsa" : "ed25519";
  if (found.replace(/=+$/, "") !== key.public_key.replace(/=+$/, "")) return differs(differingKey(found, key, others));
  if (type !== wanted) return differs(`says “k=${type.slice(0, 20)}” of a key that is ${wanted}`);
  const hashes = listed(tags.get("h"));
  if (hashes && !hashes.includes("sha256")) return differs("does not allow SHA-256 (“h=”), by which mail is signed");
  const services = listed(tags.get("s"));
  if (services && !services.includes("*") && !services.includes("email")) {
    return differs("is not for e-mail (“s=”)");
  }
  const testing = listed(tags.get("t"))?.includes("y") === true;
  return { same: true, advice: testing ? "says “t=y”, so receivers treat signed mail as unsigned: remove it" : null };
}
