import { accepted, type Outcome } from "../../src/errors.ts";
import type { Mailbox, MailboxRecord } from "../../src/operations/shapes/mailbox.ts";
import type { AllowlistEntry } from "../../src/operations/shapes/recipient-lists.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { Policy } from "../../src/oversight/rules/policy-type.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { trackRecord } from "./counts.ts";
import { listAllowlist } from "./policy-settings.ts";

/** What callers read of a mailbox itself. Each answer is an audit entry. */

function note(box: MailboxBase, caller: Caller, action: "mailbox.read" | "policy.read" | "track_record.read"): void {
  box.commit(() => box.record({ actor: actorOf(caller), action }));
}

export function readSettings(box: MailboxBase, caller: Caller): Outcome<Mailbox> {
  note(box, caller, "mailbox.read");
  return accepted(box.settings());
}

export function readPolicy(box: MailboxBase, caller: Caller): Outcome<Policy> {
  note(box, caller, "policy.read");
  return accepted(box.rules());
}

export function readTrackRecord(box: MailboxBase, caller: Caller): Outcome<MailboxRecord> {
  note(box, caller, "track_record.read");
  return accepted(trackRecord(box));
}

export function readAllowlist(
  box: MailboxBase,
  caller: Caller,
  page: { limit: number; cursor: string | null },
): Outcome<{ entries: AllowlistEntry[]; cursor: string | null }> {
  const listed = listAllowlist(box, page);
  const detail = { results: listed.entries.length };
  box.commit(() => box.record({ actor: actorOf(caller), action: "allowlist.listed", detail }));
  return accepted(listed);
}
