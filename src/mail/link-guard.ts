import {
  BLANKED_TOKEN,
  findDecisionTokens,
  hashDecisionToken,
  routingNumberOfToken,
} from "../oversight/decision-links.ts";
import type { AttachmentBytes } from "../store/mail-store.ts";
import { MAX_ROUTINGS } from "../store/routing-lookup.ts";
import { cutOutTokens } from "./blank-tokens.ts";

/**
 * No agent may obtain a decision link. One that arrives in mail, say because an approver forwarded the notification, is found
 * through whatever mail programs wrap around it, withdrawn, and blanked before anyone can read it.
 */

/** How often an encoding is looked into: a base64 part in an attached message in base64, and a tracking link in that. */
const MAX_DEPTH = 4;
/** Characters decoded per search; a bound against text made of nested encodings. */
const DECODING_BUDGET = 96 * 1024 * 1024;

/** With more tokens than this in a message, each text that holds one is replaced as a whole: nobody writes such mail. */
export const MAX_BLANKED_SINGLY = 20;
/** Mailbox objects called for the links of one message where it is not known which of them exist. */
export const MAX_ROUTINGS_UNCHECKED = 20;
/** Workers open six connections at once; more calls would only wait. */
const CALLS_AT_ONCE = 6;

/** What stands in place of an attachment that held a link. */
const REPLACEMENT = new TextEncoder().encode("This attachment was removed: it held a decision link.\n");

const ENTITY = /&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(hyphen|dash|lowbar|UnderBar|shy|ZeroWidthSpace));?/g;
const NAMED_ENTITIES: Record<string, string> = { hyphen: "-", dash: "-", lowbar: "_", UnderBar: "_" };
/** What breaks a word without being seen: NUL (so UTF-16 reads as Latin), soft hyphen, zero-width characters, word joiner. */
const INVISIBLE = /[\0\u00ad\u200b-\u200f\u2060\ufeff]|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf|\xc2\xad/g;
/** Base64 characters a token needs at least; a longer text is not tried at shifted positions. */
const SHORTEST_BASE64 = 69;
const MAX_SHIFTED = 8 * 1024;

/** Each undoes one way to write a token; they are applied in this order, each on top of the ones before. */
const UNWRAPPINGS: [needs: RegExp, (text: string) => string][] = [
  [/=(?:[0-9A-Fa-f]{2}|[ \t]*\r?\n)/, (text) => hexDecoded(text.replace(/=[ \t]{0,100}\r?\n/g, ""), "=")],
  [/%[0-9A-Fa-f]{2}/, (text) => hexDecoded(text, "%")],
  [/%[0-9A-Fa-f]{2}/, (text) => hexDecoded(text, "%")],
  [/&/, (text) => text.replace(ENTITY, (_all, decimal, hex, name) => entityText(decimal, hex, name))],
  [/</, (text) => text.replace(/<[^<>]{0,4000}>/g, "")],
  [INVISIBLE, (text) => text.replace(INVISIBLE, "")],
  [/\n/, (text) => text.replace(/[ \t]?\r?\n[ \t>]{0,100}/g, "")],
];

/** @returns `text` with each marker and two hexadecimal digits replaced by the character they stand for. */
function hexDecoded(text: string, marker: "=" | "%"): string {
  const codes = new Uint16Array(text.length);
  const mark = marker.charCodeAt(0);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const value = code === mark ? Number.parseInt(text.slice(at + 1, at + 3), 16) : Number.NaN;
    const encoded = code === mark && /^[0-9A-Fa-f]{2}$/.test(text.slice(at + 1, at + 3));
    codes[length++] = encoded ? value : code;
    if (encoded) at += 2;
  }
  return Buffer.from(codes.buffer, 0, length * 2).toString("utf16le");
}

function entityText(decimal: string | undefined, hex: string | undefined, name: string | undefined): string {
  if (name !== undefined) return NAMED_ENTITIES[name] ?? "";
  const code = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "";
}

