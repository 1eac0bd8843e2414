/** What a message may measure, whoever writes it. */

/** RFC 5322 §2.1.1: a line has at most 998 octets; a subject of more characters fits no header that people read. */
export const MAX_SUBJECT_CHARACTERS = 998;
/** Markdown or plain text, in UTF-8. */
export const MAX_BODY_OCTETS = 256 * 1024;
/** The whole message as it is sent, its attachments encoded. */
const MAX_MESSAGE_OCTETS = 10 * 1024 * 1024;

/** @returns how many octets a file takes in a message: base64 in lines of 76 characters (RFC 2045 §6.8). */
export function encodedSize(octets: number): number {
  const characters = Math.ceil(octets / 3) * 4;
  return characters + Math.ceil(characters / 76) * 2;
}

/** @param files the octets of each. @returns whether a message would be larger than one may be. */
export function isTooLarge({ text, html }: { text: string; html: string | null }, files: readonly number[]): boolean {
  const encoded = files.reduce((sum, octets) => sum + encodedSize(octets), 0);
  return encoded + Buffer.byteLength(text) + Buffer.byteLength(html ?? "") > MAX_MESSAGE_OCTETS;
}

/** What is said of a message that is too large. */
export const TOO_LARGE = "The whole message may be at most 10 MiB, its attachments encoded.";
