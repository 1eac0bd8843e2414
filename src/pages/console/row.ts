import type { DecisionItem } from "../../../durable-objects/mailbox-rpc.ts";
import type { PendingKind } from "../../operations/shapes/pending.ts";
import type { ItemFacts } from "../../oversight/pending-filter.ts";
import { warningsAbout } from "../decision/judged.ts";
import { shorten } from "../misleading/warning.ts";
import { fieldInWords, operationInWords, valueInWords } from "../operation-words.ts";
import { count, HIGH_RISK } from "../words.ts";

/** An item in one row of the queue: enough to tell it from the others, and whether it may be approved without being opened. */
export interface QueueRow {
  pending_id: string;
  content_hash: string;
  kind: PendingKind;
  mailbox: string;
  agent_id: string | null;
  /** The subject, or what is asked for. Someone else's words. */
  title: string;
  /** Null where it is no message. */
  from: string | null;
  to: string[];
  /** What a query or change asks for exactly; empty for everything else. */
  asked: { field: string; value: string }[];
  held_by: string;
  because: string;
  risk: number | null;
  quorum: DecisionItem["quorum"];
  submitted_at: string;
  /** Null: it waits for ever. */
  expires_at: string | null;
  test: boolean;
  /** Why it cannot be approved together with others; null if it can. */
  alone: string | null;
}

const LONGEST_TITLE = 200;
/** Characters of a query that a row shows. It shows all of it or none: nobody approves a query that they saw a part of. */
const LONGEST_ASKED = 400;

/** What an item is called in a list. */
export function titleOf(item: DecisionItem): string {
  switch (item.kind) {
    case "send":
    case "inbound":
      return item.content.subject === "" ? "(no subject)" : shorten(item.content.subject, LONGEST_TITLE);
    case "read":
    case "annotate":
      return operationInWords(item.request.operation) ?? item.request.operation;
    case "template":
      return shorten(`Template “${item.template.name}”, version ${item.template.version}`, LONGEST_TITLE);
    case "upgrade":
      return shorten(item.change, LONGEST_TITLE);
  }
}

function askedOf(item: DecisionItem): QueueRow["asked"] {
  if (!("request" in item)) return [];
  return Object.entries(item.request.input).map(([name, value]) => ({
    field: fieldInWords(name),
    value: valueInWords(value),
  }));
}

function isLong(asked: QueueRow["asked"]): boolean {
  return asked.reduce((sum, { field, value }) => sum + field.length + value.length, 0) > LONGEST_ASKED;
}

/**
 * @returns why a person must open the item before they approve it, as a sentence; null where approving it among others is fine:
 *   nothing in it looks made to mislead, its risk is not high, its row shows all that it asks for, and an approval lets it through.
 */
export function whyAlone(item: DecisionItem): string | null {
  if (item.kind === "upgrade") return "Only the operator's code lets it through.";
  if (isLong(askedOf(item))) return "Open it first: it asks for more than a row can show.";
  const serious = warningsAbout(item).filter(({ severity }) => severity === "danger").length;
  if (serious > 0) return `Open it first: ${count(serious, "serious warning")}.`;
  if ("risk" in item && item.risk !== null && item.risk.score > HIGH_RISK) return "Open it first: its risk is high.";
  return null;
}

/** @returns the row of an item that waits. */
export function rowOf(item: DecisionItem): QueueRow {
  const { pending_id, content_hash, kind, mailbox_address, agent, held_by, because, quorum } = item;
  const content = "content" in item ? item.content : null;
  const asked = askedOf(item);
  return {
    pending_id,
    content_hash,
    kind,
    mailbox: mailbox_address,
    agent_id: agent.agent_id,
    title: titleOf(item),
    from: content?.from.address ?? null,
    to: content === null ? [] : [...content.to, ...content.cc, ...content.bcc].map(({ address }) => address),
    asked: isLong(asked) ? [] : asked,
    held_by,
    because,
    risk: "risk" in item ? (item.risk?.score ?? null) : null,
    quorum,
    submitted_at: item.submitted_at,
    expires_at: item.expires_at,
    test: "test" in item && item.test,
    alone: whyAlone(item),
  };
}

/** What a filter asks of a row. */
export function factsOf({ agent_id, to, held_by }: QueueRow): ItemFacts {
  return { agent_id, recipients: to, rule: held_by };
}
