import { octetText } from "./charset.ts";

/** A raw message by its lines: what a MIME parser is lenient about is looked at here. */

const LF = 10;
const CR = 13;
const DASH = 0x2d;

/** A line without its end: the octets from `start` to `end`; the next begins at `next`. */
interface Line {
  start: number;
  end: number;
  next: number;
}

function* linesOf(raw: Uint8Array, from: number): Generator<Line> {
  for (let start = from; start < raw.length; ) {
    const lf = raw.indexOf(LF, start);
    const next = lf < 0 ? raw.length : lf + 1;
    const end = lf < 0 ? raw.length : lf > start && raw[lf - 1] === CR ? lf - 1 : lf;
    yield { start, end, next };
    start = next;
  }
}

/** @returns how many lines there are, as far as `limit`. */
export function countLines(raw: Uint8Array, limit: number): number {
  let count = 0;
  for (let i = raw.indexOf(LF); i >= 0 && count < limit; i = raw.indexOf(LF, i + 1)) count++;
  return count;
}

/**
 * @returns whether all lines end in CRLF, or all in LF as in a file that was saved so, and no CR stands elsewhere (RFC 5322
 *   §2.3): for readers differ in where the lines of any other message end.
 */
export function hasPlainLineEnds(raw: Uint8Array): boolean {
  const first = raw.indexOf(LF);
  if (first > 0 && raw[first - 1] === CR) {
    for (let i = first; i >= 0; i = raw.indexOf(LF, i + 1)) if (raw[i - 1] !== CR) return false;
    for (let i = raw.indexOf(CR); i >= 0; i = raw.indexOf(CR, i + 1)) if (raw[i + 1] !== LF) return false;
    return true;
  }
  return !raw.includes(CR);
}

/** A part as it lies in the message. */
export interface Segment {
  headerStart: number;
  headerEnd: number;
  bodyStart: number;
  /** Before the line break that belongs to the boundary after it. */
  bodyEnd: number;
}

/** RFC 5322 §2.2: a name, a colon at once, and whatever; or white space with something after it. */
const FIELD_LINE = /^[!-9;-~]+:/;
const FOLDED_LINE = /^[ \t]+[^ \t]/;

/** @returns where a header section from `start` ends and its body begins. */
function headerAt(raw: Uint8Array, start: number, limit: number): { end: number; body: number } {
  for (const line of linesOf(raw, start)) {
    if (line.start >= limit) break;
    if (line.end === line.start) return { end: line.start, body: line.next };
  }
  return { end: limit, body: limit };
}

/** @returns the octets of the header section, its empty line not counted. */
export function headerLength(raw: Uint8Array): number {
  return headerAt(raw, 0, raw.length).end;
}

/** @returns whether every line of a header section is a field or a continuation of one. */
export function isPlainHeader(raw: Uint8Array, { headerStart, headerEnd }: Segment): boolean {
  for (const { start, end } of linesOf(raw.subarray(0, headerEnd), headerStart)) {
    const line = octetText(raw.subarray(start, Math.min(end, start + 1000)));
    if (!FIELD_LINE.test(line) && (start === headerStart || !FOLDED_LINE.test(line))) return false;
  }
  return true;
}

function isBlank(raw: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (![0x20, 0x09, CR, LF].includes(raw[i] ?? 0)) return false;
  return true;
}

/** What a line that begins with `--` is to the boundaries of a message. */
type Dashed = { kind: "text"; boundary: null } | { kind: "begin" | "end" | "imitation"; boundary: string };

function dashed(line: string, boundaries: readonly string[]): Dashed {
  const boundary = boundaries.find((candidate) => line.startsWith(candidate, 2));
  if (boundary === undefined) return { kind: "text", boundary: null };
  const rest = line.slice(2 + boundary.length);
  if (/^[ \t]*$/.test(rest)) return { kind: "begin", boundary };
  return { kind: /^--[ \t]*$/.test(rest) ? "end" : "imitation", boundary };
}

