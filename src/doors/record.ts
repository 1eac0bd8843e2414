import type { AccessEntry } from "../audit/access.ts";
import type { Env } from "../env.ts";
import { ERROR_STATUS, type ErrorCode, Refused, unwrap } from "../errors.ts";
import type { Answer, Operation } from "../operations/operation.ts";
import { type Caller, tenantOf } from "../oversight/caller.ts";
import { callTenant } from "../store/mailbox-client.ts";
import type { Admitted } from "./admit.ts";

/** What a door writes into the audit log of the caller's tenant: what was read where no object sees who asks, and what was refused. */

/** Has an entry written. @throws {Refused} `invalid_key` if the key may not have the answer any more; whatever the object threw. */
export async function recordEntry(env: Env, caller: Caller, entry: AccessEntry): Promise<void> {
  if (tenantOf(caller) === null) return;
  unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.recordAccess(caller, entry)));
}

/** Records a call that was served, before its answer leaves: what cannot be recorded is not answered. @throws as `recordEntry`. */
export async function recordServed(
  env: Env,
  { recorded }: Pick<Operation, "recorded">,
  { caller, input }: Pick<Admitted, "caller" | "input">,
  answer: Answer<unknown>,
): Promise<void> {
  // Anyone's reads of what is public are nobody's business.
  if (recorded === "by_its_object" || tenantOf(caller) === null) return;
  const entry = recorded.entry(input, "body" in answer ? answer.body : null);
  if (entry !== null) await recordEntry(env, caller, entry);
}

/** Statuses of refusals that tell of an attempt to go beyond what a key may: what it may not, what is not there for it, and what is not as it took it to be. */
const ATTEMPTS: ReadonlySet<number> = new Set([401, 403, 404, 409]);

export function isAttempt(code: ErrorCode): boolean {
  return ATTEMPTS.has(ERROR_STATUS[code]);
}

/** Fields that name a thing or a person, whatever operation they are of. */
const NAMES: ReadonlySet<string> = new Set([
  ...["mailbox_id", "mailbox_ids", "mailbox", "from", "from_address", "email_id", "message_id", "thread_id"],
  ...["pending_id", "pending_ids", "draft_id", "template_id", "entry_id", "domain_id", "id", "agent_id", "tenant_id"],
  ...["kid", "key", "filename", "address", "recipient", "domain", "log", "email", "contact", "erasure_id", "since_id"],
]);
const MAX_NAMES = 20;
const MAX_CHARACTERS = 320;

function textsIn(value: unknown): string[] {
  const values = Array.isArray(value) ? value : [value];
  return values.filter((each) => typeof each === "string").map((each) => each.slice(0, MAX_CHARACTERS));
}

/**
 * @param sources path parameters, the query and the body, as far as they were read.
 * @returns what a call names, as it names it; never more than fits an entry.
 */
export function namedIn(sources: readonly unknown[]): Record<string, string[]> {
  const named: Record<string, string[]> = {};
  let left = MAX_NAMES;
  for (const source of sources) {
    if (typeof source !== "object" || source === null) continue;
    for (const [field, value] of Object.entries(source)) {
      const texts = NAMES.has(field) ? textsIn(value).slice(0, left) : [];
      if (texts.length === 0) continue;
      left -= texts.length;
      named[field] = [...new Set([...(named[field] ?? []), ...texts])];
    }
  }
  return named;
}

/**
 * Records a refusal in the log of the caller's own tenant. It takes as long, and says as much, for what belongs to another as for
 * what was never made.
 */
export async function recordRefused(
  env: Env,
  operation: string,
  caller: Caller,
  { error, asked }: { error: unknown; asked: Record<string, string[]> },
): Promise<void> {
  if (!(error instanceof Refused) || tenantOf(caller) === null) return;
  const { code } = error.refusal;
  if (!isAttempt(code)) return;
  await callTenant(env, caller.tenant_id, (tenant) => tenant.recordRefusal(caller, { operation, code, asked }));
}
