import { SYSTEM } from "../ledger.ts";
import type { LinkView } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { decide, linkOutcome } from "./decide.ts";
import { isPending } from "./pending.ts";
import { contentHashOf, decisionItem } from "./views.ts";

/** Decision links (FORMATS.md §7): each one is for one item, one approver and one content, and can be withdrawn alone. */

/** How many links are mailed for one item, when earlier ones had to be withdrawn. */
const MAX_LINKS = 5;

export interface Link extends Record<string, SqlStorageValue> {
  token_hash: string;
  email_id: string;
  approver: string;
  content_hash: string;
  expires_at: number;
  /** Why it was withdrawn, or null. */
  revoked: string | null;
  used: number;
}

/** What a link shows. Changes nothing. */
export function openLink(box: MailboxBase, tokenHash: string): LinkView {
  const link = box.findLink(tokenHash);
  if (!link) return { state: "unknown" };
  const message = box.messages.get(link.email_id);
  if (!isPending(message)) return { state: "decided", approver: link.approver, outcome: linkOutcome(message, false) };
  if (link.revoked !== null) return { state: "revoked", reason: link.revoked };
  if (link.used) return { state: "revoked", reason: "this link has decided once already" };
  const expires_at = new Date(link.expires_at).toISOString();
  if (link.expires_at <= box.now()) return { state: "expired", expired_at: expires_at };
  if (contentHashOf(message) !== link.content_hash) {
    return { state: "revoked", reason: "the message was changed after this link was mailed" };
  }
  const item = decisionItem(message, box.messages.bodies(message.seq), box.settings());
  return { state: "open", approver: link.approver, expires_at, item };
}

/** Decides through a link, at most once, for exactly the content it names. A link that is not open decides nothing. */
export function decideByLink(
  box: MailboxBase,
  tokenHash: string,
  decision: "approve" | "reject",
  note: string | null,
): LinkView {
  const view = openLink(box, tokenHash);
  if (view.state !== "open") return view;
  const message = box.messages.get(view.item.email_id);
  const decided = box.commit(() => {
    const done = decide(
      box,
      message,
      { type: "human", id: "approver", via: "link" },
      {
        decision,
        kind: "human_link",
        by: view.approver,
        reason: note,
        content_hash: view.item.content_hash,
      },
    );
    if (done) box.useLink(tokenHash);
    return done;
  });
  const now = decided ?? box.messages.get(message.id);
  return { state: "decided", approver: view.approver, outcome: linkOutcome(now, decided !== null) };
}

/** Withdraws links. @returns how many were live. */
export function revokeLinks(box: MailboxBase, tokenHashes: string[], reason: string): number {
  return box.commit(() => {
    const live = tokenHashes
      .map((hash) => box.findLink(hash))
      .filter((link) => link !== null && link.revoked === null && !link.used);
    for (const link of live as Link[]) {
      box.revokeLink(link.token_hash, reason);
      box.record({
        message: box.messages.get(link.email_id),
        actor: SYSTEM,
        action: "link.revoked",
        detail: { reason },
      });
      const message = box.messages.get(link.email_id);
      const { hold } = message.record;
      if (!hold || !isPending(message)) continue;
      // The person is still needed: a fresh link goes out, but not for ever to someone whose mail is forwarded back here.
      hold.withdrawn = (hold.withdrawn ?? 0) + 1;
      box.messages.save(message);
      if (hold.withdrawn < MAX_LINKS) box.schedule("notify", message.id, box.now());
    }
    return live.length;
  });
}

/** The approver is another: links mailed so far decide nothing any more, and whoever decides now gets fresh ones. Inside `commit`. */
export function replaceLinks(box: MailboxBase): void {
  for (const id of box.scheduled("expire")) {
    const reason = "someone else decides for this mailbox now";
    if (box.revokeLinksOf(id, reason) > 0) {
      box.record({ message: box.messages.get(id), actor: SYSTEM, action: "link.revoked", detail: { reason } });
    }
    box.schedule("notify", id, box.now());
  }
}
