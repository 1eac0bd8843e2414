import type { Env } from "../env.ts";
import { CLOUDFLARE_MESSAGE_OCTETS } from "./transports/cloudflare-rules.ts";

/** What a message may measure, whoever writes it. */

/** RFC 5322 §2.1.1: a line has at most 998 octets; a subject of more characters fits no header that people read. */
export const MAX_SUBJECT_CHARACTERS = 998;
/** Markdown or plain text, in UTF-8. */
export const MAX_BODY_OCTETS = 256 * 1024;
/** The whole message as it is sent, its attachments encoded, by what takes it away from here. */
const LARGEST_MESSAGE: Readonly<Record<Env["TRANSPORT"], { octets: number; sentence: string }>> = {
  smtp: {
    octets: 10 * 1024 * 1024,
    sentence: "The whole message may be at most 10 MiB, its attachments encoded.",
  },
  cloudflare: {
    octets: CLOUDFLARE_MESSAGE_OCTETS,
    sentence: "Through Cloudflare's Email Service the whole message may be at most 5 MiB, its attachments encoded.",
  },
};

/** @returns how many octets a file takes in a message: base64 in lines of 76 characters (RFC 2045 §6.8). */
export function encodedSize(octets: number): number {
  const characters = Math.ceil(octets / 3) * 4;
  return characters + Math.ceil(characters / 76) * 2;
}

/**
 * @param files the octets of each.
 * @returns what is said of a message that is larger than one may be here; null of any other.
 */
export function whyTooLarge(
  { TRANSPORT }: Pick<Env, "TRANSPORT">,
  { text, html }: { text: string; html: string | null },
  files: readonly number[],
): string | null {
  const encoded = files.reduce((sum, octets) => sum + encodedSize(octets), 0);
  const { octets, sentence } = LARGEST_MESSAGE[TRANSPORT === "cloudflare" ? "cloudflare" : "smtp"];
  return encoded + Buffer.byteLength(text) + Buffer.byteLength(html ?? "") > octets ? sentence : null;
}

/** @param octets of the whole message, as it is sent. @returns as `whyTooLarge`. */
export function whyMessageTooLarge({ TRANSPORT }: Pick<Env, "TRANSPORT">, octets: number): string | null {
  const largest = LARGEST_MESSAGE[TRANSPORT === "cloudflare" ? "cloudflare" : "smtp"];
  return octets > largest.octets ? largest.sentence : null;
}
