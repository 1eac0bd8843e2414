import { z } from "zod";
import { access } from "../audit/access.ts";
import { Refused } from "../errors.ts";
import { asEmailId, isId, pendingIdOf } from "../ids.ts";
import { domainOf } from "../mail/address.ts";
import { ANYTHING, matchesItem, type PendingFilter } from "../oversight/pending-filter.ts";
import { callMailbox, notFound, routingOrNotFound } from "../store/mailbox-client.ts";
import { findPending } from "../store/pending-search.ts";
import { cursor, flag, instant, knownAgentId, wholeNumber } from "./fields.ts";
import { defineOperation, type OperationContext } from "./operation.ts";
import { foreignCursor } from "./page-cursor.ts";
import { routeMailbox } from "./references.ts";
import { PENDING_KINDS, type PendingItem } from "./shapes/pending.ts";

/** Decides many items with an oversight key: each is a decision of its own, with its own entry, refused or taken by itself. */

const MOST_AT_ONCE = 100;
/** How many items are under way at a time; each is read whole, and an RPC carries at most 32 MiB. */
const ITEMS_AT_ONCE = 5;

const filterIn = z.strictObject({
  all: z.literal(true).optional().describe("Everything that waits; for a filter without any condition"),
  mailbox_id: z.string().min(1).max(320).optional().describe("The mailbox's id or its address"),
  kind: z.enum(PENDING_KINDS).optional(),
  agent_id: knownAgentId.optional(),
  recipient_domain: z.string().min(1).max(255).optional().describe("Some recipient is at exactly this domain"),
  rule: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe("The rule that held it, as list_pending names it; mode for any mode"),
  created_before: instant.optional(),
});

const decideIn = z
  .strictObject({
    decision: z.enum(["approve", "reject"]),
    reason: z.string().max(2_000).optional(),
    pending_ids: z.array(z.string().min(1).max(64)).min(1).max(MOST_AT_ONCE).optional(),
    filter: filterIn.optional().describe("All conditions that are given must hold"),
    limit: wholeNumber(1, MOST_AT_ONCE).default(20).describe("How many items of the filter are looked at"),
    cursor,
    dry_run: flag.default(false).describe("Says which items would be decided, and decides none"),
  })
  .refine(({ pending_ids, filter }) => (pending_ids === undefined) !== (filter === undefined), {
    error: "one of pending_ids and filter is needed, and only one",
    path: ["filter"],
  })
  .refine(({ filter }) => filter === undefined || Object.keys(filter).length > 0, {
    error: "needs a condition; all: true means everything that waits",
    path: ["filter"],
  })
  .refine(({ filter }) => filter?.all === undefined || Object.keys(filter).length === 1, {
    error: "contradicts the other conditions",
    path: ["filter", "all"],
  });

const resultShape = z.object({
  pending_id: z.string(),
  /** What the decision made of it, as decide_email answers; `would_be_decided` in a dry run. Absent where it was not decided. */
  status: z.enum(["approved", "approved_and_sent", "rejected", "pending", "would_be_decided"]).optional(),
  approval_ref: z.string().optional(),
  /** Why it was not decided. */
  code: z.string().optional(),
  error: z.string().optional(),
});
type Result = z.output<typeof resultShape>;

export const decideEmails = defineOperation({
  name: "decide_emails",
  summary:
    "Approves or rejects many held items that this key has read, by their ids or by a filter; each is its own decision and may be refused by itself.",
  scope: ["oversight"],
  effect: "decide",
  recorded: {
    // Each decision has its own entry, in its mailbox's log.
    entry: ({ filter, dry_run }, body) =>
      access({
        action: "decisions.made",
        detail: { decided: body?.decided ?? 0, results: body?.results.length ?? 0, dry_run },
        ...(filter && { personal: { query: filter } }),
      }),
  },
  input: decideIn,
  output: z.object({ decided: z.number(), results: z.array(resultShape), cursor: z.string().nullable() }),
  rest: [{ method: "POST", path: "/v1/oversight/decide-many" }],
  async handler(context, input) {
    const { ids, filter, next } = await meant(context, input);
    const results: Result[] = [];
    for (let at = 0; at < ids.length; at += ITEMS_AT_ONCE) {
      const batch = ids.slice(at, at + ITEMS_AT_ONCE);
      const done = await Promise.all(batch.map((id) => decideOne(context, id, filter, input)));
      results.push(...done.filter((result) => result !== null));
    }
    const decided = input.dry_run ? 0 : results.filter(({ status }) => status !== undefined).length;
    return { status: 200, body: { decided, results, cursor: next } };
  },
});

