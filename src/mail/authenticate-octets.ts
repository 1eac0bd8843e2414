import { Buffer } from "node:buffer";

/** The octets of an arriving message on their way to whoever canonicalises them. */

/** A larger header section is not authenticated: mailauth joins folded lines in quadratic time. */
export const MAX_HEADER_OCTETS = 512 * 1024;
const MAX_HEADER_LINES = 20_000;
/** Large enough that a body of one endless line is not rescanned for every small chunk. */
const CHUNK_OCTETS = 4 * 1024 * 1024;

/** DKIM and ARC canonicalise CRLF lines; a bare LF is taken as one, wherever the chunks are cut. */
export async function* crlfChunks(raw: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let last = 0;
  for await (const chunk of raw) {
    let bare = 0;
    for (let i = 0, before = last; i < chunk.length; i++) {
      if (chunk[i] === 10 && before !== 13) bare++;
      before = chunk[i] as number;
    }
    const out = Buffer.alloc(chunk.length + bare);
    let at = 0;
    for (const octet of chunk) {
      if (octet === 10 && last !== 13) out[at++] = 13;
      out[at++] = octet;
      last = octet;
    }
    yield out;
  }
}

/** The stream of the message broke off: no verdict, since another attempt may read it whole. */
export class RawUnreadable extends Error {}

async function* chunksOf(raw: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* raw as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw new RawUnreadable("the message could not be read to its end", { cause });
  }
}

export async function* inLargeChunks(raw: Uint8Array | ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (raw instanceof Uint8Array) {
    for (let at = 0; at < raw.length; at += CHUNK_OCTETS) yield raw.subarray(at, at + CHUNK_OCTETS);
    return;
  }
  let held: Uint8Array[] = [];
  let octets = 0;
  for await (const chunk of chunksOf(raw)) {
    held.push(chunk);
    octets += chunk.length;
    if (octets < CHUNK_OCTETS) continue;
    yield Buffer.concat(held);
    held = [];
    octets = 0;
  }
  if (octets > 0) yield Buffer.concat(held);
}

/** @returns whether the header section at the start of `chunk` is small enough to be worth authenticating. */
function hasModestHeader(chunk: Buffer): boolean {
  const found = chunk.subarray(0, 2).equals(Buffer.from("\r\n")) ? 0 : chunk.indexOf("\r\n\r\n");
  const end = found < 0 ? chunk.length : found;
  if (end > MAX_HEADER_OCTETS) return false;
  let lines = 0;
  for (let i = 0; i < end; i++) if (chunk[i] === 10) lines++;
  return lines <= MAX_HEADER_LINES;
}

export class HeaderTooLarge extends Error {}

export async function* modest(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let first = true;
  for await (const chunk of chunks) {
    if (first && !hasModestHeader(chunk)) throw new HeaderTooLarge("the header section is too large to be verified");
    first = false;
    yield chunk;
  }
}
