import { z } from "zod";
import { access } from "../audit/access.ts";
import { Refused } from "../errors.ts";
import { isId, type RoutingNumber } from "../ids.ts";
import { templateIssues } from "../mail/template-issues.ts";
import { parseRecipientPattern } from "../oversight/recipient-patterns.ts";
import { listMailboxes } from "../store/directory.ts";
import { callMailbox, mailboxObject, notFound, routingOrNotFound } from "../store/mailbox-client.ts";
import { listTemplates as findTemplates } from "../store/template-projection.ts";
import { agreed, cursor, flag, headerText, limit, octets, wholeNumber } from "./fields.ts";
import { MAX_BODY_OCTETS, MAX_SUBJECT_CHARACTERS } from "./message-in.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";
import { findMailbox, mailboxNames } from "./references.ts";
import { TEMPLATE_VARIABLE_TYPES, type Template, templateShape } from "./shapes/template.ts";

const MAX_NAME_CHARACTERS = 100;
const MAX_VARIABLES = 50;
const MAX_VALUE_CHARACTERS = 10_000;
const USUAL_VALUE_CHARACTERS = 1_000;
const MAX_DOMAINS = 100;

const domains = z.array(z.string().min(1).max(255)).min(1).max(MAX_DOMAINS).nullable().optional();

const contentFields = {
  name: headerText(MAX_NAME_CHARACTERS, 1).describe("For people"),
  subject: headerText(MAX_SUBJECT_CHARACTERS, 1).describe("May have placeholders such as {{name}}"),
  markdown: octets(MAX_BODY_OCTETS).min(1).describe("May have placeholders such as {{name}}"),
  variables: z
    .array(
      z.strictObject({
        name: z.string().max(64).describe("a-z, then a-z 0-9 _; at most 32 characters"),
        type: z.enum(TEMPLATE_VARIABLE_TYPES).default("text"),
        required: flag.default(true),
        max_length: wholeNumber(1, MAX_VALUE_CHARACTERS).default(USUAL_VALUE_CHARACTERS).describe("Characters"),
      }),
    )
    .max(MAX_VARIABLES)
    .default([]),
  allowed_domains: domains.describe("Where it may be sent to; left out: wherever the policy lets it"),
};

type ContentIn = z.output<z.ZodObject<typeof contentFields>>;

/** @returns the template with its domains in A-labels, each once; an issue is added for each thing that no template may have. */
function templateContent({ allowed_domains, ...content }: ContentIn, context: z.RefinementCtx) {
  for (const { path, message } of templateIssues(content)) {
    context.addIssue({ code: "custom", path: path.split("."), message });
  }
  const parsed = (allowed_domains ?? []).map((domain, index) => {
    const pattern = /[@*]/.test(domain) ? null : parseRecipientPattern(domain);
    if (pattern === null) {
      context.addIssue({ code: "custom", path: ["allowed_domains", index], message: "is not a domain" });
    }
    return pattern ?? "";
  });
  return { ...content, allowed_domains: allowed_domains ? [...new Set(parsed)] : null };
}

const templateNames = {
  template_id: z.string().min(1).max(64).optional().describe("tpl_…"),
  id: z.string().min(1).max(64).optional().describe("The same as template_id"),
};

function templateOf(names: z.output<z.ZodObject<typeof templateNames>>, context: z.RefinementCtx): string {
  return agreed(names, ["template_id", "id"], context, true) ?? "";
}

const optionalMailbox = {
  mailbox_id: mailboxNames.mailbox_id.describe("The mailbox's id or address; needed by keys that can use several"),
  mailbox: mailboxNames.mailbox,
};

/** The mailbox that is named, or the only one that the key can use. */
async function mailboxFor(context: OperationContext, name: string | null): Promise<RoutingNumber> {
  if (name !== null) return findMailbox(context, name);
  const { mailboxes, total } = await listMailboxes(context.env.DB, context.caller, { limit: 1, after: "" });
  const [only] = mailboxes;
  if (only && total === 1) return routingOrNotFound(only.id);
  throw new Refused("invalid_input", "mailbox_id is needed, since this key can use more mailboxes than one, or none.", {
    issues: [{ path: "mailbox_id", message: "is needed, since this key can use more mailboxes than one, or none" }],
  });
}

/** @throws {Refused} `not_found` for what is no template's id. */
function templateId(id: string): string {
  if (!isId("tpl", id)) throw notFound();
  return id;
}

