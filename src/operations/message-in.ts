import { z } from "zod";
import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";
import { parseAddresses } from "../mail/address.ts";
import { MAX_BODY_OCTETS, MAX_SUBJECT_CHARACTERS, whyTooLarge } from "../mail/limits.ts";
import { renderMarkdown } from "../mail/markdown.ts";
import type { MailAddress } from "../mail/message.ts";
import { htmlToPlainText } from "../mail/plain-text.ts";
import { reduceHtml } from "../mail/safe-html.ts";
import { MAX_RECIPIENTS } from "../oversight/limits.ts";
import { attachmentsIn } from "./attachments-in.ts";
import { addresses, agentId, flag, headerText, metadata, modelId, modelProvider, octets, tags } from "./fields.ts";
import { modeSchema } from "./shapes/values.ts";

/** A message as an agent writes it: what send_email, reply_email and drafts have in common. */

export { MAX_BODY_OCTETS, MAX_SUBJECT_CHARACTERS };

/** HTML carries markup beside its words. */
const MAX_HTML_OCTETS = 512 * 1024;
/** As many as a template may declare. */
const MAX_VALUES = 50;
/** What markdown and HTML become must still fit a row of the object's storage. */
const MAX_RENDERED_OCTETS = 1024 * 1024;

export const subject = headerText(MAX_SUBJECT_CHARACTERS);

/** A point in time with its zone, which nobody has to guess. @returns ISO 8601 UTC with milliseconds. */
export const sendAt = z.iso
  .datetime({
    offset: true,
    error: ({ input }) =>
      input === undefined ? undefined : "must be a date and time with its zone, such as 2026-11-21T10:00:00Z",
  })
  .transform((text) => new Date(text).toISOString());

/** The body, in one of three kinds. */
export const bodyFields = {
  markdown: octets(MAX_BODY_OCTETS).optional().describe("Rendered to HTML and plain text"),
  text: octets(MAX_BODY_OCTETS).optional().describe("Plain text"),
  body: octets(MAX_BODY_OCTETS).optional().describe("The same as text"),
  html: octets(MAX_HTML_OCTETS).optional().describe("Reduced to a safe subset; text is made from it if none is given"),
};

/** What a message says: subject and body, or a template and its values. */
export const contentFields = {
  subject: subject.optional().describe("Needed unless a template brings it, or a thread"),
  ...bodyFields,
  template_id: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe("An approved template of this mailbox, in place of subject and body. It goes to addresses without names"),
  variables: z
    .record(headerText(64, 1), z.union([z.string(), z.number()]))
    .refine((values) => Object.keys(values).length <= MAX_VALUES, { error: `may have at most ${MAX_VALUES} values` })
    .optional()
    .describe("The template's values by name"),
};

/** Everything but recipients and content that a message may carry, drafts too. */
export const carriedFields = {
  cc: addresses.optional(),
  bcc: addresses.optional(),
  reply_to: addresses.optional(),
  model_id: modelId.optional().describe("What wrote it. Left out: what the agent is registered with"),
  model_provider: modelProvider.optional().describe("Left out: what the agent is registered with"),
  agent_id: agentId
    .optional()
    .describe("Who wrote it. Left out: X-MM-Agent, else the key's own agent, else its default"),
  oversight_mode: modeSchema.optional().describe("May only be stricter than the mailbox's"),
  gate_timing: z
    .enum(["gate_first", "schedule_first"])
    .optional()
    .describe("With send_at: a human decides at once, or when its time has come. Left out: as the mailbox has it"),
};

/** Everything but recipients and content that send_email and reply_email take. */
export const messageFields = {
  ...carriedFields,
  attachments: attachmentsIn.default([]),
  tags: tags.optional().describe("A map of key to text, or a list of keys"),
  metadata: metadata.default({}),
  send_at: sendAt.optional().describe("When it leaves, at most a year away. Within a minute of now: at once"),
  dry_run: flag.default(false).describe("Answers what would become of it; nothing is stored or sent"),
};

/** The body as it was given: one of three kinds. */
export type BodyIn = { markdown: string } | { text: string } | { html: string; text: string | null };

/** What a message says, as it was given. `subject` is null where a thread has one. */
export type ContentIn = { subject: string | null; body: BodyIn } | FromTemplate;
interface FromTemplate {
  template_id: string;
  variables: Record<string, string | number>;
}