/** @returns how `text` reads with one wrapping after the other undone, itself first. */
function* readings(text: string): Generator<string> {
  yield text;
  let reading = text;
  for (const [needs, unwrap] of UNWRAPPINGS) {
    needs.lastIndex = 0;
    if (!needs.test(reading)) continue;
    const next = unwrap(reading);
    if (next === reading) continue;
    reading = next;
    yield reading;
  }
}

const BASE64 = new Set(
  [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"].map((c) => c.charCodeAt(0)),
);
const IS_BASE64 = Uint8Array.from({ length: 128 }, (_, code) => (BASE64.has(code) ? 1 : 0));

function isBase64(code: number): boolean {
  return IS_BASE64[code] === 1;
}

/** @returns the runs of base64 that could hold a token, without the line breaks mail folds them with. */
function* base64Runs(text: string): Generator<string> {
  for (let start = 0; start < text.length; start++) {
    if (!isBase64(text.charCodeAt(start))) continue;
    let end = start;
    for (;;) {
      while (isBase64(text.charCodeAt(end))) end++;
      const next = text.charCodeAt(end) === 13 ? end + 1 : end;
      if (text.charCodeAt(next) !== 10 || !isBase64(text.charCodeAt(next + 1)) || end - start < 16) break;
      end = next + 1;
    }
    if (end - start >= SHORTEST_BASE64) yield text.slice(start, end).replace(/[\r\n]+/g, "");
    start = end;
  }
}

function* base64Readings(text: string, budget: { left: number }): Generator<string> {
  for (const run of base64Runs(text)) {
    // Whatever stands before a short encoded text, such as a link's path, shifts it by up to three characters.
    const shifts = run.length <= MAX_SHIFTED ? 4 : 1;
    for (let shift = 0; shift < shifts && budget.left > 0; shift++) {
      budget.left -= run.length;
      yield Buffer.from(run.slice(shift), "base64").toString("latin1");
    }
  }
}

function search(text: string, depth: number, budget: { left: number }, found: Set<string>): void {
  let nth = 0;
  for (const reading of readings(text)) {
    for (const token of findDecisionTokens(reading)) found.add(token);
    // Base64 is sought in the text as it is and with its first wrapping undone, which for mail is quoted-printable.
    if (depth === 0 || nth++ > 1) continue;
    for (const decoded of base64Readings(reading, budget)) search(decoded, depth - 1, budget, found);
  }
}

/** @returns the decision tokens in `text`, however mail programs wrapped, folded or encoded them. */
export function findWrappedTokens(text: string): string[] {
  const found = new Set<string>();
  search(text, MAX_DEPTH, { left: DECODING_BUDGET }, found);
  return [...found];
}

/** @returns whether bytes are no text in any encoding of ASCII or in UTF-16, judged by their beginning and middle. */
function isBinary(bytes: Uint8Array): boolean {
  const middle = bytes.length >> 1;
  const sample = [...bytes.subarray(0, 4_096), ...bytes.subarray(middle, middle + 4_096)];
  const controls = sample.filter(
    (octet) => octet !== 0 && octet < 32 && (octet < 9 || octet > 13) && octet !== 27,
  ).length;
  return controls > sample.length / 20;
}

/** As findWrappedTokens, for the bytes of an attachment. In binary data only a link as it is, or in UTF-16, is looked for. */
export function findTokensInBytes(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  if (!isBinary(bytes)) return findWrappedTokens(text);
  return [...new Set([...findDecisionTokens(text), ...findDecisionTokens(text.replaceAll("\0", ""))])];
}

/** @returns `text` without its tokens. Where one is wrapped so that it cannot be cut out, the whole text gives way to the note. */
export function blankWrappedTokens(text: string): string {
  if (findWrappedTokens(text).length === 0) return text;
  const blanked = cutOutTokens(text);
  return findWrappedTokens(blanked).length > 0 ? BLANKED_TOKEN : blanked;
}

/** What a guarded value may be made of: plain data, as RPC carries it. */
type Plain = string | number | boolean | null | undefined | Plain[] | { [key: string]: Plain };

function mapStrings(value: Plain, change: (text: string) => string): Plain {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapStrings(item, change)]));
}

