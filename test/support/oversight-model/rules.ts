import { MODES, type Mode } from "../../../src/oversight/modes.ts";
import { OPEN_POLICY, type Policy } from "../../../src/oversight/rules/policy-type.ts";
import { contentRule } from "../judged-sends.ts";
import type { Recipient } from "./cast.ts";

/** The rules that the stories use, and what they mean, without a look at the code that judges. */

/** What a message says, as far as a rule cares. */
export const WORDS = ["hello", "delicate", "forbidden"] as const;
export type Words = (typeof WORDS)[number];

const BLOCKED: Recipient = "refused@x.example";

/** What a policy asks for. Each is a restriction: a policy with fewer of them is looser. */
export const RESTRICTIONS = [
  "holds what is delicate",
  "blocks what is forbidden",
  "has a blocklist",
  "templates only",
] as const;
export type Restriction = (typeof RESTRICTIONS)[number];

/** @returns the policy that asks for just these. */
export function policyOf(restrictions: readonly Restriction[]): Policy {
  const has = (restriction: Restriction) => restrictions.includes(restriction);
  return {
    ...OPEN_POLICY,
    templates_only: has("templates only"),
    blocklist: has("has a blocklist") ? [BLOCKED] : [],
    content: [
      ...(has("holds what is delicate")
        ? [contentRule({ name: "delicate", keywords: ["delicate"], action: "hold" })]
        : []),
      ...(has("blocks what is forbidden")
        ? [contentRule({ name: "forbidden", keywords: ["forbidden"], action: "block" })]
        : []),
    ],
  };
}

/** What is judged: the message, and what of it a human approved beforehand. */
export interface JudgedMessage {
  mode: Mode;
  words: string;
  to: readonly string[];
  isAllowlisted: boolean;
  isTemplate: boolean;
}

/** @returns what mode and rules say: deny before block before hold before allow. */
export function verdictOn(
  message: JudgedMessage,
  restrictions: readonly Restriction[],
): "allow" | "hold" | "block" | "deny" {
  const has = (restriction: Restriction) => restrictions.includes(restriction);
  const { mode, words, to, isAllowlisted, isTemplate } = message;
  if (mode === "read_only") return "deny";
  if (has("templates only") && !isTemplate) return "deny";
  if (has("blocks what is forbidden") && words.includes("forbidden")) return "block";
  if (has("has a blocklist") && to.includes(BLOCKED)) return "block";
  if (has("holds what is delicate") && words.includes("delicate")) return "hold";
  if (mode === "gated_all") return "hold";
  return mode === "gated_send" && !isTemplate && !isAllowlisted ? "hold" : "allow";
}

/** @returns whether the first mode is stricter. */
export function isStricter(a: Mode, b: Mode): boolean {
  return MODES.indexOf(a) < MODES.indexOf(b);
}
