import { canonical } from "../../src/canonical-json.ts";
import { projectDomain } from "../../src/store/domain-owners.ts";
import type { TenantBase } from "./base.ts";
import { DOMAIN_LOOK, DOMAIN_ROW, findDomain, rowOf } from "./domain-rows.ts";

/** How a domain comes to D1, where deliveries find its keys and other tenants that it is taken. */

/** The direct way. What is decided is decided: if D1 is away the timer brings it there. */
export async function publishDomain(box: TenantBase, id: string): Promise<void> {
  if (!box.isScheduled(DOMAIN_ROW, id)) return;
  await box.flush();
  await bringDomain(box, id).catch((error) =>
    console.error(`the domain ${id} did not reach D1 and will be brought there by its timer`, error),
  );
}

/** Brings a domain to D1. @throws whatever D1 threw. */
export async function bringDomain(box: TenantBase, id: string): Promise<void> {
  const stored = findDomain(box, id);
  if (!stored?.is_owned) {
    box.commit(() => box.unschedule(DOMAIN_ROW, id));
    return;
  }
  const row = rowOf(box, stored);
  const isMine = await projectDomain(box.environment().DB, row);
  box.commit(() => {
    const now = findDomain(box, id);
    // Changed or resealed meanwhile: the timer stays, and brings that.
    if (now && canonical(rowOf(box, now)) !== canonical(row)) return;
    box.unschedule(DOMAIN_ROW, id);
    // Somebody else has it: the look finds out, and says so.
    if (now && !isMine) box.schedule(DOMAIN_LOOK, id, box.now());
  });
}
