import { type ReportMessage, reportBlocks } from "./report-fields.ts";

/** Complaints (ARF, RFC 5965): somebody told their provider that they do not want our mail. */

/** What a report's type means to us. Whatever else providers register (RFC 5965 §7.3) speaks of a message that was not wanted. */
const MEANING: Readonly<Record<string, "complaint" | "unsubscribe" | "nothing">> = {
  abuse: "complaint",
  fraud: "complaint",
  virus: "complaint",
  other: "complaint",
  // Deprecated, and still sent: the person only wants no more of it.
  "opt-out": "unsubscribe",
  "opt-out-list": "unsubscribe",
  "not-spam": "nothing",
  // RFC 6591: says that authentication failed, of whomever.
  "auth-failure": "nothing",
};

export interface FeedbackReport {
  /** As the report has it, lower-case, at most 64 characters. */
  type: string;
  means: "complaint" | "unsubscribe" | "nothing";
  /** Addresses that have the form of a return path of ours, as they stand in the report, in its order; at most 10. */
  return_paths: string[];
}

const RETURNED_PARTS = ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"];
const MAX_HEADER_OCTETS = 64 * 1024;
const MAX_RETURN_PATHS = 10;
const RETURN_PATH = /bounces\+[0-9a-z]{20,60}@[a-z0-9.-]{1,253}/gi;

/** Only its own header section: what stands in a body anybody may have written. */
function headerSection(bytes: Uint8Array): string {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, MAX_HEADER_OCTETS));
  const end = text.search(/\r?\n\r?\n/);
  return end < 0 ? text : text.slice(0, end);
}

/** Who the returned mail says was told about failures: our own server's words, or those of the recipient's. */
function returnPathsIn(section: string): string[] {
  const unfolded = section.replace(/\r?\n[ \t]+/g, " ");
  return [...unfolded.matchAll(/^(?:return-path|x-original-mail-from|x-envelope-from):([^\n]*)$/gim)].flatMap(
    ([, value = ""]) => [...value.matchAll(RETURN_PATH)].map(([found]) => found),
  );
}

/**
 * Reads a complaint.
 * @param message as `parseMessage` gives it.
 * @returns null for mail that is none. Whose complaint it is says a return path alone, once it is found to be ours: everything else
 *   in the report anybody can write.
 */
export function readFeedbackReport(message: ReportMessage): FeedbackReport | null {
  const parts = message.attachments.filter(
    ({ content_type }) => content_type.toLowerCase() === "message/feedback-report",
  );
  const [part] = parts;
  // RFC 5965 §2: one such part.
  if (!part || parts.length > 1) return null;
  const { blocks } = reportBlocks(part.bytes, 1);
  const fields = blocks[0] ?? new Map<string, string>();
  const type = (fields.get("feedback-type") ?? "").trim().toLowerCase().slice(0, 64);
  if (!/^[a-z0-9-]+$/.test(type)) return null;
  const returned = message.attachments.filter(({ content_type }) =>
    RETURNED_PARTS.includes(content_type.toLowerCase()),
  );
  const named = [...(fields.get("original-mail-from") ?? "").matchAll(RETURN_PATH)].map(([found]) => found);
  const return_paths = [...named, ...returned.flatMap(({ bytes }) => returnPathsIn(headerSection(bytes)))];
  return {
    type,
    means: (Object.hasOwn(MEANING, type) && MEANING[type]) || "complaint",
    return_paths: [...new Set(return_paths)].slice(0, MAX_RETURN_PATHS),
  };
}
