import type { RequestStatus } from "../../src/oversight/request-transitions.ts";
import type { Status } from "../../src/oversight/statuses.ts";
import type { LinkOutcome } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { quorumView } from "./decide.ts";
import type { HeldItem } from "./held-item.ts";

const ENDED: Partial<Record<Status | RequestStatus, LinkOutcome["decision"]>> = {
  cancelled: "cancelled",
  expired: "expired",
};

/** How an item stands that this person can do nothing about any more: it ended, or their voice is in and others are needed. */
export function linkOutcome(box: MailboxBase, item: HeldItem, justNow: boolean): LinkOutcome {
  const { decision } = item;
  const status = item.status();
  const last = decision ?? (item.isOpen() ? (item.hold.approvals.at(-1) ?? null) : null);
  const decided = decision && (decision.decision === "approve" ? "approved" : "rejected");
  return {
    status,
    kind: item.kind,
    decision: decided ?? ENDED[status] ?? (item.isOpen() ? "approved_partly" : "superseded"),
    quorum: quorumView(box, item),
    decided_by: last?.by ?? null,
    decided_at: last?.at ?? null,
    reason: last?.reason ?? item.endReason,
    approval_ref: last?.approval_ref ?? null,
    test: item.test,
    just_now: justNow,
  };
}
