import { z } from "zod";
import { canonical } from "../canonical-json.ts";
import { Refused, unwrap } from "../errors.ts";
import type { Caller } from "../oversight/caller.ts";
import { callTenant } from "../store/mailbox-client.ts";
import type { OperationContext } from "./operation.ts";

/** A loosening waits for the operator: the first call has a code mailed to them, the second one carries it. */

export const pendingApprovalShape = z.object({
  status: z.literal("pending_approval"),
  /** In words, what the operator was asked to allow. */
  change: z.string(),
  /** Who was mailed the code; only keys that administer are told. */
  sent_to: z.string().optional(),
  expires_at: z.string(),
  hint: z.string(),
});
export type PendingApproval = z.infer<typeof pendingApprovalShape>;

/**
 * What the operator's code is for. It fits exactly this, by exactly this key. The words are part of it: where things changed
 * since the operator read them, so that the same call would give away something else, the code fits no more.
 */
export interface Loosening {
  operation: string;
  /** The parsed input, its `approval_code` included: it is left out of what the code is bound to. */
  input: { approval_code?: string | undefined };
  /** What is given away, in words that a person understands. */
  words: string;
  /** What the operator reads besides, which may be otherwise by the time they answer: how much there is of it now. */
  told?: string;
}

/**
 * Asks the operator, or redeems their code.
 * @returns null if the operator allowed it just now; else what to answer with status 202.
 * @throws {Refused} `invalid_approval_code`, or `rate_limited` when the operator was asked too often.
 */
export async function operatorApproval(
  context: OperationContext,
  loosening: Loosening,
): Promise<PendingApproval | null> {
  const { env, caller } = context;
  const { approval_code, ...input } = loosening.input;
  // Through JSON, which drops what was left out.
  const change = canonical(
    JSON.parse(JSON.stringify({ operation: loosening.operation, input, words: loosening.words })),
  );
  if (approval_code !== undefined) {
    unwrap(
      await callTenant(env, caller.tenant_id, (tenant) => tenant.redeemCode(caller, change, approval_code), {
        repeatable: false,
      }),
    );
    return null;
  }
  const words = loosening.told === undefined ? loosening.words : `${loosening.words}\n${loosening.told}`;
  const asked = unwrap(
    await callTenant(env, caller.tenant_id, (tenant) => tenant.askOperator(caller, change, words), {
      repeatable: false,
    }),
  );
  return {
    status: "pending_approval",
    change: words,
    ...forCaller(caller, asked),
    hint: "The operator was mailed a code. Repeat exactly this call with it as approval_code.",
  };
}

/** @returns what an asking key may know of the mail to the operator: who that is, only if it administers. */
export function forCaller(
  { scopes }: Caller,
  { sent_to, expires_at }: { sent_to: string; expires_at: string },
): { sent_to?: string; expires_at: string } {
  return scopes.includes("admin") ? { sent_to, expires_at } : { expires_at };
}

/** What an object answers to a change that would give something away. */
export interface NeedsApproval {
  needs_approval: { change: string };
}

/** The same with what the operator is told besides. */
interface NeedsApprovalOfSome {
  needs_approval: { change: string; told: string };
}

/**
 * Makes a change that may loosen: at once if it does not, else in the words that the operator allowed.
 * @param asked the operation and its input, to which the code is bound.
 * @param attempt makes the change if it gives away nothing but what `approvedWords` say.
 * @param confirmed what the operator's code means besides; done before the change.
 * @returns what `attempt` made, or what to answer with status 202.
 * @throws {Refused} as `operatorApproval`; `wrong_state` if the change gives away something else by now than what was allowed.
 */
export async function withApproval<Made extends object>(
  context: OperationContext,
  asked: Omit<Loosening, "words" | "told">,
  attempt: (approvedWords: string | null) => Promise<Made | NeedsApproval | NeedsApprovalOfSome>,
  confirmed: () => Promise<void> = async () => {},
): Promise<{ made: Made; approved: boolean } | { waiting: PendingApproval }> {
  const first = await attempt(null);
  if (!needsApproval(first)) return { made: first, approved: false };
  const { change: words, ...told } = first.needs_approval;
  const waiting = await operatorApproval(context, { ...asked, words, ...told });
  if (waiting) return { waiting };
  await confirmed();
  const second = await attempt(words);
  if (!needsApproval(second)) return { made: second, approved: true };
  throw new Refused("wrong_state", "Something was changed meanwhile, so this would give away something else.", {
    hint: "Repeat the call without approval_code.",
  });
}

function needsApproval(answer: object): answer is NeedsApproval | NeedsApprovalOfSome {
  return "needs_approval" in answer;
}
