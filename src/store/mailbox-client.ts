import type { MailboxRpc } from "../../durable-objects/mailbox-rpc.ts";
import type { TenantRpc } from "../../durable-objects/tenant-rpc.ts";
import type { Env } from "../env.ts";
import { type Outcome, Refused, unwrap } from "../errors.ts";
import { type RoutingNumber, routingNumberOf } from "../ids.ts";

/** Calls to the objects. After an object was reset its old stub throws, so a fresh stub is taken and the call repeated. */

const ATTEMPTS = 3;
const FIRST_PAUSE = 50;

/** What the platform says of an error that an object's stub threw. */
interface StubError extends Error {
  retryable?: boolean;
  overloaded?: boolean;
  durableObjectReset?: boolean;
  remote?: boolean;
}

/** How the platform words it where it sets no flag. */
const RESET_WORDS = /\b(?:reset|disconnected|connection lost)\b|abort/i;

/** Whether a fresh stub may answer. An overloaded object is left in peace, and what its own code threw would be thrown again. */
export function isBrokenStub(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { retryable, overloaded, durableObjectReset, remote } = error as StubError;
  if (overloaded) return false;
  return retryable === true || durableObjectReset === true || (remote !== true && RESET_WORDS.test(error.message));
}

async function repeated<T>(call: () => Promise<T>, attempts: number): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt >= attempts || !isBrokenStub(error)) throw error;
      await new Promise((resume) => setTimeout(resume, FIRST_PAUSE * 2 ** (attempt - 1)));
    }
  }
}

/**
 * Calls a mailbox object. Its methods are safe to repeat: a submission has its id, and a decision is made once.
 * @returns what the method answered.
 * @throws {Refused} what the object refused with; otherwise whatever the platform threw in the end.
 */
export async function callMailbox<T>(
  env: Env,
  routing: RoutingNumber,
  call: (mailbox: MailboxRpc) => Promise<Outcome<T>>,
): Promise<T> {
  return unwrap(await repeated(() => call(env.MAILBOX.getByName(routing)), ATTEMPTS));
}

/** As `callMailbox`, for methods that answer people: what they show is no outcome that could be refused. */
export async function askMailbox<T>(
  env: Env,
  routing: RoutingNumber,
  call: (mailbox: MailboxRpc) => Promise<T>,
): Promise<T> {
  return repeated(() => call(env.MAILBOX.getByName(routing)), ATTEMPTS);
}

/**
 * Calls the object of the mailbox that `id` lies in.
 * @param id `mbx_…`, `em_…`, `thr_…` or `pend_…`.
 * @throws {Refused} `not_found` if `id` has not the form of one.
 */
export async function mailboxObject<T>(
  env: Env,
  id: string,
  call: (mailbox: MailboxRpc) => Promise<Outcome<T>>,
): Promise<T> {
  return callMailbox(env, routingOrNotFound(id), call);
}

/** @returns the routing number in an id. @throws {Refused} `not_found` if it has none. */
export function routingOrNotFound(id: string): RoutingNumber {
  const routing = routingNumberOf(id);
  if (routing === null) throw notFound();
  return routing;
}

/** The one answer for what is not there and for what belongs to another. */
export function notFound(): Refused {
  return new Refused("not_found", "There is nothing here by that id.");
}

/**
 * Calls a tenant object.
 * @param options `repeatable`: the method changes nothing, or the same when it is called again. Making a key and redeeming a
 *   code are not: a lost answer must not leave a second key, or call a good code used.
 */
export async function callTenant<T>(
  env: Env,
  tenantId: string,
  call: (tenant: TenantRpc) => Promise<T>,
  options: { repeatable: boolean } = { repeatable: true },
): Promise<T> {
  return repeated(() => call(env.TENANT.getByName(tenantId)), options.repeatable ? ATTEMPTS : 1);
}
