import PostalMime from "postal-mime";
import { decodeCharset } from "./charset.ts";
import type { Fault } from "./header-form.ts";
import {
  countLines,
  hasBlankBody,
  hasPlainLineEnds,
  headerLength,
  isPlainHeader,
  type Segment,
  segmentsOf,
  withCrlf,
} from "./mime-lines.ts";
import { type MimeNode, structureFault, treeOf } from "./mime-structure.ts";
import { sha256Hex } from "./normal-form.ts";
import { decodeTransfer } from "./transfer-encoding.ts";

/**
 * What of a received message is signed: its header fields, the two bodies, the attachments' hashes (FORMATS.md §2.4, §2.6). A
 * message that two readers may read differently has none of it: a signature over what one of them sees proves nothing to the other.
 */

export const MESSAGE_LIMITS = {
  /** Octets of the message, and of all its headers: less than arrivals read of them, or a signed Subject could lie behind what is shown. */
  octets: 26 * 1024 * 1024,
  headers: 255 * 1024,
  /** The parser keeps an object for each. */
  lines: 160_000,
  parts: 1000,
  nesting: 50,
} as const;

/** What of a message its signatures cover, and the headers that carry them. */
export interface MessageParts {
  /** Unfolded and undecoded, in order. */
  headers: readonly (readonly [name: string, value: string])[];
  /** The decoded bodies; null where there is no such part. */
  text: string | null;
  html: string | null;
  /** Lower-case hex SHA-256 of each attachment's decoded bytes, in order. */
  attachments_sha256: readonly string[];
  /** Why the message cannot be read, or not in one way only, so that nothing signed can hold for it; null where it can. */
  unreadable: Fault | null;
}

/** A message whose parts are known already. */
export interface GivenParts {
  /** As they stand in the message; folded ones are unfolded. */
  headers: readonly (readonly [name: string, value: string])[];
  text: string | null;
  html: string | null;
  attachments: readonly ({ content: Uint8Array } | { sha256: string })[];
}

/** RFC 5322 §2.2.3: the line break goes, the white space stays. */
function unfolded(value: string): string {
  return value
    .replace(/\r?\n(?=[ \t])/g, "")
    .replace(/^[ \t]+/, "")
    .trimEnd();
}

/** @returns the parts of a message that is not at hand as a whole. A header with a line break in it makes it unreadable. */
export function partsOf({ headers, text, html, attachments }: GivenParts): MessageParts {
  const lines = headers.map(([name, value]) => [name, unfolded(value)] as const);
  const broken = lines.some(([name, value]) => !/^[!-9;-~]+$/.test(name) || /[\r\n\0]/.test(value));
  return {
    headers: lines,
    text,
    html,
    attachments_sha256: attachments.map((file) =>
      "sha256" in file ? file.sha256.toLowerCase() : sha256Hex(file.content),
    ),
    unreadable: broken ? { reason: "malformed", detail: "A header has a name or a value that no header has." } : null,
  };
}

/** A message of which no more than its headers can be told. */
function unreadable(reason: Fault["reason"], detail: string, headers: MessageParts["headers"] = []): MessageParts {
  return { headers, text: null, html: null, attachments_sha256: [], unreadable: { reason, detail } };
}

const TOO_LARGE = "The message has more than a verifier reads.";
const AMBIGUOUS = "The message is not written so that all readers read it alike";

/**
 * Reads a message as it was received.
 * @param raw its octets.
 * @returns its parts. Never throws for whatever octets: what cannot be read says why.
 */
export async function partsOfRaw(raw: Uint8Array): Promise<MessageParts> {
  const { octets, headers, lines } = MESSAGE_LIMITS;
  if (raw.length > octets || headerLength(raw) > headers || countLines(raw, lines + 1) > lines) {
    return unreadable("too_large", TOO_LARGE, await headersOf(raw));
  }
  const parser = await parsed(raw);
  if (parser === "too_large") return unreadable("too_large", TOO_LARGE, await headersOf(raw));
  const fields = fieldsOf(parser);
  if (fields.length === 0) return unreadable("not_a_message", "This is not a mail message.");
  if (!hasPlainLineEnds(raw)) return unreadable("malformed", `${AMBIGUOUS}: its line ends differ.`, fields);
  const nodes = treeOf(parser);
  if (nodes.length > MESSAGE_LIMITS.parts) return unreadable("too_large", TOO_LARGE, fields);
  const fault = structureFault(nodes);
  if (fault) return { ...unreadable(fault.reason, fault.detail, fields) };
  const segments = segmentsOf(
    raw,
    nodes.map(({ boundary }) => boundary),
  );
  if (!segments) return unreadable("malformed", `${AMBIGUOUS}: its boundaries.`, fields);
  return leavesOf(raw, nodes, segments, fields);
}

/** Its header fields alone, as far as a verifier reads. */
async function headersOf(raw: Uint8Array): Promise<MessageParts["headers"]> {
  const parser = await parsed(raw.subarray(0, Math.min(headerLength(raw), MESSAGE_LIMITS.headers)));
  return parser === "too_large" ? [] : fieldsOf(parser);
}

/** @returns the parser, which keeps the tree that it made. */
async function parsed(raw: Uint8Array): Promise<PostalMime | "too_large"> {
  const parser = new PostalMime({
    forceRfc822Attachments: true,
    maxNestingDepth: MESSAGE_LIMITS.nesting,
    maxHeadersSize: MESSAGE_LIMITS.headers,
  });
  try {
    await parser.parse(raw);
    return parser;
  } catch (error) {
    if (error instanceof Error && /nesting depth|header size/i.test(error.message)) return "too_large";
    throw error;
  }
}

function fieldsOf(parser: PostalMime): [string, string][] {
  const [root] = treeOf(parser);
  return (root?.fields ?? []).filter(([name]) => /^[!-9;-~]+$/.test(name));
}

/** Bodies and attachments (FORMATS.md §2.6). */
function leavesOf(
  raw: Uint8Array,
  nodes: readonly MimeNode[],
  segments: readonly Segment[],
  headers: MessageParts["headers"],
): MessageParts {
  const found: { text: string | null; html: string | null; attachments_sha256: string[] } = {
    text: null,
    html: null,
    attachments_sha256: [],
  };
  for (const [index, node] of nodes.entries()) {
    const segment = segments[index];
    if (!segment || !isPlainHeader(raw, segment)) return unreadable("malformed", `${AMBIGUOUS}: a header.`, headers);
    if (node.isMultipart) {
      if (hasBlankBody(raw, segment)) continue;
      return unreadable("malformed", `${AMBIGUOUS}: text before a boundary.`, headers);
    }
    const encoded = withCrlf(raw.subarray(segment.bodyStart, segment.bodyEnd));
    const bytes = decodeTransfer(encoded, node.encoding);
    if (!bytes) return unreadable("malformed", `${AMBIGUOUS}: the encoding of a part.`, headers);
    const body = node.body !== null && found[node.body] === null ? node.body : null;
    if (body === null) {
      found.attachments_sha256.push(sha256Hex(bytes));
      continue;
    }
    const text = decodeCharset(bytes, node.charset);
    if (text === null) return unreadable("malformed", `${AMBIGUOUS}: the characters of a text.`, headers);
    found[body] = text;
  }
  return { headers, ...found, unreadable: null };
}
