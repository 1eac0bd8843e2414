import { createHash } from "node:crypto";
import { comparableAddress } from "./address.ts";

/** Whom not to write to, and why. */

/** In the order of their weight: of two reasons for one address the first here stays. */
export const SUPPRESSION_REASONS = ["complaint", "manual", "hard_bounce", "soft_bounces", "unsubscribed"] as const;
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number];

/** So many different messages that came back from a full or failing mailbox within the period suppress its address. */
export const SOFT_BOUNCES = 3;
export const SOFT_BOUNCE_PERIOD = 14 * 24 * 3600_000;

/** An address that is not to be written to. */
export interface Suppressed {
  /** In comparable form. */
  address: string;
  reason: SuppressionReason;
}

const CAME_BACK: readonly SuppressionReason[] = ["hard_bounce", "soft_bounces"];

/**
 * @param mail `ordered`: the operator had the recipient sent a copy of everything, or what arrives passed on to them. A key can enter
 *   an address, and must not so end what watches it: only what came back from there does.
 * @returns whether a reason keeps this mail back: who unsubscribed wants no promotional mail, and still wants their receipts.
 */
export function keepsBack(
  reason: SuppressionReason,
  { promotional, ordered = false }: { promotional: boolean; ordered?: boolean },
): boolean {
  if (ordered) return CAME_BACK.includes(reason);
  return reason !== "unsubscribed" || promotional;
}

/** @returns whether `next` takes the place of `present`. */
export function outweighs(next: SuppressionReason, present: SuppressionReason): boolean {
  return SUPPRESSION_REASONS.indexOf(next) < SUPPRESSION_REASONS.indexOf(present);
}

/** @returns by what an address of a tenant is found where it is not written down: lower-case hex. */
export function addressHash(tenantId: string, address: string): string {
  return createHash("sha256")
    .update(`${tenantId}\0${comparableAddress(address)}`)
    .digest("hex");
}
