import type { AccessEntry } from "../../src/audit/access.ts";
import type { Action } from "../../src/audit/actions.ts";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { SYSTEM } from "../ledger.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { RefusedAttempt } from "../tenant-rpc.ts";
import type { Timer } from "../timers.ts";
import type { TenantBase } from "./base.ts";

/** What keys read, and what they were refused, where no mailbox records it. */

const HOUR = 3600_000;
/** A key has entries of so many refusals an hour: whoever tries things must not fill the log, nor hide in it what else they tried. */
export const RECORDED_REFUSALS = 100;
/** Ends a key's hour; its ref is the key's id. */
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

function hourOf(box: TenantBase, keyId: string): Hour | null {
  const [hour] = box.rows
    .exec<Hour>("SELECT since, recorded, left_out FROM refusals WHERE key_id = ?", keyId)
    .toArray();
  return hour ?? null;
}

/** Records that a key was refused something; a revoked one too. It says nothing of whether what was asked for is there. */
export function recordRefusal(box: TenantBase, caller: Caller, { operation, code, asked }: RefusedAttempt): void {
  box.commit(() => {
    const before = hourOf(box, caller.key_id);
    // The timer may be late, and a clock may go back.
    const isOver = before !== null && Math.abs(box.now() - before.since) >= HOUR;
    if (isOver) endHour(box, caller.key_id);
    const hour = isOver ? null : before;
    if (hour && hour.recorded >= RECORDED_REFUSALS) {
      box.rows.exec("UPDATE refusals SET left_out = left_out + 1 WHERE key_id = ?", caller.key_id);
      return;
    }
    if (hour) box.rows.exec("UPDATE refusals SET recorded = recorded + 1 WHERE key_id = ?", caller.key_id);
    else {
      box.rows.exec("INSERT INTO refusals VALUES (?, ?, 1, 0)", caller.key_id, box.now());
      box.schedule(REFUSALS, caller.key_id, box.now() + HOUR);
    }
    box.record({
      actor: actorOf(caller),
      action: "access.refused",
      resource: { type: "api_key", id: caller.key_id },
      detail: { operation, code },
      personal: { asked },
    });
  });
}

/** Serves a `refusals` timer. */
export function endRefusals(box: TenantBase, { ref }: Timer): void {
  box.commit(() => endHour(box, ref));
}

/** Inside `commit`. */
function endHour(box: TenantBase, keyId: string): void {
  const count = hourOf(box, keyId)?.left_out ?? 0;
  box.rows.exec("DELETE FROM refusals WHERE key_id = ?", keyId);
  box.unschedule(REFUSALS, keyId);
  if (count === 0) return;
  const resource = { type: "api_key", id: keyId };
  box.record({ actor: SYSTEM, action: "access.refusals_left_out", resource, detail: { count } });
}
