import type { z } from "zod";
import { Refused } from "../errors.ts";
import { parseAddresses } from "../mail/address.ts";
import { renderMarkdown } from "../mail/markdown.ts";
import type { MailAddress } from "../mail/message.ts";
import { htmlToPlainText } from "../mail/plain-text.ts";
import { reduceHtml } from "../mail/safe-html.ts";
import { MAX_RECIPIENTS } from "../oversight/limits.ts";
import { attachmentsIn, encodedSize } from "./attachments-in.ts";
import { addresses, agentId, headerText, metadata, modelId, modelProvider, octets, tags } from "./fields.ts";
import { modeSchema } from "./shapes.ts";

/** A message as an agent writes it: what send_email and reply_email have in common. */

const MAX_SUBJECT_CHARACTERS = 998;
const MAX_BODY_OCTETS = 256 * 1024;
/** HTML carries markup beside its words. */
const MAX_HTML_OCTETS = 512 * 1024;
/** What markdown and HTML become must still fit a row of the object's storage. */
const MAX_RENDERED_OCTETS = 1024 * 1024;
const MAX_MESSAGE_OCTETS = 10 * 1024 * 1024;

export const subject = headerText(MAX_SUBJECT_CHARACTERS);

/** Everything but recipients and subject. */
export const messageFields = {
  cc: addresses.optional(),
  bcc: addresses.optional(),
  reply_to: addresses.optional(),
  markdown: octets(MAX_BODY_OCTETS).optional().describe("Rendered to HTML and plain text"),
  text: octets(MAX_BODY_OCTETS).optional().describe("Plain text"),
  body: octets(MAX_BODY_OCTETS).optional().describe("The same as text"),
  html: octets(MAX_HTML_OCTETS).optional().describe("Reduced to a safe subset; text is made from it if none is given"),
  attachments: attachmentsIn.default([]),
  tags: tags.optional().describe("A map of key to text, or a list of keys"),
  metadata: metadata.default({}),
  agent_id: agentId.optional(),
  model_id: modelId.optional(),
  model_provider: modelProvider.optional(),
  oversight_mode: modeSchema.optional().describe("May only be stricter than the mailbox's"),
};

/** The body as it was given: one of three kinds. */
export type BodyIn = { markdown: string } | { text: string } | { html: string; text: string | null };

interface BodyFields {
  markdown?: string | undefined;
  text?: string | undefined;
  body?: string | undefined;
  html?: string | undefined;
}

/** @returns which body the input has; null, with an issue, if it has none or two that could contradict each other. */
export function bodyOf({ markdown, text, body, html }: BodyFields, context: z.RefinementCtx): BodyIn {
  const plain = text ?? body;
  const wrong = (path: string, message: string): BodyIn => {
    context.addIssue({ code: "custom", path: [path], message });
    return { text: "" };
  };
  if (text !== undefined && body !== undefined && text !== body) return wrong("body", "says something else than text");
  if (markdown !== undefined) {
    const other = html !== undefined ? "html" : plain !== undefined ? "text" : null;
    return other ? wrong(other, "cannot stand beside markdown, which is rendered to both") : { markdown };
  }
  if (html !== undefined) return { html, text: plain ?? null };
  return plain === undefined ? wrong("markdown", "is needed (a body is also taken as text, or html)") : { text: plain };
}

/** What becomes of a body. */
interface RenderedBody {
  text: string;
  html: string | null;
  markdown: string | null;
}

/** @throws {Refused} `too_large` if what is rendered is. */
export function renderBody(body: BodyIn): RenderedBody {
  const rendered = render(body);
  if (Buffer.byteLength(rendered.text) + Buffer.byteLength(rendered.html ?? "") > MAX_RENDERED_OCTETS) {
    throw new Refused("too_large", "The body is larger than 1 MiB once it is rendered.");
  }
  return rendered;
}

function render(body: BodyIn): RenderedBody {
  if ("markdown" in body) return { ...renderMarkdown(body.markdown), markdown: body.markdown };
  if (!("html" in body)) return { text: body.text, html: null, markdown: null };
  const html = reduceHtml(body.html);
  return { html, text: body.text ?? htmlToPlainText(html), markdown: null };
}

interface Recipients {
  to: MailAddress[];
  cc: MailAddress[];
  bcc: MailAddress[];
  reply_to: MailAddress[];
}

type Addresses = string | string[] | undefined;

/**
 * Reads all addresses of a message.
 * @throws {Refused} `invalid_address`, `forbidden_characters`, or `too_many_recipients` over to, cc and bcc.
 */
export function readRecipients(input: {
  to?: Addresses;
  cc?: Addresses;
  bcc?: Addresses;
  reply_to?: Addresses;
}): Recipients {
  const read = (field: keyof Recipients) => {
    const given = input[field];
    if (given === undefined) return [];
    if (Array.isArray(given)) refuseTooMany(given.length);
    return parseAddresses(given, field);
  };
  const recipients = { to: read("to"), cc: read("cc"), bcc: read("bcc"), reply_to: read("reply_to") };
  refuseTooMany(recipients.to.length + recipients.cc.length + recipients.bcc.length);
  refuseTooMany(recipients.reply_to.length);
  return recipients;
}

function refuseTooMany(count: number): void {
  if (count <= MAX_RECIPIENTS) return;
  throw new Refused(
    "too_many_recipients",
    `A message has at most ${MAX_RECIPIENTS} recipients over to, cc and bcc; this one has ${count}.`,
  );
}

/** @throws {Refused} `too_large` if the message would be over 10 MiB as it is sent. */
export function refuseTooLarge({ text, html }: RenderedBody, attachments: readonly { bytes: Uint8Array }[]): void {
  const files = attachments.reduce((sum, { bytes }) => sum + encodedSize(bytes.byteLength), 0);
  if (files + Buffer.byteLength(text) + Buffer.byteLength(html ?? "") <= MAX_MESSAGE_OCTETS) return;
  throw new Refused("too_large", "The whole message may be at most 10 MiB, its attachments encoded.");
}
