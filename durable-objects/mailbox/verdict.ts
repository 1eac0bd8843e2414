import { askableDomain, type DomainIntelligence } from "../../src/intelligence/domain-facts.ts";
import { assessRisk, NO_RISK, type Risk } from "../../src/intelligence/risk.ts";
import { comparableAddress, domainOf, withoutTag } from "../../src/mail/address.ts";
import type { MessageContent } from "../../src/mail/message.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import { stricter } from "../../src/oversight/modes.ts";
import { judgeSend, POLICY, type SentCounts, type Verdict } from "../../src/oversight/policy.ts";
import { findRecipientPattern } from "../../src/oversight/recipient-patterns.ts";
import type { Budgets } from "../../src/oversight/rules/policy-type.ts";
import type { Submission } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { automaticCopies } from "./content.ts";
import { countOver } from "./counts.ts";
import { type Enclosed, enclosedIn, withEnclosed } from "./forward-content.ts";
import { answersToProgram } from "./loops.ts";
import { type Bodies, contentOf, isStanding, type Message, outboundOf } from "./messages.ts";
import { isTemplateInForce } from "./templates.ts";

/** Gathers what the mailbox knows of a message about to leave, and asks the rules. */

const HOUR = 3600_000;
const BOUNCE_DAYS = 30;

/** What is judged. */
export interface Judged {
  mode: Mode;
  content: MessageContent;
  tags: Record<string, string>;
  template: Submission["template"];
  /** Null or left out: a new thread. */
  thread_id?: string | null;
  /** What was looked up of the recipients' domains; null or left out: nothing. */
  intelligence?: DomainIntelligence | null;
  /** The message that is attached; null or left out: none. */
  enclosed?: Enclosed | null;
}

/**
 * @param at whether the rules of the moment (sending hours, budgets) are asked too, or only those that stand at all times: what
 *   was let go once is not held again because an hour has passed.
 */
export function judge(
  box: MailboxBase,
  { mode, content: own, tags, template, thread_id = null, intelligence = null, enclosed = null }: Judged,
  at: "moment" | "standing",
): Verdict {
  const mailbox = box.settings();
  const policy = box.rules();
  const content = withEnclosed(own, enclosed);
  const recipients = [...content.to, ...content.cc, ...content.bcc].map(({ address }) => address);
  const known = box.history.knownRecipients(recipients.map(comparableAddress));
  const allowed = new Map(box.allowedRecipients().map(({ recipient, approval_ref }) => [recipient, approval_ref]));
  const automatic = automaticCopies(mailbox);
  return judgeSend({
    mode,
    policy,
    recipients: recipients.map((address) => ({
      address,
      automatic: automatic.has(comparableAddress(address)),
      known: known.has(comparableAddress(address)),
      allowlisted: allowed.get(findRecipientPattern([...allowed.keys()], address) ?? "") ?? null,
    })),
    subject: content.subject,
    text: content.text ?? "",
    html: content.html,
    tags,
    attachments: content.attachments.map(({ name, content_type, size }) => ({ name, content_type, size })),
    template:
      template && isTemplateInForce(box, template)
        ? {
            id: template.id,
            approval_ref: template.approval_ref,
            ...(template.allowed_domains && { allowed_domains: template.allowed_domains }),
          }
        : null,
    // Where the mode lets nothing be sent nobody asks, and reading a message costs time.
    risk: POLICY.send[mode] === "deny" ? NO_RISK : riskOf(box, content, known, intelligence),
    over_budget: overBudget(recipients, intelligence),
    moment:
      at === "moment"
        ? {
            now: box.now(),
            sent: sentCounts(box, policy.budgets, recipients),
            answers_to_program: answersToProgram(box, thread_id),
          }
        : null,
  });
}

/** Those whom the message is for: an edit may have left others out since. */
function overBudget(recipients: readonly string[], intelligence: DomainIntelligence | null): string[] {
  const domains = new Set(recipients.map((address) => askableDomain(domainOf(address))));
  return (intelligence?.over_budget ?? []).filter((domain) => domains.has(domain));
}

function riskOf(
  box: MailboxBase,
  content: MessageContent,
  known: ReadonlySet<string>,
  intelligence: DomainIntelligence | null,
): Risk {
  const recipients = [...content.to, ...content.cc, ...content.bcc].map(({ address }) => address);
  const domains = box.history.knownDomains();
  const knownDomains = box.history.areKnownDomains(recipients.map(domainOf));
  return assessRisk({
    recipients: recipients.map((address) => ({
      address,
      known: known.has(comparableAddress(address)),
      domain_known: knownDomains.has(domainOf(address)),
    })),
    known_domains: domains,
    looked_up: intelligence?.domains ?? [],
    history: box.history.domainHistory(recipients.map(domainOf)),
    now: box.now(),
    attachments: content.attachments.map(({ name, content_type }) => ({ name, content_type })),
    recent_bounces: countOver(box, "bounced", BOUNCE_DAYS),
    subject: content.subject,
    text: content.text ?? "",
    html: content.html,
  });
}

/** Counted only where a budget asks, and no further than it asks. */
function sentCounts(box: MailboxBase, budgets: Budgets, recipients: readonly string[]): SentCounts {
  const { per_hour, per_day, per_recipient_per_hour, per_recipient_per_day } = budgets;
  const since = (recipient: string, span: number, budget: number | null) =>
    budget === null ? 0 : box.history.countLetGo(recipient, box.now() - span, budget + 1);
  const each = per_recipient_per_hour !== null || per_recipient_per_day !== null ? recipients : [];
  return {
    hour: since("", HOUR, per_hour),
    day: since("", 24 * HOUR, per_day),
    recipients: Object.fromEntries(
      each.map((address) => [
        comparableAddress(address),
        {
          hour: since(withoutTag(comparableAddress(address)), HOUR, per_recipient_per_hour),
          day: since(withoutTag(comparableAddress(address)), 24 * HOUR, per_recipient_per_day),
        },
      ]),
    ),
  };
}

/** What mode and rules say of a stored message now, whatever they said when it was submitted. */
export function judgeMessage(box: MailboxBase, message: Message, bodies: Bodies, at: "moment" | "standing"): Verdict {
  const { requested_mode, template, intelligence = null, verdict } = outboundOf(message);
  if (isStanding(message)) return verdict;
  const { oversight_mode } = box.settings();
  return judge(
    box,
    {
      mode: requested_mode === null ? oversight_mode : stricter(oversight_mode, requested_mode),
      content: contentOf(message, bodies),
      tags: message.record.tags,
      template,
      thread_id: message.thread_id,
      intelligence,
      enclosed: enclosedIn(box, message),
    },
    at,
  );
}
