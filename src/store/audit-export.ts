import type { LogCheckpoint } from "../../durable-objects/log-rpc.ts";
import type { Checkpoint } from "../audit/checkpoint.ts";
import type { Entry } from "../audit/entry.ts";
import { type AlteredPlace, csvAltered, csvCheckpoint, csvHeader, csvRecord } from "../audit/export-csv.ts";
import { checkpointLine, exportLine, proofLine, type RangeProof } from "../audit/export-line.ts";
import { readPersonal } from "../audit/sealing.ts";
import { ocsfAltered, ocsfCheckpoint, ocsfEvent } from "../audit/siem.ts";
import { storedEntry } from "../audit/stored-entry.ts";
import { type AskedRange, invalidRange } from "../audit/time-range.ts";
import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";
import type { Caller } from "../oversight/caller.ts";
import { readEntries } from "./audit-entries.ts";
import { placeOfTime } from "./audit-range.ts";
import { callLog } from "./log-client.ts";
import { notFound } from "./mailbox-client.ts";

/** Exports of a log: a stretch of it that is fixed before the first line is written, however the log grows meanwhile. */

export interface LogExport {
  log: string;
  /** The entries [start, end). */
  start: number;
  end: number;
  /** It commits to them, and may be larger. */
  checkpoint: LogCheckpoint;
  /** What leads from the entries to the checkpoint; null for the whole log, which needs none. */
  proof: RangeProof | null;
}

function unavailable(): Refused {
  return new Refused("unavailable", "Not all entries of the log have reached the store that exports read; try again.", {
    detail: { retry_after: 30 },
  });
}

/**
 * Fixes what is exported: the checkpoint first, then the range below it.
 * @param most at most so many entries, from the beginning of what is asked for.
 * @throws {Refused} `not_found` for a log that is not the caller's; `mailbox_not_allowed`; `invalid_range` for one with no entries, or
 *   beyond the log's end; `unavailable` while D1 lags behind.
 */
export async function openExport(
  env: Env,
  caller: Caller,
  log: string,
  asked: AskedRange,
  most = Number.POSITIVE_INFINITY,
): Promise<LogExport> {
  const { newest, drained } = await callLog(env, caller, log, (object) => object.checkpoint(caller));
  // An id that leads to the object of another mailbox is nobody's.
  if (newest.log !== log) throw notFound();
  if (drained < newest.size) throw unavailable();
  const range = await rangeOf(env, caller, newest, asked);
  const { start } = range;
  const end = Math.min(range.end, start + most);
  if (start === 0 && end === newest.size) return { log, start, end, checkpoint: newest, proof: null };
  const question = { kind: "range", start, end, size: newest.size } as const;
  const { left, hashes } = await callLog(env, caller, log, (object) => object.proof(caller, question));
  const proof = { start, end, left: left.map(octets), consistency: hashes.map(octets) };
  return { log, start, end, checkpoint: newest, proof };
}

/**
 * @returns that the log grew out of an older checkpoint (RFC 9162 §2.1.4); null where the export shows by itself whether it did.
 * @throws {Refused} as `openExport`.
 */
export async function growthSince(
  env: Env,
  caller: Caller,
  { log, start, end, checkpoint: { size } }: LogExport,
  older: Checkpoint,
): Promise<Uint8Array[] | null> {
  const first = older.size;
  if (first >= size || (first >= start && first <= end)) return null;
  const question = { kind: "consistency", first, size } as const;
  const { hashes } = await callLog(env, caller, log, (object) => object.proof(caller, question));
  return hashes.map(octets);
}

function octets(hash: string): Uint8Array {
  return Buffer.from(hash, "base64");
}

async function rangeOf(
  env: Env,
  { tenant_id }: Caller,
  { log, size }: LogCheckpoint,
  { from_seq, to_seq, from, to }: AskedRange,
): Promise<{ start: number; end: number }> {
  const entries = `the log has ${size} entries`;
  if (from_seq !== undefined && from_seq >= size) throw invalidRange("from_seq", `is beyond the end: ${entries}`);
  if (to_seq !== undefined && to_seq > size) throw invalidRange("to_seq", `is beyond the end: ${entries}`);
  const place = (iso: string) => placeOfTime(env, { log, tenant_id, size }, iso);
  const start = from_seq ?? (from === undefined ? 0 : await place(from));
  const end = to_seq ?? (to === undefined ? size : await place(to));
  if (start >= end) throw invalidRange(from === undefined ? "to" : "from", "leaves no entry of this log");
  return { start, end };
}

