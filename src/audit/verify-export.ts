import { fromJson, fromUtf8, toBase64, utf8 } from "../identity/encoding.ts";
import { ChainReader, missingEntries } from "./chain-reader.ts";
import { logOfOrigin } from "./checkpoint.ts";
import { type CheckedCheckpoint, checkCheckpoint, type ReadRange } from "./checkpoint-check.ts";
import { CompactRange } from "./compact-range.ts";
import { type EntryFacts, isFacts, readEntryLine } from "./entry-facts.ts";
import { scanEntryLine } from "./entry-scan.ts";
import { checkpointLine, proofLine, type RangeProof, readCheckpointLine, readProof } from "./export-line.ts";
import { type Line, LineReader, MAX_LINE_OCTETS } from "./export-reader.ts";
import { type Fault, type FaultCode, fault } from "./faults.ts";
import { subtreesOf } from "./merkle-tree.ts";
import { sha256Hex } from "./sha256.ts";
import { formatVerifierKey } from "./signed-note.ts";
import type { Trust } from "./trust.ts";

/** What an export was found to be. */
export interface VerifiedExport {
  ok: true;
  /** Null where the origin is not of the form that our logs have. */
  log: string | null;
  origin: string;
  /** How many entries it has. */
  entries: number;
  /** `seq` and `at` (ISO 8601 UTC) of the first and the last; null where there are none. */
  first: number | null;
  last: number | null;
  from: string | null;
  to: string | null;
  /** The checkpoint: how many entries the log had, and base64 of the root over all of them. */
  size: number;
  root: string;
  /** The verifier key that signed it. */
  signed_by: string;
  /** The witnesses that were asked for: who they are, and when (ISO 8601 UTC) each says that it saw the checkpoint. */
  witnessed_by: { name: string; at: string }[];
  /** The size of the older checkpoint that it was compared with; null if with none. */
  grown_from: number | null;
  /** How many entries have opened fields beside them. No hash covers those: their text is the word of whoever made the export. */
  opened: number;
}

export type ExportVerdict = VerifiedExport | { ok: false; fault: Fault };

const CHECKPOINT_START = '{"checkpoint":';
const PROOF_START = '{"proof":';
const CLOSING_BRACE = 0x7d;
const INITIAL_OCTETS = 4096;

/** Checks an export while it is read. What it keeps does not grow with the export. */
export class ExportVerifier {
  private readonly trust: Trust;
  private readonly growth: ReadRange["growth"];
  private readonly lines: LineReader;
  private readonly chain: ChainReader;
  private lineNumber = 0;
  private opened = 0;
  private proof: RangeProof | null = null;
  private atAfter: CompactRange | null = null;
  private checked: CheckedCheckpoint | null = null;
  private found: Fault | null = null;
  private leaf = new Uint8Array(INITIAL_OCTETS);

  /** @param growth that the log grew out of `trust.after`, for a part that does not show it by itself. */
  constructor(trust: Trust, growth: ReadRange["growth"] = null) {
    this.trust = trust;
    this.growth = growth;
    this.chain = new ChainReader(trust.log);
    this.lines = new LineReader((line) => this.takeLine(line));
  }

  /** @param bytes the next ones of the export, cut anywhere. They may be used again when this returns. */
  write(bytes: Uint8Array): void {
    this.lines.write(bytes);
  }

  /** Nothing that may still come can change the verdict. */
  get isDecided(): boolean {
    return this.found !== null || this.lines.isTooLong;
  }

  /** To be called once, after the last byte. */
  end(): ExportVerdict {
    const rest = this.isDecided ? null : this.lines.end();
    if (rest) this.takeLast(rest);
    if (this.checked && !this.isDecided) return this.verdict(this.checked);
    return { ok: false, fault: this.found ?? this.endFault() };
  }

  private endFault(): Fault {
    const missing = this.chain.end();
    if (this.lines.isTooLong) {
      const message = `This line is longer than ${MAX_LINE_OCTETS} octets, and no line of an export.`;
      return fault("not_json", this.lineNumber + 1, null, message);
    }
    if (missing) return missing;
    if (this.lineNumber === 0) return fault("empty", 1, null, "There is nothing in it.");
    const message = "There is no checkpoint at the end: the export was cut, and nothing is signed.";
    return fault("truncated", this.lineNumber + 1, this.nextSeq(), message);
  }

  /** A line without its LF, which all are written with. */
  private takeLast(line: Line): void {
    const text = fromUtf8(line.octets);
    const isWhole = text !== null && fromJson(text) !== undefined;
    if (isWhole || this.checked || this.chain.isSearching) {
      this.takeLine(line);
      return;
    }
    this.lineNumber += 1;
    this.found = this.refuse("truncated", "The export is cut within this line.", this.nextSeq());
  }

  private takeLine(line: Line): boolean {
    this.lineNumber += 1;
    this.found = this.faultOf(line);
    return this.found === null;
  }

  private refuse(code: FaultCode, message: string, seq: number | null = null): Fault {
    return fault(code, this.lineNumber, seq, message);
  }

  private faultOf({ octets, units, start, stop }: Line): Fault | null {
    const isOrdinary = !this.checked && !this.chain.isSearching && !this.proof;
    const scanned = isOrdinary ? scanEntryLine(octets, units, start, stop) : null;
    if (scanned) return this.takeEntry(scanned, octets.subarray(start, start + scanned.end));
    const line = octets.subarray(start, stop);
    const text = fromUtf8(line);
    return text === null
      ? this.refuse("not_json", "This line is not UTF-8, and no JSON.", this.nextSeq())
      : this.takeText(text);
  }

