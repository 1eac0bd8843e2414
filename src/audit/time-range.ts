import { Refused } from "../errors.ts";

/** Stretches of time and of a log, as operations on the audit log are asked for them. */

/** @returns a refusal of a range that can have nothing in it. @param path the field that is wrong. */
export function invalidRange(path: string, message: string): Refused {
  return new Refused("invalid_range", `${path} ${message}.`, { issues: [{ path, message }] });
}

/** No log was there before the clocks that stamp its entries began. */
const BEGINNING = "1970-01-01T00:00:00.000Z";

/**
 * @param from ISO 8601 UTC with milliseconds, inclusive. @param to the same, exclusive.
 * @throws {Refused} `invalid_range` if they are reversed or leave no time between them, or lie before 1970.
 */
export function checkTimes({ from, to }: { from?: string | undefined; to?: string | undefined }): void {
  if (from !== undefined && from < BEGINNING) throw invalidRange("from", "is before any log began");
  if (to !== undefined && to <= BEGINNING) throw invalidRange("to", "is before any log began");
  if (from !== undefined && to !== undefined && from >= to) throw invalidRange("to", "must be after from");
}

/** A stretch of one log: by places in it or by times, never both. Each is exclusive at its end. */
export interface AskedRange {
  from_seq?: number | undefined;
  to_seq?: number | undefined;
  /** ISO 8601 UTC with milliseconds. */
  from?: string | undefined;
  to?: string | undefined;
}

/** @throws {Refused} `invalid_range` for a range that is reversed, empty, or asked for both ways. */
export function checkRange(asked: AskedRange): void {
  const { from_seq, to_seq, from, to } = asked;
  const byTime = from !== undefined || to !== undefined;
  if (byTime && from_seq !== undefined) throw invalidRange("from_seq", "cannot be given together with a time");
  if (byTime && to_seq !== undefined) throw invalidRange("to_seq", "cannot be given together with a time");
  if (to_seq !== undefined && to_seq <= (from_seq ?? 0)) throw invalidRange("to_seq", "must be above from_seq");
  checkTimes({ from, to });
}
