import { createHash } from "node:crypto";
import type { Submission } from "../../durable-objects/mailbox-rpc.ts";
import { canonical } from "../canonical-json.ts";
import { newId, type RoutingNumber } from "../ids.ts";
import { renderTemplate, withoutNames } from "../mail/template.ts";
import { refuseMarkup } from "../mail/template-values.ts";
import { describeAttachment } from "../store/mail-store.ts";
import { callMailbox } from "../store/mailbox-client.ts";
import { actingAs, modelOf } from "./acting-agent.ts";
import { type AttachmentIn, decodeAttachments } from "./attachments-in.ts";
import { withBrokenDomain } from "./broken-domain.ts";
import {
  type ContentIn,
  ofTakenSize,
  type Recipients,
  readRecipients,
  refuseTooLarge,
  renderBody,
} from "./message-in.ts";
import type { Answer, OperationContext } from "./operation.ts";
import type { DryRun, SendAnswer } from "./shapes/sending.ts";
import { withStoredFiles } from "./stored-files.ts";

/** A parsed send or reply. */
export interface MessageIn {
  to?: string | string[] | undefined;
  cc?: string | string[] | undefined;
  bcc?: string | string[] | undefined;
  reply_to?: string | string[] | undefined;
  content: ContentIn;
  attachments: AttachmentIn[];
  tags?: Record<string, string> | undefined;
  metadata: Record<string, unknown>;
  agent_id?: string | undefined;
  model_id?: string | undefined;
  model_provider?: string | undefined;
  oversight_mode?: Submission["oversight_mode"] | undefined;
  send_at?: string | undefined;
  gate_timing?: Submission["gate_timing"] | undefined;
  dry_run: boolean;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/**
 * @returns the digest by which a repeated call is recognised: SHA-256 of the canonical input, in lower-case hex. Files enter it
 *   by their own hash, since an isolate has no memory for further copies of them.
 */
function inputDigest(
  operation: string,
  { dry_run: _, ...input }: MessageIn,
  { reply, forward }: Pick<Submission, "reply" | "forward">,
): string {
  const attachments = input.attachments.map(({ content_base64, ...rest }) => ({
    ...rest,
    sha256: sha256(content_base64),
  }));
  // Through JSON, which drops what was left out.
  return sha256(canonical(JSON.parse(JSON.stringify({ operation, input: { ...input, attachments }, reply, forward }))));
}

/** What the content of a message becomes: its words rendered, and the template's approval if it came from one. */
export type Words = Pick<Submission, "subject" | "text" | "html" | "markdown" | "template">;

/**
 * Renders what a message says.
 * @throws {Refused} `not_found` for a template of another mailbox; `wrong_state` before a version of it was approved; for its
 *   values as `renderTemplate`; `too_large`.
 */
export async function renderContent(
  { env, caller }: OperationContext,
  routing: RoutingNumber,
  content: ContentIn,
): Promise<Words> {
  if (!("template_id" in content)) return { subject: content.subject, ...renderBody(content.body), template: null };
  const { template_id, variables } = content;
  refuseMarkup(variables);
  const template = await callMailbox(env, routing, (object) => object.approvedTemplate(caller, template_id));
  const { id, version, approval_ref, allowed_domains } = template;
  if (approval_ref === null) throw new Error("an approved template has no approval");
  return {
    ...ofTakenSize(renderTemplate(template, variables)),
    template: { id, version, approval_ref, allowed_domains },
  };
}

/** @returns the recipients as they may stand beside these words. */
export function recipientsFor({ template }: Words, recipients: Recipients): Recipients {
  if (template === null) return recipients;
  const { to, cc, bcc } = recipients;
  return { to: withoutNames(to), cc: withoutNames(cc), bcc: withoutNames(bcc), reply_to: [] };
}

/**
 * Hands a message to its mailbox, or with `dry_run` asks only what would become of it. Everything that can be refused without
 * the object is refused before anything is stored.
 * @param operation which one, for the idempotency digest.
 * @param forward the message of the same mailbox that it passes on; left out where it passes on none.
 */
export async function submitMessage(
  context: OperationContext,
  operation: string,
  routing: RoutingNumber,
  input: MessageIn,
  reply: Submission["reply"],
  forward?: { email_id: string },
): Promise<Answer<SendAnswer | DryRun>> {
  const caller = actingAs(context.caller, input.agent_id ?? null);
  const recipients = readRecipients(input);
  const files = decodeAttachments(input.attachments);
  const words = await renderContent(context, routing, input.content);
  refuseTooLarge(context.env, words, files);
  const { idempotencyKey } = context;
  const submission: Submission = {
    id: newId("em", context.now(), routing),
    ...recipientsFor(words, recipients),
    ...words,
    attachments: [],
    reply,
    ...(forward && { forward }),
    tags: input.tags ?? {},
    metadata: input.metadata,
    agent_id: caller.agent_id,
    ...(await modelOf(context, caller.agent_id, input)),
    oversight_mode: input.oversight_mode ?? null,
    send_at: input.send_at ?? null,
    gate_timing: input.gate_timing ?? null,
    idempotency:
      idempotencyKey === null
        ? null
        : { key: idempotencyKey, digest: inputDigest(operation, input, { reply, ...(forward && { forward }) }) },
    look_up: true,
  };
  if (input.dry_run) {
    const attachments = files.map((file) => describeAttachment(file, ""));
    const body = await callMailbox(context.env, routing, (object) =>
      object.judge(caller, { ...submission, attachments }),
    );
    return { status: 200, body };
  }
  const answer = await withStoredFiles(
    context,
    { emailId: submission.id, files, first: 0 },
    (attachments) =>
      callMailbox(context.env, routing, (object) => object.submit(caller, { ...submission, attachments })),
    ({ idempotent }) => !idempotent,
  );
  return { status: answer.idempotent ? 200 : 202, body: await withBrokenDomain(context, answer) };
}