function stringsIn(value: Plain, strings: string[] = []): string[] {
  mapStrings(value, (text) => {
    strings.push(text);
    return text;
  });
  return strings;
}

/** A message without its decision links, and the links that were in it. */
export interface Guarded<M> {
  message: M;
  tokens: string[];
}

/**
 * Takes decision links out of everything of a message that an agent could read.
 * @param raw the message as it arrived, or its beginning: what stands in it plainly is found too, were it not in `message`. It
 *   stays as it is; agents cannot read it.
 * @param message what was parsed from it; its strings are blanked, and an attachment that holds a link becomes a short note.
 * @returns the message, flagged `link_removed` if it held a link, and the tokens found anywhere.
 */
export function guardLinks<M extends { flags: string[]; attachments: AttachmentBytes[] }>(
  raw: Uint8Array,
  message: M,
): Guarded<M> {
  const { attachments, ...rest } = message;
  const tokens = new Set(
    findDecisionTokens(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("latin1")),
  );
  const holding = new Set<string>();
  const look = (text: string) => {
    const held = findWrappedTokens(text);
    for (const token of held) tokens.add(token);
    if (held.length > 0) holding.add(text);
  };
  for (const text of stringsIn(rest as Plain)) look(text);
  const removed = attachments.map(({ name, content_id, bytes }) => {
    const held = findTokensInBytes(bytes);
    for (const token of held) tokens.add(token);
    look(name);
    look(content_id ?? "");
    return held.length > 0 || holding.has(name) || holding.has(content_id ?? "");
  });
  if (tokens.size === 0) return { message, tokens: [] };
  const singly = tokens.size <= MAX_BLANKED_SINGLY;
  const blank = (text: string) => {
    if (!holding.has(text)) return text;
    return singly ? blankWrappedTokens(text) : BLANKED_TOKEN;
  };
  const blanked = mapStrings(rest as Plain, blank) as Omit<M, "attachments">;
  return {
    message: {
      ...blanked,
      flags: [...message.flags, "link_removed"],
      attachments: attachments.map((attachment, n) => (removed[n] ? replaced(attachment, blank) : attachment)),
    } as M,
    tokens: [...tokens],
  };
}

function replaced(attachment: AttachmentBytes, blank: (text: string) => string): AttachmentBytes {
  const name = `${blank(attachment.name)}.removed.txt`;
  const content_id = attachment.content_id && blank(attachment.content_id);
  return { ...attachment, name, content_id, content_type: "text/plain", bytes: REPLACEMENT };
}

/** The part of a mailbox object that withdraws links. */
export interface LinkRevoker {
  revokeLinks(tokenHashes: string[], reason: string): Promise<number>;
}

/**
 * Withdraws the links, at the mailboxes their tokens name. One that no mailbox knows is harmless.
 * @param mailbox finds the object by its routing number.
 * @param existing tells which routing numbers are a mailbox's, so that no other object is called; it is given at most 500. Without
 *   it, the first 20 routing numbers are called.
 * @throws Error if an object cannot be reached: the mail must not be delivered while its link still works.
 */
export async function revokeTokens(
  tokens: string[],
  mailbox: (routing: string) => LinkRevoker,
  existing?: (routings: string[]) => Promise<Set<string>>,
): Promise<void> {
  const byRouting = Map.groupBy(tokens, (token) => routingNumberOfToken(token) ?? "");
  byRouting.delete("");
  if (byRouting.size === 0) return;
  const routings = [...byRouting.keys()].slice(0, existing ? MAX_ROUTINGS : MAX_ROUTINGS_UNCHECKED);
  const known = existing ? await existing(routings) : new Set(routings);
  const waiting = routings.filter((routing) => known.has(routing)).values();
  const revokeNext = async () => {
    for (const routing of waiting) {
      const hashes = (byRouting.get(routing) ?? []).map(hashDecisionToken);
      await mailbox(routing).revokeLinks(hashes, "it arrived in inbound mail");
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, revokeNext));
}