export const EXPORT_FORMATS = ["ndjson", "csv", "ocsf"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** What an entry is written as. `personal` is undefined where opened fields are not exported. */
interface ExportedEntry {
  text: string;
  entry: Entry;
  hash: string;
  personal: Record<string, unknown> | null | undefined;
}

/** Stands where opened fields would, since they are there and cannot be opened: an entry's own never have that name. */
export const UNREADABLE = { unreadable: true } as const;

/** How each format writes its lines, each with the line break at its end. */
const WRITERS: Readonly<
  Record<
    ExportFormat,
    {
      content_type: string;
      extension: string;
      begin(personal: boolean): string[];
      entry(exported: ExportedEntry): string;
      /** What is not the entry that it stands for. */
      altered(altered: AlteredPlace, whole: LogExport, personal: boolean): string;
      end(whole: LogExport, personal: boolean): string[];
    }
  >
> = {
  ndjson: {
    content_type: "application/x-ndjson",
    extension: "ndjson",
    begin: () => [],
    entry: ({ text, hash, personal }) => `${exportLine(text, hash, personal ?? null)}\n`,
    // As it is: whoever checks the export is told by that what is wrong.
    altered: ({ text, hash }) => `${exportLine(text, hash, null)}\n`,
    end: ({ proof, checkpoint }) => [
      ...(proof ? [`${proofLine(proof)}\n`] : []),
      `${checkpointLine(checkpoint.checkpoint)}\n`,
    ],
  },
  csv: {
    content_type: "text/csv; charset=utf-8; header=present",
    extension: "csv",
    begin: (personal) => [csvHeader(personal)],
    entry: ({ entry, hash, personal }) => csvRecord(entry, hash, personal),
    altered: (altered, _whole, personal) => csvAltered(altered, personal),
    end: ({ log, checkpoint }, personal) => [csvCheckpoint(log, checkpoint.checkpoint, personal)],
  },
  ocsf: {
    content_type: "application/x-ndjson",
    extension: "ocsf.ndjson",
    begin: () => [],
    entry: ({ entry, hash, personal }) => `${JSON.stringify(ocsfEvent(entry, hash, personal ?? null))}\n`,
    altered: (altered, { checkpoint }) =>
      `${JSON.stringify(ocsfAltered({ ...altered, id: `${altered.log}/${altered.seq}` }, Date.parse(checkpoint.at)))}\n`,
    end: ({ checkpoint }) => [`${JSON.stringify(ocsfCheckpoint(checkpoint))}\n`],
  },
};

/** @returns the media type of an export, and what it is called as a file. */
export function exportName(
  { log, start, end }: LogExport,
  format: ExportFormat,
): { content_type: string; name: string } {
  const { content_type, extension } = WRITERS[format];
  return { content_type, name: `${log}-${start}-${end - 1}.${extension}` };
}

/**
 * Writes an export line by line, some hundred entries in memory at a time. The checkpoint is the last line of all: what comes to
 * its end without one was cut.
 * @param personal whether opened fields stand beside the entries. Where one entry's cannot be opened, UNREADABLE stands in their place.
 * @throws {EntriesMissing} at an entry that is not there, or not as it was sealed.
 */
export async function* exportLines(
  env: Env,
  whole: LogExport,
  format: ExportFormat,
  personal: boolean,
): AsyncGenerator<string, void, undefined> {
  const { log, start, end } = whole;
  const writer = WRITERS[format];
  yield* writer.begin(personal);
  for await (const { seq, text, hash, wrapped } of readEntries(env, { log, start, end, keys: personal })) {
    const entry = storedEntry(text, hash);
    if (entry === null || entry.log !== log || entry.seq !== seq) {
      yield writer.altered({ log, seq, text, hash }, whole, personal);
      continue;
    }
    const read = personal ? readPersonal(env, entry, wrapped) : null;
    yield writer.entry({ text, entry, hash, personal: read?.unreadable ? UNREADABLE : read?.personal });
  }
  yield* writer.end(whole, personal);
}
