import { createHash } from "node:crypto";
import { access } from "../audit/access.ts";
import { canonical } from "../canonical-json.ts";
import type { Env } from "../env.ts";
import { Refused, unwrap } from "../errors.ts";
import type { Answer, Operation } from "../operations/operation.ts";
import { callTenant } from "../store/mailbox-client.ts";
import type { Admitted } from "./admit.ts";
import { recordEntry, recordServed } from "./record.ts";

/**
 * Whether an operation's answers are kept here. Sends keep theirs in the mailbox, in the transaction of the message itself;
 * what only reads, and what is public, needs none.
 */
function keepsAnswers({ scope, effect, rest }: Operation): boolean {
  return scope !== "public" && effect !== "send" && effect !== "read" && rest.some(({ method }) => method !== "GET");
}

const CONFLICTS = {
  other_call: "This idempotency key was used within 24 hours for another call.",
  erased: "This call was done, and its answer is gone: it named somebody who was erased since. It is not done again.",
} as const;

/**
 * Answers a call, and the same call again with the first answer. What was refused, or waits for the operator, may be tried
 * again; a 202 is kept only where what was made waits as what it is. A crash between the work and the keeping does the work
 * again, which its own state makes safe: a decision is taken once, a mailbox is made once.
 * @throws {Refused} `idempotency_conflict` for the same key with another call, or where the first answer was erased with somebody it named.
 */
export async function answerOnce(
  env: Env,
  operation: Operation,
  { caller, input, idempotencyKey }: Admitted,
  now: () => number,
): Promise<Answer<unknown>> {
  const work = async () => {
    const answer = await operation.handler({ env, caller, now, idempotencyKey }, input);
    await recordServed(env, operation, { caller, input }, answer);
    return answer;
  };
  if (idempotencyKey === null || !keepsAnswers(operation)) return work();
  const digest = createHash("sha256")
    .update(canonical(JSON.parse(JSON.stringify({ operation: operation.name, input }))))
    .digest("hex");
  const earlier = unwrap(
    await callTenant(env, caller.tenant_id, (tenant) => tenant.recall(caller, idempotencyKey, digest)),
  );
  if (earlier?.state === "same_call") {
    await recordEntry(env, caller, access({ action: "answer.repeated", detail: { operation: operation.name } }));
    return { status: 200, body: { ...JSON.parse(earlier.body), idempotent: true } };
  }
  if (earlier) throw new Refused("idempotency_conflict", CONFLICTS[earlier.state]);
  const answer = await work();
  if ("body" in answer && (answer.status !== 202 || operation.waitsItself)) {
    const body = JSON.stringify(answer.body);
    // The work is done: that its answer could not be kept (the key may have revoked itself) must not make it look undone.
    await callTenant(env, caller.tenant_id, (tenant) =>
      tenant.remember(caller, idempotencyKey, { digest, body }),
    ).catch((error) => console.error(`the answer of ${operation.name} could not be kept`, error));
  }
  return answer;
}