/**
 * Which multiparts are open. A line ends one only while it is: `--x--` before the header that names `x`, or after its end, is text
 * to readers, and would be signed by nobody.
 */
class OpenMultiparts {
  private readonly open: string[] = [];

  begin(boundary: string | null | undefined): void {
    if (boundary) this.open.push(boundary);
  }

  /** Closes what is open inside of a multipart, and itself where the line says so. @returns whether it is open. */
  closeTo(boundary: string, kind: "begin" | "end"): boolean {
    const depth = this.open.lastIndexOf(boundary);
    if (depth >= 0) this.open.length = kind === "begin" ? depth + 1 : depth;
    return depth >= 0;
  }
}

/**
 * Splits a message at its boundaries (RFC 2046 §5.1).
 * @param boundaries of the parts in the order in which they begin, the whole message first; null of one that is no multipart. None
 *   begins with another.
 * @returns the parts in that order, the whole message's header and preamble first; null where there are more or fewer, where a line
 *   begins like a boundary and is none (some readers compare only the beginning), or text stands after a closing one.
 */
export function segmentsOf(raw: Uint8Array, boundaries: readonly (string | null)[]): Segment[] | null {
  const known = boundaries.filter((boundary) => boundary !== null);
  const multiparts = new OpenMultiparts();
  const segments: Segment[] = [];
  let open: number | null = 0;
  let gap = 0;
  const close = (end: number): boolean => {
    if (open === null) return isBlank(raw, gap, end);
    const { end: headerEnd, body } = headerAt(raw, open, end);
    segments.push({ headerStart: open, headerEnd, bodyStart: body, bodyEnd: Math.max(body, end) });
    return true;
  };
  multiparts.begin(boundaries[0]);
  for (const { start, end, next } of linesOf(raw, 0)) {
    if (raw[start] !== DASH || raw[start + 1] !== DASH) continue;
    // To its end: far behind a boundary and spaces, it may still be text to readers.
    const { kind, boundary } = dashed(octetText(raw.subarray(start, end)), known);
    if (kind === "text") continue;
    if (kind === "imitation" || !multiparts.closeTo(boundary, kind) || !close(start)) return null;
    if (kind === "begin") multiparts.begin(boundaries[segments.length]);
    open = kind === "begin" ? next : null;
    gap = next;
  }
  if (!close(raw.length) || segments.length !== boundaries.length) return null;
  return segments.map((segment) => withoutLastBreak(raw, segment));
}

/** The line break before a boundary belongs to it. */
function withoutLastBreak(raw: Uint8Array, segment: Segment): Segment {
  let { bodyEnd } = segment;
  if (bodyEnd < raw.length && bodyEnd > segment.bodyStart && raw[bodyEnd - 1] === LF) {
    bodyEnd -= raw[bodyEnd - 2] === CR && bodyEnd - 2 >= segment.bodyStart ? 2 : 1;
  }
  return { ...segment, bodyEnd };
}

/** @returns whether nothing but white space stands where no reader of MIME looks: before the first boundary. */
export function hasBlankBody(raw: Uint8Array, { bodyStart, bodyEnd }: Segment): boolean {
  return isBlank(raw, bodyStart, bodyEnd);
}

/** @returns the octets with CRLF line ends, as a transport has them (RFC 5322 §2.3). */
export function withCrlf(bytes: Uint8Array): Uint8Array {
  let breaks = 0;
  for (let i = bytes.indexOf(LF); i >= 0; i = bytes.indexOf(LF, i + 1)) if (bytes[i - 1] !== CR) breaks++;
  if (breaks === 0) return bytes;
  const wide = new Uint8Array(bytes.length + breaks);
  let at = 0;
  for (const [index, octet] of bytes.entries()) {
    if (octet === LF && bytes[index - 1] !== CR) wide[at++] = CR;
    wide[at++] = octet;
  }
  return wide;
}