export const createTemplate = defineOperation({
  name: "create_template",
  summary: "Proposes a template. Once a human has approved it, send_email with its id needs no further approval.",
  scope: ["send", "admin"],
  effect: "annotate",
  recorded: "by_its_object",
  waitsItself: true,
  input: z
    .strictObject({ ...optionalMailbox, ...contentFields })
    .transform(({ mailbox_id, mailbox, ...content }, context) => ({
      mailbox: agreed({ mailbox_id, mailbox }, ["mailbox_id", "mailbox"], context, false),
      content: templateContent(content, context),
    })),
  output: templateShape,
  rest: [{ method: "POST", path: "/v1/templates" }],
  async handler(context, { mailbox, content }) {
    const template = await callMailbox(context.env, await mailboxFor(context, mailbox), (object) =>
      object.proposeTemplate(context.caller, { id: null, ...content }),
    );
    return { status: 202, body: template };
  },
});

export const updateTemplate = defineOperation({
  name: "update_template",
  summary: "Proposes a new version of a template. The approved one is used until a human has approved this one.",
  scope: ["send", "admin"],
  effect: "annotate",
  recorded: "by_its_object",
  waitsItself: true,
  input: z
    .strictObject({ ...templateNames, ...contentFields })
    .transform(({ template_id, id, ...content }, context) => ({
      id: templateOf({ template_id, id }, context),
      content: templateContent(content, context),
    })),
  output: templateShape,
  rest: [{ method: "PUT", path: "/v1/templates/{template_id}" }],
  async handler({ env, caller }, { id, content }) {
    const template = await mailboxObject(env, templateId(id), (object) =>
      object.proposeTemplate(caller, { id, ...content }),
    );
    return { status: 202, body: template };
  },
});

export const listTemplates = defineOperation({
  name: "list_templates",
  summary: "Lists the templates of the mailboxes that the key may use, the oldest first.",
  scope: ["read"],
  effect: "read",
  recorded: {
    // A mailbox records what is read of its own templates.
    entry: (_input, body) =>
      body && body.templates.length > 0 ? null : access({ action: "templates.listed", detail: { results: 0 } }),
  },
  input: z
    .strictObject({ ...optionalMailbox, limit, cursor })
    .transform(({ mailbox_id, mailbox, ...page }, context) => ({
      ...page,
      mailbox: agreed({ mailbox_id, mailbox }, ["mailbox_id", "mailbox"], context, false),
    })),
  output: z.object({ templates: z.array(templateShape), cursor: z.string().nullable() }),
  rest: [{ method: "GET", path: "/v1/templates" }],
  async handler(context, { mailbox, limit, cursor }) {
    if (cursor !== undefined && !isId("tpl", cursor)) throw foreignCursor();
    const routing = mailbox === null ? null : await findMailbox(context, mailbox);
    const page = await findTemplates(context.env.DB, context.caller, { routing, limit, after: cursor ?? "" });
    return { status: 200, body: { templates: await readAll(context, page.templates, routing), cursor: page.next } };
  },
});

/** Reads templates from their mailboxes, which have the last word: what was deleted is left out, and a mode may hold the read. */
async function readAll(
  { env, caller }: OperationContext,
  references: readonly { id: string; mailbox_id: string }[],
  routing: RoutingNumber | null,
): Promise<Template[]> {
  const byMailbox = Map.groupBy(references, ({ id }) => routingOrNotFound(id));
  // A mailbox that was named is asked even where it has none: whether this may be known is for it to say.
  if (routing !== null && !byMailbox.has(routing)) byMailbox.set(routing, []);
  const templates: Template[] = [];
  // One after the other, up to the first that holds the read. An approval is of one mailbox: where several hold, each is named.
  for (const [mailbox, listed] of byMailbox) {
    const ids = listed.map(({ id }) => id);
    templates.push(...(await callMailbox(env, mailbox, (object) => object.readTemplates(caller, ids))));
  }
  return templates.sort((a, b) => (a.id < b.id ? -1 : 1));
}

export const getTemplate = defineOperation({
  name: "get_template",
  summary: "Reads a template, and how its newest version stands.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: z.strictObject(templateNames).transform((names, context) => ({ id: templateOf(names, context) })),
  output: templateShape,
  rest: [{ method: "GET", path: "/v1/templates/{template_id}" }],
  async handler({ env, caller }, { id }) {
    return { status: 200, body: await mailboxObject(env, templateId(id), (object) => object.template(caller, id)) };
  },
});

export const deleteTemplate = defineOperation({
  name: "delete_template",
  summary: "Deletes a template: nothing is sent with it from now on.",
  scope: ["send", "admin"],
  effect: "annotate",
  recorded: "by_its_object",
  input: z.strictObject(templateNames).transform((names, context) => ({ id: templateOf(names, context) })),
  output: templateShape,
  rest: [{ method: "DELETE", path: "/v1/templates/{template_id}" }],
  async handler({ env, caller }, { id }) {
    return {
      status: 200,
      body: await mailboxObject(env, templateId(id), (object) => object.deleteTemplate(caller, id)),
    };
  },
});
