import { brokenDomain } from "../mail/domain-words.ts";
import { findDomainOwner } from "../store/domain-owners.ts";
import { ownDomainOf } from "../store/identity-directory.ts";
import type { OperationContext } from "./operation.ts";
import type { SendAnswer } from "./shapes/sending.ts";

/**
 * Says with what a send answered that its domain is broken. Mail from the deployment's own domain costs no look-up.
 * @returns the answer, with the reason why the message waits added to its sentence.
 */
export async function withBrokenDomain(
  { env, caller }: Pick<OperationContext, "env" | "caller">,
  answer: SendAnswer,
): Promise<SendAnswer> {
  const { dkim_domain, status, message } = answer;
  if (dkim_domain === ownDomainOf(env.MAIL_DOMAIN) || status === "blocked") return answer;
  const owner = await findDomainOwner(env.DB, dkim_domain);
  const isWell = owner?.tenant_id === caller.tenant_id && owner.status === "verified" && owner.unaligned_since === null;
  return isWell ? answer : { ...answer, message: `${message} ${brokenDomain(dkim_domain)}`.trim() };
}
