import { z } from "zod";
import { modeSchema } from "./values.ts";

/** What mode and rules say of a message. */

export const riskReasonShape = z.object({ reason: z.string(), weight: z.number(), because: z.string() });

/** Why a rule tightened the verdict on a message. */
export const reasonShape = z.object({
  rule: z.string(),
  action: z.enum(["hold", "block", "deny"]),
  because: z.string(),
});

export const riskShape = z.object({
  /** 0 to 1. */
  score: z.number(),
  reasons: z.array(riskReasonShape),
});

export const verdictShape = z.object({
  outcome: z.enum(["allow", "hold", "deny", "block"]),
  rule: z.string(),
  because: z.string(),
  reasons: z.array(reasonShape),
  oversight_mode: modeSchema,
  risk: riskShape,
});
