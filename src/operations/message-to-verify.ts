import { z } from "zod";
import { type MessageParts, partsOf, partsOfRaw } from "../identity/mime-leaves.ts";
import { decodeBase64 } from "./attachments-in.ts";
import { agreed, coded } from "./fields.ts";

/** The message that `verify_identity` is asked about: whole, or what a program kept of it. */

const MAX_MESSAGE_OCTETS = 10 * 1024 * 1024;
const MAX_BASE64_CHARACTERS = Math.ceil(MAX_MESSAGE_OCTETS / 3) * 4;
const MAX_ATTACHMENTS = 1_000;

const tooLarge = { error: "may have at most 10 MiB", ...coded("too_large") };

function isSmall(text: string): boolean {
  return Buffer.byteLength(text) <= MAX_MESSAGE_OCTETS;
}

const bodyIn = z.string().refine(isSmall, tooLarge).optional();

const attachmentIn = z.union([
  z.strictObject({ content_base64: z.string() }),
  z.strictObject({
    sha256: z.string().regex(/^[0-9a-f]{64}$/, { error: "must be 64 lower-case hexadecimal digits" }),
  }),
]);

/** The fields of the input. */
export const messageFields = {
  raw: z
    .string()
    .refine(isSmall, tooLarge)
    .optional()
    .describe("The whole message as text. One that holds other than ASCII and UTF-8 needs raw_base64"),
  raw_base64: z
    .string()
    .refine((text) => text.length <= MAX_BASE64_CHARACTERS, tooLarge)
    .optional()
    .describe("The whole message in base64"),
  headers: z
    .union([
      z.record(z.string(), z.union([z.string(), z.array(z.string())])),
      z.array(z.tuple([z.string(), z.string()])),
    ])
    .optional()
    .describe("Or its header fields, undecoded: a map of name to value or values, or a list of [name, value]"),
  text: bodyIn.describe("With headers: the text/plain body, decoded"),
  body: bodyIn.describe("Another name for text"),
  html: bodyIn.describe("With headers: the text/html body, decoded"),
  attachments: z
    .array(attachmentIn)
    .max(MAX_ATTACHMENTS)
    .optional()
    .describe("With headers: every other part, in order, as content_base64 or as the sha256 of its decoded bytes"),
};
type MessageIn = { [Name in keyof typeof messageFields]?: z.output<(typeof messageFields)[Name]> };

const WAYS = ["raw", "raw_base64", "headers"] as const;
const PARTS = ["text", "body", "html", "attachments"] as const;

/** Adds an issue unless the message is given in exactly one way. */
export function refineMessage(input: MessageIn, context: z.RefinementCtx): void {
  const given = WAYS.filter((name) => input[name] !== undefined);
  if (given.length !== 1) {
    const message = `exactly one of ${WAYS.join(", ")} is needed`;
    context.addIssue({ code: "custom", path: [given[1] ?? "raw"], message });
  }
  if (given[0] !== "headers") {
    for (const name of PARTS.filter((part) => input[part] !== undefined))
      context.addIssue({ code: "custom", path: [name], message: "goes with headers only" });
  }
  agreed(input, ["text", "body"], context, false);
}

/** No message at all: what cannot be read is judged as this, not refused. */
const NO_MESSAGE = new Uint8Array();
/** In place of the hash of a file that cannot be read: no file has it, an empty one neither. */
const NO_HASH = "unreadable";

function headerList(headers: NonNullable<MessageIn["headers"]>): [string, string][] {
  if (Array.isArray(headers)) return headers;
  return Object.entries(headers).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value): [string, string] => [name, value]),
  );
}

/** Base64 as mail programs and shells write it, in lines. @returns null where it is none. */
function bytesOf(base64: string): Uint8Array | null {
  return decodeBase64(base64.replace(/[\r\n]+/g, ""));
}

function fileOf(file: z.output<typeof attachmentIn>): { content: Uint8Array } | { sha256: string } {
  if ("sha256" in file) return file;
  const content = bytesOf(file.content_base64);
  return content ? { content } : { sha256: NO_HASH };
}

/** @returns what the signatures cover. Never throws: what is no message says so of itself. */
export async function messageOf(input: MessageIn): Promise<MessageParts> {
  const { raw, raw_base64, headers, text, body, html, attachments = [] } = input;
  if (headers === undefined) {
    return partsOfRaw(raw === undefined ? (bytesOf(raw_base64 ?? "") ?? NO_MESSAGE) : Buffer.from(raw));
  }
  return partsOf({
    headers: headerList(headers),
    text: text ?? body ?? null,
    html: html ?? null,
    attachments: attachments.map(fileOf),
  });
}
