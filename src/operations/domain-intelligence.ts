import { z } from "zod";
import { Refused } from "../errors.ts";
import type { RoutingNumber } from "../ids.ts";
import { readDomainName } from "../mail/domain-name.ts";
import { isLooser } from "../oversight/modes.ts";
import { listMailboxes } from "../store/directory.ts";
import { callMailbox, routingOrNotFound } from "../store/mailbox-client.ts";
import { agreed } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { findMailbox, mailboxNames } from "./references.ts";
import { domainReportShape } from "./shapes/domain-intelligence.ts";
import type { Mailbox } from "./shapes/mailbox.ts";

/** A look-up at a name that the caller chose. It tells others that name, so it has the effect of a send. */

/** A key that can use more mailboxes than this names the one whose rules are to apply. */
const MAX_MAILBOXES = 100;

/** The mailbox that is named; else the strictest that the key can use, so that leaving it out opens nothing. */
async function mailboxFor(context: OperationContext, name: string | null): Promise<RoutingNumber> {
  if (name !== null) return findMailbox(context, name);
  const { mailboxes, more } = await listMailboxes(context.env.DB, context.caller, { limit: MAX_MAILBOXES, after: "" });
  const strictest = mailboxes.reduce<Mailbox | null>(
    (found, mailbox) => (found && isLooser(mailbox.oversight_mode, found.oversight_mode) ? found : mailbox),
    null,
  );
  if (strictest && !more) return routingOrNotFound(strictest.id);
  const problem = strictest
    ? "is needed, since this key can use many mailboxes"
    : "is needed, since this key can use none by itself";
  throw new Refused("invalid_input", `mailbox_id ${problem}.`, { issues: [{ path: "mailbox_id", message: problem }] });
}

/** @returns the domain in A-labels, which is what a human is shown; an issue is added for what is none. */
function domainIn(text: string, context: z.RefinementCtx): string {
  try {
    return readDomainName(text);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    context.addIssue({ code: "custom", path: ["domain"], message: error.message.replace(/\.$/, "") });
    return z.NEVER;
  }
}

export const checkDomainIntelligence = defineOperation({
  name: "check_domain_intelligence",
  summary:
    "Looks up what is known of a domain before anything is sent there. Where sends wait for a human, so does this.",
  scope: ["send"],
  effect: "send",
  recorded: "by_its_object",
  askedAs: "read",
  input: z
    .strictObject({
      domain: z.string().min(1).max(2_000).describe("In Unicode or A-labels"),
      mailbox_id: mailboxNames.mailbox_id.describe(
        "Whose rules and history apply; left out: the strictest mailbox that the key can use",
      ),
      mailbox: mailboxNames.mailbox,
    })
    .transform(({ domain, mailbox_id, mailbox }, context) => ({
      domain: domainIn(domain, context),
      mailbox: agreed({ mailbox_id, mailbox }, ["mailbox_id", "mailbox"], context, false),
    })),
  output: domainReportShape,
  rest: [{ method: "GET", path: "/v1/domain-intelligence/{domain}" }],
  async handler(context, { domain, mailbox }) {
    const body = await callMailbox(context.env, await mailboxFor(context, mailbox), (object) =>
      object.checkDomain(context.caller, domain),
    );
    return { status: 200, body };
  },
});
