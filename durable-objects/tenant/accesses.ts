import type { AccessEntry } from "../../src/audit/access.ts";
import type { Action } from "../../src/audit/actions.ts";
import type { Actor } from "../../src/audit/entry.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { isId } from "../../src/ids.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { SYSTEM } from "../ledger.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { RefusedAttempt } from "../tenant-rpc.ts";
import type { Timer } from "../timers.ts";
import type { TenantBase } from "./base.ts";

/** What keys read, and what they and people in the console were refused, where no mailbox records it. */

const HOUR = 3600_000;
/** So many refusals an hour have entries, of each key and session: whoever tries things must not fill the log, nor hide in it what else they tried. */
export const RECORDED_REFUSALS = 100;
/** Ends an hour; its ref is whose: a key's id, or a session's hash. */
export const REFUSALS = "refusals";

/** Records a read that is about to be answered. @returns a refusal if the key may no longer have the answer. */
export function recordAccess(box: TenantBase, caller: Caller, entry: AccessEntry): Outcome<true> {
  if (!box.isProvisioned() || box.tenant().id !== caller.tenant_id) return notFound();
  if (!box.isMine(caller)) {
    return refused("invalid_key", "This API key was revoked or narrowed while the call was under way.");
  }
  const resource = entry.resource ?? { type: "tenant", id: caller.tenant_id };
  box.commit(() => box.recordChecked({ ...entry, actor: actorOf(caller), resource }));
  return accepted(true);
}

/** Records a call that asked for what stood so already. */
export function noteUnchanged(
  box: TenantBase,
  caller: Caller,
  would_be: Action,
  resource: { type: string; id: string },
): void {
  box.commit(() => box.record({ actor: actorOf(caller), action: "nothing.changed", resource, detail: { would_be } }));
}

interface Hour extends Record<string, SqlStorageValue> {
  since: number;
  recorded: number;
  left_out: number;
}

function hourOf(box: TenantBase, ref: string): Hour | null {
  const [hour] = box.rows.exec<Hour>("SELECT since, recorded, left_out FROM refusals WHERE key_id = ?", ref).toArray();
  return hour ?? null;
}

/** What a refusal is about: whose key it was, and the account for a person's session, whose hash is nobody's business. */
function refusedThing(box: TenantBase, ref: string): { type: string; id: string } {
  return isId("key", ref) ? { type: "api_key", id: ref } : { type: "tenant", id: box.tenant().id };
}

/** Records that a key was refused something; a revoked one too. It says nothing of whether what was asked for is there. */
export function recordRefusal(box: TenantBase, caller: Caller, attempt: RefusedAttempt): void {
  noteRefusal(box, { ref: caller.key_id, actor: actorOf(caller), personal: {} }, attempt);
}

/** Records that a person was refused something in a session. @param actor who they are to the account. */
export function recordPersonRefusal(
  box: TenantBase,
  sessionHash: string,
  { person, actor }: { person: string; actor: Actor },
  attempt: RefusedAttempt,
): void {
  noteRefusal(box, { ref: sessionHash, actor, personal: { person } }, attempt);
}

/** @param who `ref` is whose hour it counts in. */
function noteRefusal(
  box: TenantBase,
  { ref, actor, personal }: { ref: string; actor: Actor; personal: { person?: string } },
  { operation, code, asked }: RefusedAttempt,
): void {
  box.commit(() => {
    if (!countRefusal(box, ref)) return;
    box.record({
      actor,
      action: "access.refused",
      resource: refusedThing(box, ref),
      detail: { operation, code },
      personal: { ...personal, asked },
    });
  });
}

/** Counts a refusal in its hour, inside `commit`. @returns whether it is one of those that have an entry. */
function countRefusal(box: TenantBase, ref: string): boolean {
  const before = hourOf(box, ref);
  // The timer may be late, and a clock may go back.
  const isOver = before !== null && Math.abs(box.now() - before.since) >= HOUR;
  if (isOver) endHour(box, ref);
  const hour = isOver ? null : before;
  if (hour && hour.recorded >= RECORDED_REFUSALS) {
    box.rows.exec("UPDATE refusals SET left_out = left_out + 1 WHERE key_id = ?", ref);
    return false;
  }
  if (hour) box.rows.exec("UPDATE refusals SET recorded = recorded + 1 WHERE key_id = ?", ref);
  else {
    box.rows.exec("INSERT INTO refusals VALUES (?, ?, 1, 0)", ref, box.now());
    box.schedule(REFUSALS, ref, box.now() + HOUR);
  }
  return true;
}

/** Serves a `refusals` timer. */
export function endRefusals(box: TenantBase, { ref }: Timer): void {
  box.commit(() => endHour(box, ref));
}

/** Inside `commit`. */
function endHour(box: TenantBase, ref: string): void {
  const count = hourOf(box, ref)?.left_out ?? 0;
  box.rows.exec("DELETE FROM refusals WHERE key_id = ?", ref);
  box.unschedule(REFUSALS, ref);
  if (count === 0) return;
  const resource = refusedThing(box, ref);
  box.record({ actor: SYSTEM, action: "access.refusals_left_out", resource, detail: { count } });
}
