import type { Mode } from "../../../src/oversight/modes.ts";
import type { RequestStatus } from "../../../src/oversight/request-transitions.ts";
import type { InboundStatus, OutboundStatus } from "../../../src/oversight/statuses.ts";
import type { Agent, Watcher } from "./cast.ts";
import type { Query } from "./steps.ts";

/** What the reference knows of everything that can wait for a human. */

/** A voice for what somebody saw. */
export interface Voice {
  /** A person's address; all keys together are one. */
  who: string;
  seat: string;
  /** What they saw: `contentOf` of what they were shown. */
  saw: string;
}

interface Waiting {
  /** `em_…` or `pend_…`, as the object's tables have it. */
  id: string;
  /** What the story calls it. */
  name: string;
  /** How many had to approve when it began to wait. */
  needed: number;
  /** Milliseconds; null: it waits for ever. */
  expiresAt: number | null;
  voices: Voice[];
  /** It waits, or waited once. */
  wasHeld: boolean;
}

/** A message on its way out. */
export interface Outgoing extends Waiting {
  kind: "outgoing";
  status: OutboundStatus;
  author: Agent;
  subject: string;
  text: string;
  to: string[];
  /** Milliseconds; null: at once. */
  sendAt: number | null;
  gate: "gate_first" | "schedule_first";
  requested: Mode | null;
  template: { id: string; version: number } | null;
  /** A decision let it go, and still counts. */
  isApproved: boolean;
  /** Mode and rules let it go when it was written or changed last. */
  isLetGo: boolean;
  /** Who has it, and who never will. */
  reached: Set<string>;
  refused: Set<string>;
  firstAttemptAt: number | null;
  wasTried: boolean;
}

/** A message that came in. */
export interface Incoming extends Waiting {
  kind: "incoming";
  status: InboundStatus;
  isReleased: boolean;
}

/** A held read or annotation, a template's version, an upgrade. */
export interface Asked extends Waiting {
  kind: "asked";
  what: "read" | "annotate" | "template" | "upgrade";
  status: RequestStatus;
  author: Agent | Watcher;
  /** Exactly what was asked. */
  question: string;
  /** The same to ask it again; null of what is no query. */
  query: { query: Query; about: string | null } | null;
  approvedAt: number | null;
  approvalRef: string | null;
  template: { id: string; version: number } | null;
  upgrade: { to: Mode; words: string } | null;
}

export type Item = Outgoing | Incoming | Asked;

export function isOpen({ status }: Item): boolean {
  return status === "pending_send_approval" || status === "pending_inbound_approval" || status === "pending";
}

/** Mail that an agent may not know of. */
export function isHidden(item: Item): boolean {
  return item.kind === "incoming" && (item.status === "pending_inbound_approval" || item.status === "rejected");
}

/** What people can see of a message, as one text. */
export function contentOf({ subject, text, to }: { subject: string; text: string; to: readonly string[] }): string {
  return JSON.stringify([subject, text, [...to].sort()]);
}

/** What there is to see of an item. What never changes needs no words. */
export function contentOfItem(item: Item): string {
  return item.kind === "outgoing" ? contentOf(item) : "as it is";
}
