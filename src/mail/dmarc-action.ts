import type { ArcSealer, AuthenticationChecks, DmarcRequest } from "./authentication-checks.ts";
import type { AuthenticationVerdicts } from "./message.ts";

/** What a mailbox does with mail whose author is not proven. Pure: settings and verdicts in, an action out. */

/** From the mildest to the strictest. */
export const DMARC_FAIL_ACTIONS = ["flag", "quarantine", "reject"] as const;
export type DmarcFailAction = (typeof DMARC_FAIL_ACTIONS)[number];

export interface DmarcSettings {
  dmarc_fail_action: DmarcFailAction;
  /** Domains whose word counts for what DKIM and SPF said before they passed a message on (RFC 8617 §7.2.1). */
  trusted_arc_sealers: string[];
}

/** A mailbox that says nothing else flags what fails, and believes no other server. */
export const DMARC_DEFAULTS: Readonly<DmarcSettings> = { dmarc_fail_action: "flag", trusted_arc_sealers: [] };

export interface DmarcOutcome {
  action: "none" | DmarcFailAction;
  /** The flag that the message gets; null for none. */
  flag: "dmarc_fail" | "dmarc_undecided" | "dmarc_overridden" | null;
  /** Why, in a sentence; null where DMARC did not fail. */
  reason: string | null;
  /** The sealer on whose word a failed message is taken as if it had passed; null for none. */
  overridden_by: string | null;
}

const NOTHING: DmarcOutcome = { action: "none", flag: null, reason: null, overridden_by: null };

/**
 * The hop on whose word a failed DMARC check counts as passed: going back from the newest, each must be trusted, and say either
 * that it found DMARC passed for this very author, or that the chain before it held, which hands the question on.
 */
function vouching({ dmarc, arc }: AuthenticationChecks, trusted: readonly string[]): ArcSealer | null {
  if (arc.result !== "pass" || !arc.covers_message) return null;
  for (const sealer of arc.sealers.toReversed()) {
    if (!sealer.signed_message || !trusted.includes(sealer.domain)) return null;
    if (sealer.dmarc === "pass" && sealer.dmarc_from !== null)
      return sealer.dmarc_from === dmarc.domain ? sealer : null;
    if (sealer.arc !== "pass") return null;
  }
  return null;
}

/** What the domain's owner asks for is as far as any mailbox goes: rejecting more would lose mail that nobody called forged. */
function mildest(request: DmarcRequest, setting: DmarcFailAction): DmarcFailAction {
  const asked: DmarcFailAction = request === "none" ? "flag" : request;
  return DMARC_FAIL_ACTIONS[Math.min(DMARC_FAIL_ACTIONS.indexOf(asked), DMARC_FAIL_ACTIONS.indexOf(setting))] ?? "flag";
}

const UNDECIDED: readonly string[] = ["permerror", "temperror"];

/**
 * Decides what becomes of a message.
 *
 * `fail`: the milder of what the domain asks for and what the mailbox is set to, so `p=none` is only ever flagged. No verdict at
 * all (two authors, a header too large to judge, a DNS that did not answer): set aside where the mailbox does more than flag,
 * never refused, or a second From would be the way around.
 */
export function dmarcOutcome(verdicts: AuthenticationVerdicts, settings: DmarcSettings): DmarcOutcome {
  const { checks, dmarc_result } = verdicts;
  if (dmarc_result === "fail") {
    const sealer = checks ? vouching(checks, settings.trusted_arc_sealers) : null;
    if (sealer) {
      const reason = `DMARC fails here and passed at ${sealer.domain}, whose seal this mailbox trusts.`;
      return { action: "none", flag: "dmarc_overridden", reason, overridden_by: sealer.domain };
    }
    const action = mildest(checks?.dmarc.disposition ?? "none", settings.dmarc_fail_action);
    return { ...NOTHING, action, flag: "dmarc_fail", reason: checks?.dmarc.reason ?? "DMARC failed." };
  }
  if (!UNDECIDED.includes(dmarc_result) || settings.dmarc_fail_action === "flag") return NOTHING;
  const reason = checks?.dmarc.reason ?? "DMARC could not be judged.";
  return { ...NOTHING, action: "quarantine", flag: "dmarc_undecided", reason };
}
