import { DnsError } from "../mail/dns-over-https.ts";
import type { UnknownReason } from "./domain-facts.ts";

/** A source has no answer, and why. Whatever else a source throws is a fault of ours. */
export class Unanswered extends Error {
  readonly reason: UnknownReason;
  constructor(reason: UnknownReason, cause?: unknown) {
    super(reason, { cause });
    this.name = "Unanswered";
    this.reason = reason;
  }
}

/** Whether the DNS itself says that there is no such record, or no such name. */
export function isAbsent(error: unknown): error is DnsError {
  return error instanceof DnsError && (error.code === "ENOTFOUND" || error.code === "ENODATA");
}

/** @returns why an error left a question without an answer. @throws what is no breakdown of the way to the answer. */
export function reasonOf(error: unknown): UnknownReason {
  if (error instanceof Unanswered) return error.reason;
  if (error instanceof DnsError) return error.code === "ETIMEOUT" ? "timeout" : "failed";
  throw error;
}
