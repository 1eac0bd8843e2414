import type { Findings } from "../../src/audit/reconciliation.ts";
import { keysAmong } from "../../src/store/audit-rows.ts";
import { FORGET_KEYS } from "./erasure.ts";
import type { Log } from "./log.ts";

/** Comparing the data keys that were destroyed with those that D1 has: a backup that is restored brings them back. */

const PAGE_KEYS = 500;

/** Has up to 500 destroyed keys taken from D1 again, where it has them. */
export async function compareKeys(log: Log, from: string, findings: Findings): Promise<string | null> {
  const sql = log.storage();
  const kids = sql
    .exec<{ kid: string }>(
      "SELECT kid FROM erased_keys WHERE in_d1 = 0 AND kid > ? ORDER BY kid LIMIT ?",
      from,
      PAGE_KEYS,
    )
    .toArray()
    .map(({ kid }) => kid);
  const back = await keysAmong(log.environment().DB, kids);
  findings.checked.erased_keys += kids.length;
  if (back.size > 0) {
    // From here on it is done as it was the first time.
    log.commit(() => {
      const all = JSON.stringify([...back]);
      sql.exec("UPDATE erased_keys SET in_d1 = 1 WHERE kid IN (SELECT value FROM json_each(?))", all);
      log.schedule(FORGET_KEYS, log.identity().log, log.now());
    });
    findings.repair("erased_keys", back.size);
  }
  return kids.length === PAGE_KEYS ? (kids.at(-1) ?? null) : null;
}
