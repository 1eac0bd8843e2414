import type { DecisionItem } from "../../../durable-objects/mailbox-rpc.ts";
import { finishBodies } from "../../mail/finished-body.ts";
import { renderMarkdown } from "../../mail/markdown.ts";
import type { MessageContent } from "../../mail/message.ts";
import { findMisleading, type Warning } from "../misleading.ts";

/** What a template looks like once it is rendered, its variables not filled in. */
export function templateContent(item: Extract<DecisionItem, { kind: "template" }>): MessageContent {
  // As a message made of it will be: with the disclosure and the signature.
  const { html, text } = finishBodies(renderMarkdown(item.template.markdown), item.frame);
  return {
    from: { name: item.frame.display_name, address: item.mailbox_address },
    reply_to: [],
    to: [],
    cc: [],
    bcc: [],
    subject: item.template.subject,
    text,
    html,
    attachments: [],
    in_reply_to: null,
    references: [],
  };
}

/** @returns what of an item is a message that people will read; null for queries and settings. */
export function messageIn(item: DecisionItem): MessageContent | null {
  if ("content" in item) return item.content;
  return item.kind === "template" ? templateContent(item) : null;
}

/** @returns what can mislead whoever decides about the item, most urgent first. */
export function warningsAbout(item: DecisionItem): Warning[] {
  const content = messageIn(item);
  return content === null ? [] : findMisleading(content);
}
