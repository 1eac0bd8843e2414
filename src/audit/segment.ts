import { createHash } from "node:crypto";
import { hashEntryText } from "./entry.ts";
import { checkpointLine, exportLine, readCheckpointLine } from "./export-line.ts";

/**
 * A sealed segment of a log: NDJSON as it is exported, the entries without their personal fields, then the checkpoint of the log as
 * it was with the segment's last entry. All segments of a log one after the other, without the checkpoints between them, are
 * its export.
 */

/** A segment has at most so many entries. */
export const SEGMENT_ENTRIES = 1_000;
/** And no further entry once it has so much text: a segment is made and read in memory. */
export const SEGMENT_CHARACTERS = 8_000_000;

/** An entry in a segment. */
export interface SegmentEntry {
  seq: number;
  /** Lower-case hex. */
  hash: string;
  /** The entry's RFC 8785 form. */
  text: string;
}

/** @returns where a segment lies in R2. Keys sort as the log does. */
export function segmentKey(tenantId: string, log: string, first: number, last: number): string {
  const place = (seq: number) => String(seq).padStart(12, "0");
  return `audit/${tenantId}/${log}/${place(first)}-${place(last)}.ndjson`;
}

/** @param note the checkpoint (a signed note) of exactly last + 1 entries. @returns the segment's bytes, always the same. */
export function segmentBytes(entries: Iterable<Omit<SegmentEntry, "seq">>, note: string): Uint8Array {
  const lines: string[] = [];
  for (const { text, hash } of entries) lines.push(exportLine(text, hash, null));
  return Buffer.from(`${[...lines, checkpointLine(note)].join("\n")}\n`);
}

/** @returns lower-case hex. */
export function segmentDigest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const LINE = /^(.*),"hash":"([0-9a-f]{64})"\}$/s;

/**
 * Reads a segment, and compares each entry with its hash.
 * @param first the position of its first entry.
 * @throws Error that names the line which is not what a segment has there.
 */
export function readSegment(bytes: Uint8Array, first: number): { entries: SegmentEntry[]; note: string } {
  const lines: string[] = Buffer.from(bytes).toString("utf8").split("\n");
  if (lines.pop() !== "") throw new Error("the segment does not end with a whole line");
  const last = lines.pop() ?? "";
  const entries = lines.map((line, index): SegmentEntry => {
    const [, beginning, hash = ""] = LINE.exec(line) ?? [];
    const text = `${beginning}}`;
    if (beginning === undefined || hashEntryText(text) !== hash) {
      throw new Error(`line ${index + 1} of the segment is no entry with its hash`);
    }
    return { seq: first + index, hash, text };
  });
  const note = readCheckpointLine(JSON.parse(last));
  if (note === null) throw new Error("the segment does not end with a checkpoint");
  return { entries, note };
}
