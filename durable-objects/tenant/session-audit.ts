import { newestCheckpoint } from "../ledger/checkpoints.ts";
import type { RefusedAttempt } from "../tenant-rpc.ts";
import { recordPersonRefusal } from "./accesses.ts";
import type { TenantBase } from "./base.ts";
import { personActor, session } from "./sessions.ts";

/** What is read and refused in a session, where no mailbox records it. Each step looks anew at whose session it is. */

/** @returns the operator's address; null for everybody else. */
function operatorOf(box: TenantBase, sessionHash: string): string | null {
  const found = session(box, sessionHash);
  return found?.is_operator ? found.person : null;
}

/** See TenantRpc. A mailbox's is known from the checkpoint that became an entry here, this log's own from its newest one. */
export function sizesInSession(
  box: TenantBase,
  sessionHash: string,
  logs: readonly string[],
): Record<string, number> | null {
  const person = operatorOf(box, sessionHash);
  if (person === null) return null;
  const own = box.identity().log;
  const told = box.rows
    .exec<{ log: string; size: number }>(
      "SELECT log, size FROM told_checkpoints WHERE log IN (SELECT value FROM json_each(?))",
      JSON.stringify(logs.filter((log) => log !== own)),
    )
    .toArray();
  box.commit(() => {
    box.record({
      actor: personActor(box, person),
      action: "mailboxes.listed",
      resource: { type: "tenant", id: own },
      detail: { results: logs.filter((log) => log !== own).length },
      personal: { person },
    });
  });
  const sizes = Object.fromEntries(told.map(({ log, size }) => [log, size]));
  const newest = logs.includes(own) ? newestCheckpoint(box) : null;
  return newest === null ? sizes : { ...sizes, [own]: newest.size };
}

/** See TenantRpc. */
export function recordExportInSession(box: TenantBase, sessionHash: string, log: string): boolean {
  const person = operatorOf(box, sessionHash);
  if (person === null) return false;
  box.commit(() => {
    box.record({
      actor: { type: "human", id: "operator", via: "console" },
      action: "audit.exported",
      resource: { type: "log", id: log },
      detail: { format: "ndjson", opened: false },
      personal: { person },
    });
  });
  return true;
}

/** See TenantRpc. */
export function recordQueueInSession(box: TenantBase, sessionHash: string, results: number): boolean {
  const found = session(box, sessionHash);
  if (found === null) return false;
  const { person } = found;
  box.commit(() => {
    box.record({
      actor: personActor(box, person),
      action: "pending.listed",
      resource: { type: "tenant", id: box.identity().log },
      detail: { results },
      personal: { person },
    });
  });
  return true;
}

/** See TenantRpc. */
export function recordRefusalInSession(box: TenantBase, sessionHash: string, attempt: RefusedAttempt): void {
  const found = session(box, sessionHash);
  if (found === null) return;
  const { person } = found;
  recordPersonRefusal(box, sessionHash, { person, actor: personActor(box, person) }, attempt);
}
