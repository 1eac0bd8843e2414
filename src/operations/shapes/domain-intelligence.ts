import { z } from "zod";
import { DMARC_FACTS, MX_FACTS, RESEMBLANCES, SPF_FACTS, UNKNOWN_REASONS } from "../../intelligence/domain-facts.ts";
import { timestamp } from "./values.ts";
import { riskReasonShape } from "./verdict.ts";

/** What is known of the domains that mail goes to. */

const resemblanceShape = z.object({ kind: z.enum(RESEMBLANCES), twin: z.string() });

/** What is known of one registrable domain. Null: not known, or not asked. */
export const domainFactsShape = z.object({
  domain: z.string(),
  dmarc_policy: z.enum(DMARC_FACTS).nullable(),
  mx: z.enum(MX_FACTS).nullable(),
  spf: z.enum(SPF_FACTS).nullable(),
  /** Whole days since the registration. */
  age_days: z.number().nullable(),
  disposable: z.boolean(),
  blocklists: z.array(z.object({ list: z.string(), meaning: z.string() })),
  /** One of the account's own or known domains that it could be mistaken for. */
  resembles: resemblanceShape.nullable(),
  /** Sources without an answer, which is never taken for a good one. */
  unknown: z.array(z.string()),
  unknown_because: z.array(z.object({ source: z.string(), reason: z.enum(UNKNOWN_REASONS) })),
});

/** What was looked up of the domains that a message goes to, before it was judged. */
export const domainIntelligenceShape = z.object({
  /** 0 to 1, of the domains alone. */
  risk_score: z.number(),
  reasons: z.array(riskReasonShape),
  /** The weakest among the domains. */
  dmarc_policy: z.enum(DMARC_FACTS).nullable(),
  /** Sources that did not answer for one of the domains. */
  unknown: z.array(z.string()),
  domains: z.array(domainFactsShape),
  /** Domains that were not looked up, since the account's budget of new names for the day was used up. */
  over_budget: z.array(z.string()),
  looked_up_at: timestamp,
});
export type IntelligenceView = z.infer<typeof domainIntelligenceShape>;

/** What check_domain_intelligence answers. */
export const domainReportShape = domainIntelligenceShape.extend({
  domain: z.string(),
  /** One label below a public suffix: what most sources are asked about. */
  registrable_domain: z.string(),
  /** The mailbox wrote to it before. */
  known: z.boolean(),
  /** What came of the mailbox's mail to it in the last 90 days. */
  history: z.object({ bounces: z.number(), complaints: z.number(), replies: z.number() }),
});
export type DomainReport = z.infer<typeof domainReportShape>;
