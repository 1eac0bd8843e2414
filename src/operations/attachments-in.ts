import { z } from "zod";
import { Refused } from "../errors.ts";
import { isAttachmentName, isAttachmentType, MAX_ATTACHMENT_NAME } from "../mail/compose.ts";
import type { AttachmentBytes } from "../store/mail-store.ts";
import { coded, headerText } from "./fields.ts";

/** Attachments as an agent hands them in: base64 in JSON. */

const MAX_ATTACHMENTS = 50;
const MAX_CONTENT_TYPE_CHARACTERS = 255;
const invalid = coded("invalid_attachment");

/** `type/subtype` and parameters (RFC 2045 §5.1). */
const CONTENT_TYPE =
  /^[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}(?:; ?[a-z0-9-]{1,32}=(?:[a-z0-9._+-]{1,64}|"[a-z0-9 ._+-]{1,64}"))*$/i;

/** Parameters are dropped here, since the type is shown and hashed as it is sent: `type/subtype` in lower case. */
const contentType = headerText(MAX_CONTENT_TYPE_CHARACTERS)
  .refine((text) => CONTENT_TYPE.test(text), { error: "is not a content type", ...invalid })
  .transform((text) => (text.split(";")[0] ?? "").toLowerCase())
  .refine(isAttachmentType, {
    error: "multipart and message types are not taken; application/octet-stream carries any file",
    ...invalid,
  });

const name = headerText(MAX_ATTACHMENT_NAME, 1).refine(isAttachmentName, {
  error: "may not contain / or \\, control characters or =?",
  ...invalid,
});

/** The `attachments` field. */
export const attachmentsIn = z
  .array(
    z.strictObject({
      name,
      content_base64: z.string().describe("The file in base64 (RFC 4648 §4), padded, without line breaks"),
      content_type: contentType
        .default("application/octet-stream")
        .describe("type/subtype (RFC 2045 §5.1); parameters are dropped"),
    }),
  )
  .max(MAX_ATTACHMENTS);
export type AttachmentIn = z.output<typeof attachmentsIn>[number];

/** @returns the bytes, or null if the text is not exactly the base64 (RFC 4648 §4) of any. */
export function decodeBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0 || /[^A-Za-z0-9+/=]/.test(text)) return null;
  const padding = text.indexOf("=");
  if (padding >= 0 && (padding < text.length - 2 || text.at(-1) !== "=")) return null;
  const bytes = Buffer.from(text, "base64");
  // The bits that padding leaves over must be zero, so that every file has one form only.
  return bytes.subarray(bytes.length - (bytes.length % 3)).toString("base64") ===
    text.slice(padding < 0 ? text.length : -4)
    ? bytes
    : null;
}

/** Decodes all of them. @throws {Refused} `invalid_attachment`, naming the first that is not base64. */
export function decodeAttachments(attachments: readonly AttachmentIn[]): AttachmentBytes[] {
  return attachments.map(({ name, content_base64, content_type }, index) => {
    const bytes = decodeBase64(content_base64);
    if (bytes === null) {
      const path = `attachments.${index}.content_base64`;
      throw new Refused("invalid_attachment", `${path} is not base64.`, {
        issues: [{ path, message: "must be base64 (RFC 4648 §4) with padding and nothing else in it" }],
      });
    }
    return { name, content_type, disposition: "attachment", content_id: null, bytes };
  });
}
