import { comparableAddress } from "../../src/mail/address.ts";
import { deliveryReportOf, type ProviderEvent } from "../../src/mail/cloudflare-email-events.ts";
import type { RecipientOutcome } from "../../src/mail/transports/transport.ts";
import type { ReturnedMail, ReturnedOutcome } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import type { DeliveryRow, Message } from "./messages.ts";
import { takeReturned } from "./returned-mail.ts";

/** What a provider's events say of messages, by the id that it gave each recipient's copy. */

/** Remembers what the provider called each copy that it took. Inside `commit`. */
export function keepProviderIds(box: MailboxBase, { seq }: Message, outcomes: readonly RecipientOutcome[]): void {
  const rows = new Map(box.messages.deliveries(seq).map((row) => [comparableAddress(row.recipient), row.position]));
  for (const { recipient, provider_id } of outcomes) {
    const position = rows.get(comparableAddress(recipient));
    if (provider_id === undefined || position === undefined) continue;
    box.storage().exec("INSERT OR IGNORE INTO provider_copies VALUES (?, ?, ?)", provider_id, seq, position);
  }
}

/** Whose copy an event is about: the id and the recipient must both be of one that we handed over. */
function copyOf(box: MailboxBase, { provider_id, recipient }: ProviderEvent) {
  const copies = box
    .storage()
    .exec<Pick<DeliveryRow, "position" | "recipient"> & { email_id: string }>(
      `SELECT messages.id AS email_id, position, deliveries.recipient FROM provider_copies
        JOIN deliveries USING (seq, position) JOIN messages USING (seq) WHERE provider_id = ?`,
      provider_id,
    )
    .toArray();
  return copies.find((copy) => comparableAddress(copy.recipient) === comparableAddress(recipient)) ?? null;
}

function reportOf(event: ProviderEvent): ReturnedMail["report"] {
  const report = deliveryReportOf(event);
  return report ? { kind: "delivery", report } : { kind: "feedback", type: "abuse", means: "complaint" };
}

/** Takes an event as the report that it is. `unknown`: no copy of that name went to that recipient, and nothing is changed. */
export function takeProviderEvent(box: MailboxBase, event: ProviderEvent): ReturnedOutcome {
  const copy = copyOf(box, event);
  if (copy === null) return "unknown";
  const { email_id, position } = copy;
  return takeReturned(box, {
    email_id,
    position,
    raw_key: null,
    rfc_message_id: event.event_id,
    report: reportOf(event),
  });
}
