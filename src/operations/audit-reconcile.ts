import { z } from "zod";
import { access } from "../audit/access.ts";
import { FAULTS, type FaultKind, REPAIRS, type RepairKind } from "../audit/reconciliation.ts";
import { callLog } from "../store/log-client.ts";
import { logName } from "./audit-checkpoints.ts";
import { defineOperation } from "./operation.ts";

/** Having a log compared with D1 and R2 now; each log does so by itself every day (docs/audit.md, "Keeping"). */

/** The table's names, as an enumeration has them. */
function namesOf<Name extends string>(table: Readonly<Record<Name, string>>): [Name, ...Name[]] {
  return Object.keys(table) as [Name, ...Name[]];
}

const seq = z.number().int().min(0);

export const reconcileAuditLog = defineOperation({
  name: "reconcile_audit_log",
  summary: "Compares a log with its copies in D1 and R2, repairs what they miss, and names what they have otherwise.",
  scope: ["admin"],
  effect: "administer",
  recorded: {
    entry(_input, body) {
      const { log = null, checked, repaired = [], faults = [], cursor = null } = body ?? {};
      const { entries = 0, segments = 0, data_keys = 0, erased_keys = 0 } = checked ?? {};
      const counts = { entries, segments, data_keys, erased_keys, repaired: repaired.length, faults: faults.length };
      return access({ action: "log.reconciled", detail: { log, ...counts, is_complete: cursor === null } });
    },
  },
  input: z.strictObject({
    log: logName.optional(),
    cursor: z.string().max(100).optional().describe("Where the step before ended; left out: from the beginning"),
  }),
  output: z.object({
    log: z.string(),
    /** How many of each this step compared. */
    checked: z.object({ entries: seq, segments: seq, data_keys: seq, erased_keys: seq }),
    /** What was missing, there again though it had left, or a data key in the place of another, and was put right. */
    repaired: z.array(
      z.object({
        what: z.enum(namesOf<RepairKind>(REPAIRS)),
        /** The stretch of the log; null for data keys. */
        first: seq.nullable(),
        last: seq.nullable(),
        count: seq,
      }),
    ),
    /** What cannot be put right; `seq` is the first entry that it is about. */
    faults: z.array(z.object({ what: z.enum(namesOf<FaultKind>(FAULTS)), seq, says: z.string() })),
    cursor: z.string().nullable(),
  }),
  rest: [{ method: "POST", path: "/v1/audit-log/reconcile" }],
  async handler({ env, caller }, { log = caller.tenant_id, cursor = null }) {
    const { faults, ...step } = await callLog(env, caller, log, (object) => object.reconcile(caller, cursor));
    const said = faults.map(({ what, seq }) => ({ what, seq, says: FAULTS[what] }));
    return { status: 200, body: { ...step, faults: said } };
  },
});
