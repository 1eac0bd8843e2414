import { createReadStream } from "node:fs";
import { stdin } from "node:process";
import { shown } from "./terminal.ts";

/** A file that cannot be read; the message is one sentence for people. */
export class UnreadableFile extends Error {
  override name = "UnreadableFile";
}

const CHUNK_OCTETS = 256 * 1024;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "you may not read it",
  EPERM: "you may not read it",
  EMFILE: "too many files are open",
  ENAMETOOLONG: "the name is too long",
};

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return REASONS[code] ?? (code || "it cannot be read");
}

/**
 * Reads a file, or standard input for `-`, as it comes.
 * @throws {UnreadableFile}
 */
export async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  const source = path === "-" ? stdin : createReadStream(path, { highWaterMark: CHUNK_OCTETS });
  const chunks = source[Symbol.asyncIterator]();
  for (;;) {
    const next = await chunks.next().catch((error: unknown) => {
      throw new UnreadableFile(`${shown(path)} cannot be read: ${reasonOf(error)}.`);
    });
    if (next.done) return;
    yield next.value;
  }
}

/**
 * Reads a whole file, or standard input for `-`.
 * @param limit octets.
 * @throws {UnreadableFile}
 */
export async function readOctets(path: string, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Read as a stream, so that a device without an end is left after `limit`.
  for await (const chunk of chunksOf(path)) {
    size += chunk.length;
    if (size > limit) throw new UnreadableFile(`${shown(path)} is larger than ${sizeInWords(limit)}.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function sizeInWords(octets: number): string {
  const kibibytes = octets / 1024;
  return kibibytes < 1024 ? `${kibibytes} KiB` : `${kibibytes / 1024} MiB`;
}
