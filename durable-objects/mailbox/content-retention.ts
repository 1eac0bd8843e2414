import { fewestDays, keptDays } from "../../src/oversight/content-retention.ts";
import { SYSTEM } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import type { MailboxBase } from "./base.ts";
import { isUnderWay } from "./erase.ts";
import { whyHeld } from "./erase-email.ts";
import { eraseLater, eraseOutside } from "./erase-store.ts";
import type { MessageRecord } from "./message-record.ts";
import type { Message } from "./messages.ts";

/** What messages say leaves a mailbox after the time that the operator set; who wrote to whom, when and by whose leave stays. */

/** The daily timer; its ref is the mailbox. */
export const RETENTION = "retention";
const DAY = 24 * 3600_000;
/** So many messages are looked at before others have their turn. */
const LOOKED_AT = 200;

/** Has the timer follow the settings. Inside `commit`. */
export function scheduleRetention(box: MailboxBase): void {
  const { id, content_retention } = box.settings();
  if (fewestDays(content_retention) === null) box.unschedule(RETENTION, id);
  else if (!box.isScheduled(RETENTION, id)) box.schedule(RETENTION, id, box.now());
}

/**
 * Serves a `retention` timer.
 * @throws Error if the account cannot be asked for a legal hold: nothing is removed then; whatever R2 or D1 throw: the rest is tried again.
 */
export async function expireContent(box: MailboxBase, { kind, ref }: Timer): Promise<void> {
  let after = { created_at: "", seq: 0 };
  for (;;) {
    const held = await whyHeld(box);
    const page = held ? [] : box.commit(() => expirePage(box, after));
    const last = page.at(-1);
    if (last === undefined || page.length < LOOKED_AT) break;
    after = last;
  }
  box.commit(() => {
    if (fewestDays(box.settings().content_retention) === null) box.unschedule(kind, ref);
    else box.schedule(kind, ref, box.now() + DAY);
  });
  await eraseOutside(box);
}

/** Inside `commit`. @returns the messages that it looked at. */
function expirePage(box: MailboxBase, after: { created_at: string; seq: number }): Message[] {
  const { content_retention } = box.settings();
  const fewest = fewestDays(content_retention);
  if (fewest === null) return [];
  const before = new Date(box.now() - fewest * DAY).toISOString();
  const page = box.messages.withContent(after, before, LOOKED_AT);
  const expired = page.filter((message) => isOver(box, message));
  for (const message of expired) {
    box.messages.expireContent(message, withoutContent(message.record), box.time());
    eraseLater(box, message.id, { wasHeld: false });
    box.record({
      message,
      actor: SYSTEM,
      action: "content.expired",
      detail: { days: keptDays(content_retention, message.record) },
    });
  }
  return page;
}

function isOver(box: MailboxBase, message: Message): boolean {
  const days = keptDays(box.settings().content_retention, message.record);
  if (days === null || Date.parse(message.created_at) > box.now() - days * DAY) return false;
  // Somebody still has to decide on it, or passes it on.
  return ![message, ...box.messages.forwardsOf(message.id)].some(isUnderWay);
}

/** Headers repeat the content, and files are part of it; their bytes go with the rest. */
function withoutContent({ inbound, outbound, ...record }: MessageRecord): MessageRecord {
  return {
    ...record,
    attachments: [],
    raw_key: null,
    inbound: inbound && { ...inbound, headers: [] },
    outbound,
  };
}
