import type { DecisionItem, LinkOutcome, MessageItem } from "../../../durable-objects/mailbox-rpc.ts";
import type { PendingKind } from "../../operations/shapes/pending.ts";

/** What the decision page says, for each kind of item. */
export interface KindWords {
  title: string;
  lede: string;
  /** How the mailbox stands to the item, as the beginning of “… the mailbox orders@acme.example”. */
  place: "From" | "For" | "In";
  /** Null: nobody lets it through here. */
  approve: string | null;
  reject: string;
  /** What becomes of it if nobody decides. */
  otherwise: string;
  /** What it is, in the middle of a sentence. */
  noun: string;
}

const NO_ANSWER = "the agent gets no answer";

export const KIND_WORDS: Record<PendingKind, KindWords> = {
  send: {
    title: "Send this email?",
    lede: "An AI agent wants to send it. Nothing leaves before you approve.",
    place: "From",
    approve: "Approve and send",
    reject: "Reject",
    otherwise: "it is not sent",
    noun: "message",
  },
  inbound: {
    title: "Let the agent read this email?",
    lede: "It arrived from outside. The AI agent sees nothing of it before you release it.",
    place: "For",
    approve: "Release to the agent",
    reject: "Reject",
    otherwise: "the agent does not get it",
    noun: "message",
  },
  read: {
    title: "Let the agent read this?",
    lede: "An AI agent asks for exactly what stands below. It sees nothing before you approve.",
    place: "In",
    approve: "Allow it once",
    reject: "Reject",
    otherwise: NO_ANSWER,
    noun: "request",
  },
  annotate: {
    title: "Let the agent change this?",
    lede: "An AI agent asks to do exactly what stands below. Nothing changes before you approve.",
    place: "In",
    approve: "Allow it once",
    reject: "Reject",
    otherwise: "nothing changes",
    noun: "request",
  },
  template: {
    title: "Let the agent use this template?",
    lede: "An AI agent wants to send from it. Once it is approved, the agent fills in the variables by itself, and what it sends needs no further approval unless a rule holds it.",
    place: "For",
    approve: "Approve the template",
    reject: "Reject",
    otherwise: "it cannot be used",
    noun: "template",
  },
  upgrade: {
    title: "The agent asks for more freedom",
    lede: "Only the operator lets this through, with a code that was mailed to them. Here you can look at it and reject it.",
    place: "For",
    approve: null,
    reject: "Reject",
    otherwise: "nothing changes",
    noun: "request",
  },
};

/** How many more people must approve, this one included. */
export function stillNeeded({ needed, approvals }: DecisionItem["quorum"] | LinkOutcome["quorum"]): number {
  return Math.max(0, needed - approvals.length);
}

/** @returns the button that approves an item as it is; null where there is none. */
export function approveLabel(item: DecisionItem): string | null {
  const words = KIND_WORDS[item.kind];
  if (item.kind !== "send") return words.approve;
  if (stillNeeded(item.quorum) > 1) return "Approve";
  return item.send_at === null ? words.approve : "Approve and schedule";
}

/** @returns the button that approves what the person made of a message. */
export function editedLabel(item: MessageItem): string {
  return item.quorum.needed > 1 ? "Approve with these changes" : "Approve with these changes and send";
}
