import { z } from "zod";
import { canonical } from "../canonical-json.ts";
import { unwrap } from "../errors.ts";
import { callTenant } from "../store/mailbox-client.ts";
import type { OperationContext } from "./operation.ts";

/** A loosening waits for the operator: the first call has a code mailed to them, the second one carries it. */

export const pendingApprovalShape = z.object({
  status: z.literal("pending_approval"),
  /** In words, what the operator was asked to allow. */
  change: z.string(),
  /** Who was mailed the code. */
  sent_to: z.string(),
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
  const asked = unwrap(
    await callTenant(env, caller.tenant_id, (tenant) => tenant.askOperator(caller, change, loosening.words), {
      repeatable: false,
    }),
  );
  return {
    status: "pending_approval",
    change: loosening.words,
    ...asked,
    hint: "The operator was mailed a code. Repeat exactly this call with it as approval_code.",
  };
}