interface Meant {
  ids: string[];
  /** What is still to be asked of each item; null where the items were named one by one. */
  filter: PendingFilter | null;
  next: string | null;
}

/** The items that the input names, or one page of those that its filter finds, as far as the index can tell. */
async function meant(context: OperationContext, input: z.output<typeof decideIn>): Promise<Meant> {
  const { pending_ids, cursor, limit } = input;
  if (pending_ids !== undefined) {
    // One item has two names; it is decided once.
    return { ids: [...new Map(pending_ids.map((id) => [asEmailId(id) ?? id, id])).values()], filter: null, next: null };
  }
  if (cursor !== undefined && !isId("pend", cursor)) throw foreignCursor();
  const filter = await filterOf(context, input.filter ?? {});
  const page = await findPending(context.env.DB, context.caller, { limit, after: cursor ?? "" }, filter);
  return { ids: page.items.map(({ id }) => id), filter, next: page.next };
}

async function filterOf(context: OperationContext, given: z.output<typeof filterIn>): Promise<PendingFilter> {
  const { all: _all, mailbox_id, recipient_domain, ...rest } = given;
  const conditions = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return {
    ...ANYTHING,
    ...conditions,
    mailbox_id: mailbox_id === undefined ? null : await mailboxIdOf(context, mailbox_id),
    recipient_domain: recipient_domain === undefined ? null : domainOf(`@${recipient_domain}`),
  };
}

/** @returns the mailbox's id. @throws {Refused} as `routeMailbox`, and `mailbox_not_allowed`. */
async function mailboxIdOf(context: OperationContext, name: string): Promise<string> {
  const routing = await routeMailbox(context, name);
  const { id } = await callMailbox(context.env, routing, (mailbox) => mailbox.describe(context.caller));
  if (isId("mbx", name) && id !== name) throw notFound();
  return id;
}

/** Decides one item on what this key was served of it. @returns what came of it; null where the filter does not mean it, or nobody waits for it any more. */
async function decideOne(
  context: OperationContext,
  id: string,
  filter: PendingFilter | null,
  wish: z.output<typeof decideIn>,
): Promise<Result | null> {
  const { env, caller } = context;
  const emailId = asEmailId(id);
  const pending_id = emailId === null ? id : pendingIdOf(emailId);
  try {
    if (emailId === null) throw notFound();
    const routing = routingOrNotFound(pending_id);
    const [item] = await callMailbox(env, routing, (mailbox) => mailbox.pendingItems(caller, [pending_id], false));
    if (!item) throw notFound();
    const waits = item.status.startsWith("pending");
    if (filter !== null && !(waits && matchesItem(factsOf(item), filter))) return null;
    if (wish.dry_run && waits) return { pending_id, status: "would_be_decided" };
    // What waits no more is refused by its mailbox, which knows who came first.
    const decision = await callMailbox(env, routing, (mailbox) =>
      mailbox.decide(caller, {
        email_id: pending_id,
        decision: wish.decision,
        reason: wish.reason ?? null,
        content_hash: null,
      }),
    );
    return { pending_id, status: decision.status, approval_ref: decision.approval_ref };
  } catch (error) {
    return { pending_id, ...refusalOf(error, pending_id) };
  }
}

function factsOf({ agent_id, to, cc, bcc, rule }: PendingItem) {
  return { agent_id, recipients: [...to, ...cc, ...bcc].map(withoutName), rule };
}

/** @returns the address of `Name <address>`, as `formatAddress` writes it. */
function withoutName(text: string): string {
  return /<([^<>]*)>$/.exec(text)?.[1] ?? text;
}

/** One item's trouble is that item's alone: the decisions on the others are made, and must be told. */
function refusalOf(error: unknown, pendingId: string): { code: string; error: string } {
  if (error instanceof Refused) return { code: error.refusal.code, error: error.refusal.error };
  console.error(`deciding ${pendingId} among many failed`, error);
  return { code: "unavailable", error: "Its mailbox does not answer; whether it was decided, list_pending tells." };
}
