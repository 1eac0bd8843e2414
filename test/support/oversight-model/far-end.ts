import type { Composition } from "../../../src/mail/compose.ts";
import type { MxRecord } from "../../../src/mail/dns-over-https.ts";
import type { MessageContent } from "../../../src/mail/message.ts";
import type { ApprovalRequest, Digest } from "../../../src/mail/notification.ts";
import type { SystemMail } from "../../../src/mail/system-mail.ts";
import type { Envelope, RecipientOutcome, Transport } from "../../../src/mail/transports/transport.ts";
import { findDecisionTokens, hashDecisionToken } from "../../../src/oversight/decision-links.ts";

/** The world beyond the object, in place of the modules that compose mail and hand it over: it answers as the story wants. */

/** What was handed to the transport. */
export interface Departure {
  emailId: string;
  content: MessageContent;
  recipients: string[];
}

const ANSWERS: Readonly<Record<RecipientOutcome["outcome"], number>> = { accepted: 250, deferred: 451, refused: 550 };

class FarEnd {
  /** It answers only when it is asked to. */
  isSlow = false;
  /** Who puts mail off takes it now. */
  isMended = false;
  /** Answers that it still owes, in the order of the attempts. */
  owed: (() => void)[] = [];
  /** Everything that was handed over since somebody looked. */
  departed: Departure[] = [];
  /** Links that people were mailed since somebody looked. */
  mailed: { person: string; tokenHash: string }[] = [];

  /** Counts whom it forgot. */
  private forgotten = 0;

  /** Whoever talks to it is no more: nobody waits for what it owes, and what they are about to hand over never comes. */
  forget(): void {
    this.owed = [];
    this.forgotten += 1;
  }

  reset(): void {
    Object.assign(this, { isSlow: false, isMended: false, owed: [], departed: [], mailed: [] });
  }

  outcomeFor(recipient: string): RecipientOutcome["outcome"] {
    if (recipient.startsWith("refused")) return "refused";
    return recipient.startsWith("later") && !this.isMended ? "deferred" : "accepted";
  }

  private answer(recipient: string): RecipientOutcome {
    const outcome = this.outcomeFor(recipient);
    return { recipient, outcome, code: ANSWERS[outcome], response: outcome };
  }

  /** @returns how somebody who begins now hands mail over. */
  connection(): Transport["deliver"] {
    const before = this.forgotten;
    return async (envelope, raw) => (this.forgotten === before ? this.take(envelope, raw) : forEver());
  }

  private async take(envelope: Envelope, raw: Uint8Array): Promise<RecipientOutcome[]> {
    const { content, message_id } = JSON.parse(new TextDecoder().decode(raw)) as Composition;
    this.departed.push({ emailId: message_id.slice(1, message_id.indexOf("@")), content, recipients: envelope.to });
    if (this.isSlow) await new Promise<void>((resolve) => this.owed.push(resolve));
    return envelope.to.map((recipient) => this.answer(recipient));
  }
}

export const farEnd = new FarEnd();

/** @returns what never comes. */
export function forEver(): Promise<never> {
  return new Promise(() => {});
}

/** A DNS in which every domain takes mail. */
export function dnsOverHttps() {
  const mx: MxRecord[] = [{ exchange: "mx.x.example", priority: 10 }];
  const resolver = async () => mx;
  return Object.assign(resolver, { timed: async () => ({ answer: mx, ttl: 60 }) });
}

/** Instead of MIME, the very content that was to be composed. */
export async function composeMessage({ content, message_id }: Composition): Promise<Uint8Array> {
  return new TextEncoder().encode(JSON.stringify({ content, message_id }));
}

export function transportFor(): Transport {
  return {
    name: "smtp",
    preserves_bytes: false,
    keeps_return_path: true,
    deliver: farEnd.connection(),
  };
}

/** People's mail always arrives; all that the stories need of it is the links. */
export async function sendSystemMail(_env: unknown, { to, text }: SystemMail): Promise<RecipientOutcome> {
  for (const token of findDecisionTokens(text)) farEnd.mailed.push({ person: to, tokenHash: hashDecisionToken(token) });
  return { recipient: to, outcome: "accepted", code: 250, response: "taken" };
}

const mail = (text: string) => ({ subject: "", text, html: "" });

export const notifications = {
  approvalRequestMail: ({ link }: ApprovalRequest) => mail(link),
  digestMail: ({ items }: Digest) => mail(items.map(({ link }) => link).join("\n")),
  monitoredCopyMail: () => mail(""),
  fallBackMail: () => mail(""),
};
