import type { LogRpc } from "../../durable-objects/log-rpc.ts";
import type { Env } from "../env.ts";
import { type Outcome, Refused, unwrap } from "../errors.ts";
import { isId } from "../ids.ts";
import type { Caller } from "../oversight/caller.ts";
import { askMailbox, callTenant, notFound, routingOrNotFound } from "./mailbox-client.ts";

/** Calls to the object that a log lives in: a tenant's own, or a mailbox's. */

/** Reaches a log's object by the log's name alone. An id that can be no log's is `not_found`, and asks nobody. */
function atLog<T>(env: Env, log: string, call: (object: LogRpc) => Promise<T>): Promise<T> {
  if (isId("ten", log)) return callTenant(env, log, call);
  if (isId("mbx", log)) return askMailbox(env, routingOrNotFound(log), call);
  throw notFound();
}

/**
 * Calls the object of a log for a caller.
 * @param log a mailbox's id, or the caller's own tenant's.
 * @throws {Refused} what the object refused with; `not_found` for another tenant's log.
 */
export async function callLog<T>(
  env: Env,
  caller: Caller,
  log: string,
  call: (object: LogRpc) => Promise<Outcome<T>>,
): Promise<T> {
  if (isId("ten", log) && log !== caller.tenant_id) throw notFound();
  return unwrap(await atLog(env, log, call));
}

/** As `callLog`, for what anyone may ask of any log. */
export async function askLog<T>(env: Env, log: string, call: (object: LogRpc) => Promise<Outcome<T>>): Promise<T> {
  return unwrap(await atLog(env, log, call));
}

/** @returns what checks a log's checkpoints. @throws {Refused} `not_found` where there is no such log. */
export async function verifierKeyOf(env: Env, log: string): Promise<{ origin: string; verifier_key: string }> {
  const found = await atLog(env, log, (object) => object.verifierKey(log));
  if (!found) throw new Refused("not_found", "There is no log of that name.");
  return found;
}
