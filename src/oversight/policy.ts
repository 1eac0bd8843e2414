import { NO_RISK } from "../intelligence/risk.ts";
import type { Mode } from "./modes.ts";
import { judgeAttachments } from "./rules/attachments.ts";
import { judgeBudgets } from "./rules/budgets.ts";
import { judgeContent } from "./rules/content.ts";
import { judgeLookUps } from "./rules/look-ups.ts";
import { judgeLoops } from "./rules/loops.ts";
import {
  approvedBeforehand,
  judgeBlocklist,
  judgeNewRecipients,
  judgeTemplate,
  judgeTemplatesOnly,
} from "./rules/recipients.ts";
import { judgeRisk } from "./rules/risk.ts";
import { judgeSendingHours } from "./rules/sending-hours.ts";
import type { ApprovalBeforehand, JudgedSend, Reason, Rule, RuleName, Verdict } from "./rules/verdict-type.ts";

export type {
  ApprovalBeforehand,
  JudgedFile,
  JudgedRecipient,
  JudgedSend,
  JudgedTemplate,
  Reason,
  RuleName,
  SentCounts,
  Verdict,
} from "./rules/verdict-type.ts";

/** What an operation does, as far as oversight is concerned: the rows of DESIGN.md's policy table. */
export type PolicyEffect = "send" | "read" | "annotate" | "inbound";

/**
 * What a mode does with an effect. `allow_with_copy`: allowed, and the overseer gets a copy. `mark_and_tag_only`: an
 * annotation is allowed if it marks or tags, and denied if it deletes or hides.
 */
export type PolicyVerdict = "deny" | "hold" | "allow" | "allow_with_copy" | "mark_and_tag_only";

/** DESIGN.md, "The policy table". An exhaustive Record: a mode or effect left out does not compile. */
export const POLICY: Readonly<Record<PolicyEffect, Readonly<Record<Mode, PolicyVerdict>>>> = {
  send: { read_only: "deny", gated_all: "hold", gated_send: "hold", monitored: "allow_with_copy", autonomous: "allow" },
  read: { read_only: "allow", gated_all: "hold", gated_send: "allow", monitored: "allow", autonomous: "allow" },
  annotate: {
    read_only: "mark_and_tag_only",
    gated_all: "hold",
    gated_send: "allow",
    monitored: "allow",
    autonomous: "allow",
  },
  inbound: { read_only: "allow", gated_all: "hold", gated_send: "allow", monitored: "allow", autonomous: "allow" },
};

/** An exhaustive Record: a rule left out does not compile. Of several that say the same, the first is named as the one that decided. */
const RULES: Readonly<Record<Exclude<RuleName, "mode" | "allowlist">, Rule>> = {
  templates_only: judgeTemplatesOnly,
  template: judgeTemplate,
  blocklist: judgeBlocklist,
  risk: judgeRisk,
  content: judgeContent,
  new_recipients: judgeNewRecipients,
  attachments: judgeAttachments,
  sending_hours: judgeSendingHours,
  budget: judgeBudgets,
  look_ups: judgeLookUps,
  loop: judgeLoops,
};

/** In order of precedence. */
const ACTIONS: readonly Reason["action"][] = ["deny", "block", "hold"];

/** In which mode an approval given beforehand stands in for the one the mode asks for. Under gated_all every action is held. */
const LIFTED_MODE: Mode = "gated_send";

const BEFOREHAND_WORDS: Readonly<Record<ApprovalBeforehand["kind"], string>> = {
  template: "Its template was approved by a human beforehand.",
  allowlist: "Everyone it is for was approved by a human beforehand.",
};

/**
 * What the mode alone says of a send, for those who have no message.
 * @param applied the stricter of the mailbox's and the request's mode.
 */
export function judgeByMode(applied: Mode): Verdict {
  const says = POLICY.send[applied];
  const action = says === "deny" || says === "hold" ? says : null;
  const because = {
    deny: `Nothing can be sent from this mailbox: its mode is ${applied}.`,
    hold: "In this mailbox every outgoing message waits for a person.",
    allow: "This mailbox sends without asking.",
  }[action ?? "allow"];
  return {
    verdict: action ?? "allow",
    copy: says === "allow_with_copy",
    mode: applied,
    rule: `mode ${applied}`,
    because,
    reasons: action === null ? [] : [{ rule: "mode", action, because }],
    approval: null,
    risk: NO_RISK,
  };
}

/**
 * Judges a message about to leave: by its mode, then by the rules of the policy, which only tighten: deny before block before hold
 * before allow. The one exception was made by a human beforehand: under gated_send, an approved template, or an allowlist with
 * everyone the message is for, lifts the hold of the mode, and of nothing else.
 *
 * Pure, and linear in the size of the message. It never throws for a policy that `policyIn` has taken.
 */
export function judgeSend(send: JudgedSend): Verdict {
  const { mode, risk } = send;
  const byMode = judgeByMode(mode);
  // Nothing can add to that, and reading a message costs time.
  if (byMode.verdict === "deny") return { ...byMode, risk };
  const beforehand = approvedBeforehand(send);
  const isLifted = mode === LIFTED_MODE && beforehand !== null;
  const reasons = [...(isLifted ? [] : byMode.reasons), ...Object.values(RULES).flatMap((rule) => rule(send))];
  const deciding = ACTIONS.map((action) => reasons.find((reason) => reason.action === action)).find(Boolean);
  if (deciding !== undefined) {
    const rule = deciding.rule === "mode" ? byMode.rule : deciding.rule;
    return { ...byMode, verdict: deciding.action, copy: false, rule, because: deciding.because, reasons, risk };
  }
  if (!isLifted) return { ...byMode, approval: send.template === null ? null : beforehand, risk };
  const { kind } = beforehand;
  const because = BEFOREHAND_WORDS[kind];
  return { ...byMode, verdict: "allow", rule: kind, because, reasons, approval: beforehand, risk };
}
