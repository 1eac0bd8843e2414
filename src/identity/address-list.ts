import { type Read, read, unread } from "./header-form.ts";

/**
 * Address fields as readers of mail take them (RFC 5322 §3.4), without everything that two readers may read differently: groups
 * with members, routes, comments, domain literals, more than one angle bracket. A field of another form has no addresses.
 */

/** Octets of a field: far more than 50 recipients take. */
const MAX_FIELD = 64 * 1024;

const ATEXT = "A-Za-z0-9!#$%&'*+\\-/=?^_`{|}~";
const LOCAL = new RegExp(`^(?:[${ATEXT}]+(?:\\.[${ATEXT}]+)*|"[${ATEXT}. ]+")$`);
const DOMAIN = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/** @returns whether `text` is an addr-spec that every reader takes alike. */
export function isAddress(text: string): boolean {
  const at = text.lastIndexOf("@");
  return text.length <= 320 && LOCAL.test(text.slice(0, at)) && DOMAIN.test(text.slice(at + 1)) && at > 0;
}

/** Quoted strings, angle brackets, commas, white space, and runs of what else a phrase or an addr-spec is made of. */
const TOKEN = /"(?:[^"\\]|\\.)*"|<[^<>",]*(?:"[^"\\<>]*"[^<>",]*)?>|,|[ \t]+|[^\s",<>():;[\]\\]+/y;

function tokensOf(value: string): string[] | null {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < value.length) {
    const [token] = TOKEN.exec(value) ?? [];
    if (token === undefined) return null;
    tokens.push(token);
  }
  return tokens;
}

/** @returns the addr-spec of one mailbox; null where it is not exactly one. */
function mailboxOf(tokens: readonly string[]): string | null {
  const text = tokens.join("").trim();
  const last = tokens.findLast((token) => token.trim() !== "") ?? "";
  const angles = tokens.filter((token) => token.startsWith("<"));
  const spec = angles.length === 0 ? text : last.slice(1, -1).trim();
  if (angles.length > 1 || (angles.length === 1 && angles[0] !== last)) return null;
  // `a@b.example <c@d.example>`: some readers show or take the first. In quotes it is a name to all of them.
  const name = angles.length === 0 ? [] : tokens.filter((token) => !/^["<]/.test(token));
  return name.some((token) => token.includes("@")) || !isAddress(spec) ? null : spec;
}

/**
 * Reads an address field.
 * @param field its name, for the sentence of a fault.
 * @param value unfolded. A group without members (`undisclosed-recipients:;`), as relays write it, is no address.
 * @returns the addr-specs in order, as they are written.
 */
export function readAddresses(field: string, value: string): Read<string[]> {
  if (/^\s*[A-Za-z -]{1,60}:\s*;\s*$/.test(value)) return read([]);
  const tokens = value.length > MAX_FIELD ? null : tokensOf(value);
  const lists: string[][] = [[]];
  for (const token of tokens ?? []) {
    if (token === ",") lists.push([]);
    else lists.at(-1)?.push(token);
  }
  const found = lists.map(mailboxOf);
  const addresses = found.filter((address) => address !== null);
  if (tokens === null || addresses.length < found.length) {
    return unread("malformed", `${field} is not written so that every reader finds the same addresses in it.`);
  }
  return read(addresses);
}
