/** An export's bytes as its lines, however they arrive, in bounded memory. */

/** No line of an export is longer: an entry fits in one row of a database, and opened fields are not longer than sealed ones. */
export const MAX_LINE_OCTETS = 4 * 1024 * 1024;
/** How much is decoded at once. */
const BLOCK_OCTETS = 64 * 1024;
const LF = 0x0a;

/** One line, without its LF. */
export interface Line {
  /** Many lines. They are good until the next line is asked for. */
  octets: Uint8Array;
  /** The same, one unit an octet: what is ASCII is itself, and every other octet is a unit above 0x7f. */
  units: string;
  /** Where the line is in both. */
  start: number;
  stop: number;
}

/** Takes a line. @returns whether it wants another. */
export type LineTaker = (line: Line) => boolean;

/** Windows-1252 (Encoding Standard), which has a unit for each octet and no errors: it costs a fraction of UTF-8. */
const units = new TextDecoder("latin1");

/** Cuts bytes into lines. */
export class LineReader {
  /** A line was longer than any may be. */
  isTooLong = false;
  private readonly take: LineTaker;
  /** The beginning of a line whose end has not come: the first `begunOctets` of it. */
  private begun = new Uint8Array(0);
  private begunOctets = 0;
  private isDone = false;

  constructor(take: LineTaker) {
    this.take = take;
  }

  /** @param bytes the next ones, which may be used again when this returns. */
  write(bytes: Uint8Array): void {
    // A Buffer of Node's is slower in all that follows.
    const octets = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < octets.length && !this.isDone; at += BLOCK_OCTETS) {
      this.writeBlock(octets.subarray(at, at + BLOCK_OCTETS));
    }
  }

  /** To be called after the last byte. @returns what came after the last LF, as a line; null if nothing did. */
  end(): Line | null {
    if (this.begunOctets === 0 || this.isDone) return null;
    const octets = this.begun.subarray(0, this.begunOctets);
    return { octets, units: units.decode(octets), start: 0, stop: octets.length };
  }

  private writeBlock(block: Uint8Array): void {
    const end = block.lastIndexOf(LF) + 1;
    if (end === 0) {
      this.keep(block);
    } else if (this.begunOctets === 0) {
      this.isDone = !this.readLines(block.subarray(0, end));
      this.keep(block.subarray(end));
    } else {
      const firstEnd = block.indexOf(LF) + 1;
      this.keep(block.subarray(0, firstEnd));
      if (this.isDone) return;
      const first = this.begun.subarray(0, this.begunOctets);
      this.begunOctets = 0;
      this.isDone = !this.readLines(first) || !this.readLines(block.subarray(firstEnd, end));
      this.keep(block.subarray(end));
    }
  }

  private keep(bytes: Uint8Array): void {
    const octets = this.begunOctets + bytes.length;
    if (octets > MAX_LINE_OCTETS) {
      this.isTooLong = !this.isDone;
      this.isDone = true;
      return;
    }
    if (octets > this.begun.length) {
      const larger = new Uint8Array(2 * octets);
      larger.set(this.begun.subarray(0, this.begunOctets));
      this.begun = larger;
    }
    this.begun.set(bytes, this.begunOctets);
    this.begunOctets = octets;
  }

  /** @param block whole lines, each with its LF. @returns whether more are wanted. */
  private readLines(block: Uint8Array): boolean {
    const text = units.decode(block);
    for (let start = 0; start < block.length; ) {
      const stop = text.indexOf("\n", start);
      if (!this.take({ octets: block, units: text, start, stop })) return false;
      start = stop + 1;
    }
    return true;
  }
}