  private takeText(text: string): Fault | null {
    if (this.checked) {
      return this.refuse("after_the_end", "There is a line after the checkpoint, which is the last one of an export.");
    }
    if (text.startsWith(CHECKPOINT_START)) return this.takeCheckpoint(text);
    if (this.chain.isSearching) return this.search(text);
    if (text.startsWith(PROOF_START)) return this.takeProof(text);
    const read = readEntryLine(text);
    if (!isFacts(read)) return this.refuse(read.code, read.message, this.nextSeq());
    if (this.proof) return this.refuse("after_the_end", "There is an entry after the proof.", read.seq);
    return this.takeEntry(read, utf8(text.slice(0, read.end)));
  }

  /** @param entry the entry's octets, without its brace. */
  private takeEntry(read: EntryFacts, entry: Uint8Array): Fault | null {
    const found = this.chain.next(read, this.leafHash(entry), this.lineNumber);
    if (found || this.chain.isSearching) return found;
    if (read.isOpened) this.opened += 1;
    const { range } = this.chain;
    // The tree as it was when it had the size of the reader's older checkpoint.
    if (range.end === this.trust.after?.size) this.atAfter = range.snapshot();
    return null;
  }

  /** The entry that this line should have been; null before there is one. */
  private nextSeq(): number | null {
    return this.chain.ends ? this.chain.range.end : null;
  }

  /** SHA-256(0x00 ‖ entry) in hex. @param entry without its brace. */
  private leafHash(entry: Uint8Array): string {
    const size = entry.length + 2;
    if (size > this.leaf.length) this.leaf = new Uint8Array(2 * size);
    this.leaf.set(entry, 1);
    this.leaf[size - 1] = CLOSING_BRACE;
    return sha256Hex(this.leaf.subarray(0, size));
  }

  private search(line: string): Fault | null {
    const read = readEntryLine(line);
    return isFacts(read) ? this.chain.search(read, this.lineNumber) : null;
  }

  private takeProof(line: string): Fault | null {
    const value = fromJson(line);
    if (value === undefined) return this.refuse("not_json", "This line is not JSON: it was cut, or changed.");
    const proof = readProof(value);
    if (!proof || proofLine(proof) !== line) return this.refuse("bad_proof", "This is no proof.");
    if (this.proof) return this.refuse("after_the_end", "There is a second proof.");
    this.proof = proof;
    return this.proofFault(proof);
  }

  /** Whether the proof is of the entries that were read. */
  private proofFault(proof: RangeProof): Fault | null {
    const { start, end } = this.chain.ends ? this.chain.range : proof;
    if (proof.start < start) return fault("gap", 1, proof.start, `${missingEntries(proof.start, start - 1)} missing.`);
    if (proof.end > end) {
      const message = `${missingEntries(end, proof.end - 1)} missing at the end of this part.`;
      return this.refuse("truncated", message, end);
    }
    const fits = proof.start === start && proof.end === end && proof.left.length === subtreesOf(0, start).length;
    return fits ? null : this.refuse("bad_proof", "The proof is of other entries than these.");
  }

  private takeCheckpoint(line: string): Fault | null {
    const missing = this.chain.end();
    if (missing) return missing;
    const value = fromJson(line);
    if (value === undefined) return this.refuse("not_json", "This line is not JSON: it was cut, or changed.");
    const note = readCheckpointLine(value);
    if (note === null || checkpointLine(note) !== line) {
      return this.refuse("bad_checkpoint", "This line is no checkpoint, or has something beside it.");
    }
    const checked = checkCheckpoint(note, this.readSoFar(), this.trust);
    if ("code" in checked) return checked;
    this.checked = checked;
    return null;
  }

  private readSoFar(): ReadRange {
    const { proof, chain, trust, growth } = this;
    const range = chain.ends ? chain.range : new CompactRange(proof?.start);
    const atStart = trust.after?.size === range.start ? new CompactRange(range.start) : null;
    const log = chain.ends?.first.log ?? null;
    return { log, range, proof, atAfter: this.atAfter ?? atStart, growth, line: this.lineNumber };
  }

  private verdict({ checkpoint, signed_by, witnessed_by }: CheckedCheckpoint): VerifiedExport {
    const { ends, range } = this.chain;
    return {
      ok: true,
      log: ends?.first.log ?? logOfOrigin(checkpoint.origin),
      origin: checkpoint.origin,
      entries: ends ? range.end - range.start : 0,
      first: ends?.first.seq ?? null,
      last: ends?.last.seq ?? null,
      from: ends?.first.at ?? null,
      to: ends?.last.at ?? null,
      size: checkpoint.size,
      root: toBase64(checkpoint.root),
      signed_by: formatVerifierKey(signed_by),
      witnessed_by: witnessed_by.map(({ key, time }) => ({ name: key.name, at: new Date(time * 1000).toISOString() })),
      grown_from: this.trust.after?.size ?? null,
      opened: this.opened,
    };
  }
}

/**
 * Verifies an export (FORMATS.md §6) as it comes: chain, tree, checkpoint, order, gaps. Needs no network.
 * @param chunks the bytes, cut anywhere.
 * @returns what it was found to be, or the first thing that is wrong. What the chunks throw, it throws.
 */
export async function verifyExport(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  trust: Trust,
): Promise<ExportVerdict> {
  const verifier = new ExportVerifier(trust);
  for await (const chunk of chunks) {
    verifier.write(chunk);
    if (verifier.isDecided) break;
  }
  return verifier.end();
}
