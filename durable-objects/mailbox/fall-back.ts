import { domainOf } from "../../src/mail/address.ts";
import { isLooser } from "../../src/oversight/modes.ts";
import { SYSTEM } from "../ledger.ts";
import type { MailboxBase } from "./base.ts";
import { type Counted, count, countOver } from "./counts.ts";
import type { FellBack } from "./people.ts";
import { takeBackAll } from "./take-back.ts";

/** What brings a mailbox's mode back by itself, and in which of the policy's limits it is counted. */
const WATCHED = {
  bounced: { counted: "watched_bounced", limit: "bounces" },
  complained: { counted: "watched_complained", limit: "complaints" },
} as const satisfies Record<string, { counted: Counted; limit: "bounces" | "complaints" }>;

/** Counts a bounce or complaint, for the mailbox and for the recipient's domain; where the policy's limit is passed, the mode becomes the one it names, at once. Inside `commit`. */
export function noteTrouble(box: MailboxBase, what: keyof typeof WATCHED, recipient: string): void {
  const { counted, limit } = WATCHED[what];
  box.history.addDomainEvent(domainOf(recipient), limit);
  count(box, what);
  count(box, counted);
  const { fall_back } = box.rules();
  const allowed = fall_back?.[limit] ?? null;
  if (!fall_back || allowed === null) return;
  const now = box.settings();
  const seen = countOver(box, counted, fall_back.days);
  if (seen <= allowed || !isLooser(now.oversight_mode, fall_back.mode)) return;
  box.saveSettings({ ...now, oversight_mode: fall_back.mode });
  box.record({
    actor: SYSTEM,
    action: "mailbox.fell_back",
    detail: { from: now.oversight_mode, oversight_mode: fall_back.mode, because: limit, count: seen, limit: allowed },
  });
  box.schedule("project", now.id, box.now());
  box.schedule(
    "fell_back",
    JSON.stringify({
      ...{ from: now.oversight_mode, to: fall_back.mode, what: limit },
      ...{ count: seen, days: fall_back.days, at: box.time() },
    } satisfies FellBack),
    box.now(),
  );
  box.emitEvent("mailbox.fell_back", {
    message: null,
    data: { from: now.oversight_mode, oversight_mode: fall_back.mode },
  });
  takeBackAll(box, SYSTEM);
}