type Given<Fields extends z.ZodRawShape> = z.output<z.ZodObject<Fields>>;

/** @returns which body the input has; an empty one, with an issue, if it has none or two that could contradict each other. */
export function bodyOf({ markdown, text, body, html }: Given<typeof bodyFields>, context: z.RefinementCtx): BodyIn {
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

/** What no approver of a template saw, and what it brings itself. */
const NOT_BESIDE_TEMPLATE = ["subject", "markdown", "text", "body", "html", "reply_to"] as const;

/** A message as a schema leaves it. */
interface MessageFields extends Given<typeof contentFields> {
  reply_to?: string | string[] | undefined;
  attachments?: readonly unknown[] | undefined;
}

/** @returns the template that the input names, or null; an issue is added for everything that contradicts it. */
function fromTemplate(input: MessageFields, context: z.RefinementCtx): FromTemplate | null {
  const { template_id, variables } = input;
  const wrong = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
  if (template_id === undefined) {
    if (variables !== undefined) wrong("variables", "needs template_id beside it");
    return null;
  }
  const others: string[] = NOT_BESIDE_TEMPLATE.filter((name) => input[name] !== undefined);
  if (input.attachments?.length) others.push("attachments");
  for (const name of others) wrong(name, "cannot stand beside template_id: only what was approved is sent");
  return { template_id, variables: variables ?? {} };
}

/** @param isThreaded whether a thread has a subject already. */
function contentOf(input: MessageFields, context: z.RefinementCtx, isThreaded: boolean): ContentIn {
  const template = fromTemplate(input, context);
  if (template) return template;
  const { subject } = input;
  if (subject === undefined && !isThreaded) {
    context.addIssue({ code: "custom", path: ["subject"], message: "is needed" });
  }
  return { subject: subject ?? null, body: bodyOf(input, context) };
}

/** @returns the body, if the input has one. */
export function bodyIfAny(
  { markdown, text, body, html }: Given<typeof bodyFields>,
  context: z.RefinementCtx,
): BodyIn | undefined {
  if ([markdown, text, body, html].every((value) => value === undefined)) return undefined;
  return bodyOf({ markdown, text, body, html }, context);
}

/** What a draft is to say: as much of it as there is. */
export type DraftContentIn = { subject?: string | undefined; body?: BodyIn | undefined } | FromTemplate;

/** As `withContent`, for what need not be complete. */
export function withDraftContent<Input extends MessageFields>(input: Input, context: z.RefinementCtx) {
  const { subject, markdown, text, body, html, template_id, variables, ...rest } = input;
  const content: DraftContentIn = fromTemplate(input, context) ?? { subject, body: bodyIfAny(input, context) };
  return { ...rest, content };
}

/**
 * Puts together what a message says, from a template or in its own words.
 * @param isThreaded whether a thread has a subject already.
 * @returns the input with its content understood; an issue is added if it says nothing, or both.
 */
export function withContent<Input extends MessageFields>(input: Input, context: z.RefinementCtx, isThreaded: boolean) {
  const { subject, markdown, text, body, html, template_id, variables, ...rest } = input;
  return { ...rest, content: contentOf(input, context, isThreaded) };
}

/** What becomes of a body. */
export interface RenderedBody {
  text: string;
  html: string | null;
  markdown: string | null;
}

/** @throws {Refused} `too_large` if what is rendered is. */
export function renderBody(body: BodyIn): RenderedBody {
  return ofTakenSize(render(body));
}

/** @returns the body. @throws {Refused} `too_large` if it is over 1 MiB as it is sent. */
export function ofTakenSize<Body extends RenderedBody>(rendered: Body): Body {
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

export interface Recipients {
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

/** @throws {Refused} `too_large` if the message would be over what the deployment's transport takes, as it is sent. */
export function refuseTooLarge(
  env: Pick<Env, "TRANSPORT">,
  body: RenderedBody,
  attachments: readonly { bytes: Uint8Array }[],
): void {
  const sizes = attachments.map(({ bytes }) => bytes.byteLength);
  const problem = whyTooLarge(env, body, sizes);
  if (problem) throw new Refused("too_large", problem);
}
