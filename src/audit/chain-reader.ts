import { CompactRange } from "./compact-range.ts";
import { NO_PREVIOUS } from "./entry.ts";
import type { EntryFacts } from "./entry-facts.ts";
import { type Fault, fault } from "./faults.ts";

/** What one entry is to those before it. */
export type Link = Pick<EntryFacts, "log" | "seq" | "at" | "prev" | "hash">;

/** An entry that stands where others belong, until it is known whether they come later. */
interface Missing {
  line: number;
  from: number;
  to: number;
}

function octetsOf(hex: string): Uint8Array {
  const octets = new Uint8Array(hex.length / 2);
  for (let at = 0; at < octets.length; at++) octets[at] = (digit(hex, 2 * at) << 4) | digit(hex, 2 * at + 1);
  return octets;
}

function digit(hex: string, at: number): number {
  const unit = hex.charCodeAt(at);
  return unit <= 0x39 ? unit - 0x30 : unit - 0x57;
}

/**
 * Follows the entries of one log, one after the other: each hash, one log, no gap, no repetition, each link, time never backwards.
 * What it keeps does not grow with the log.
 */
export class ChainReader {
  /** Set by the first entry, unless it is known before. */
  private expectedLog: string | null;
  private first: Link | null = null;
  private last: Link | null = null;
  private missing: Missing | null = null;
  private tree = new CompactRange();

  /** @param log whose entries these must be; null for whatever the first is of. */
  constructor(log: string | null = null) {
    this.expectedLog = log;
  }

  /** The first and the last entry that held; null before there is one. */
  get ends(): { first: Link; last: Link } | null {
    return this.first && this.last && { first: this.first, last: this.last };
  }

  /** The leaves so far. */
  get range(): CompactRange {
    return this.tree;
  }

  /** Something is missing, and only its coming later matters still: what follows need not be hashed. */
  get isSearching(): boolean {
    return this.missing !== null;
  }

  /**
   * @param entry as the line has it. @param computed the entry's leaf hash in hex, which its `hash` must be.
   * @param line where it stands.
   * @returns the first fault of all, or null; for an entry out of its turn it is decided later.
   */
  next(entry: Link, computed: string, line: number): Fault | null {
    const { seq } = entry;
    if (computed !== entry.hash) {
      return fault(
        "wrong_hash",
        line,
        seq,
        `Entry ${seq} is not what its hash says: the entry or the hash was changed.`,
      );
    }
    this.expectedLog ??= entry.log;
    if (entry.log !== this.expectedLog) {
      return fault("other_log", line, seq, `Entry ${seq} is of the log ${entry.log}, not of ${this.expectedLog}.`);
    }
    if (!this.first) this.tree = new CompactRange(seq);
    const expected = this.tree.end;
    if (seq < expected) return this.repeated(seq, line);
    if (seq > expected) {
      this.missing = { line, from: expected, to: seq - 1 };
      return null;
    }
    return this.unlinked(entry, line) ?? this.take(entry, computed);
  }

  private repeated(seq: number, line: number): Fault {
    return seq >= this.tree.start
      ? fault("duplicate", line, seq, `Entry ${seq} stands here a second time.`)
      : fault("order", line, seq, `Entry ${seq} stands after entry ${this.tree.end - 1}: lines were moved.`);
  }

  private unlinked({ seq, at, prev }: Link, line: number): Fault | null {
    if (seq === 0 && prev !== NO_PREVIOUS) {
      return fault("broken_link", line, 0, "Entry 0 says that there was an entry before it.");
    }
    if (!this.last) return null;
    if (prev !== this.last.hash) {
      const message = `Entry ${seq} does not continue from entry ${seq - 1}: one of them was rewritten, with its hash.`;
      return fault("broken_link", line, seq, message);
    }
    return at < this.last.at
      ? fault("time_went_back", line, seq, `Entry ${seq} is older than entry ${seq - 1}, which no log writes.`)
      : null;
  }

  private take(entry: Link, computed: string): null {
    this.first ??= entry;
    this.last = entry;
    this.tree.append(octetsOf(computed));
    return null;
  }

  /** Looks at an entry after one that was missing. @returns a fault if it is the missing one. */
  search({ seq }: Pick<EntryFacts, "seq">, line: number): Fault | null {
    const { missing } = this;
    if (!missing || seq !== missing.from) return null;
    const stands = `Entry ${missing.to + 1} stands where entry ${seq} belongs, which follows on line ${line}`;
    return fault("order", missing.line, seq, `${stands}: lines were swapped or moved.`);
  }

  /** @returns what is missing in the middle, once the end is reached. */
  end(): Fault | null {
    if (!this.missing) return null;
    const { line, from, to } = this.missing;
    return fault("gap", line, from, `${missingEntries(from, to)} missing; entry ${to + 1} stands there.`);
  }
}

/** @returns the beginning of a sentence on the entries [from, to]. */
export function missingEntries(from: number, to: number): string {
  return from === to ? `Entry ${from} is` : `Entries ${from} to ${to} are`;
}
