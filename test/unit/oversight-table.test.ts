import { describe, expect, test } from "vitest";
import { MODES, type Mode } from "../../src/oversight/modes.ts";
import { type JudgedSend, judgeSend, POLICY, type PolicyEffect, type Verdict } from "../../src/oversight/policy.ts";
import { nextRequestStatus, type RequestEvent, type RequestStatus } from "../../src/oversight/request-transitions.ts";
import type { InboundStatus, OutboundStatus } from "../../src/oversight/statuses.ts";
import {
  type InboundEvent,
  nextInboundStatus,
  nextStatus,
  type OutboundEvent,
} from "../../src/oversight/transitions.ts";
import { attachmentRule, contentRule, policy, recipient, send } from "../support/judged-sends.ts";
import {
  EFFECTS,
  EVERY_FACTS,
  INBOUND,
  inboundSpec,
  OUTBOUND,
  outboundSpec,
  REQUESTS,
  requestSpec,
  VERDICTS,
  WHO_MAY,
} from "../support/oversight-table.ts";
import { readTable, type Table } from "../support/written-table.ts";

/** The whole of oversight, walked: each combination of mode, effect, rule, state, event and fact does what the tables say. */

describe("every combination is in exactly one row", () => {
  const TABLES: [string, Table, number][] = [
    ["what a mode does with an effect", EFFECTS, 5 * 4],
    ["what is said of a message about to leave", VERDICTS, 5 * 4 * 3],
    ["a message on its way out", OUTBOUND, 15 * 19 * 256],
    ["a message that came in", INBOUND, 9 * 9 * 2],
    ["a request", REQUESTS, 7 * 6],
    ["who may do what", WHO_MAY, 11 * 16],
  ];
  test.each(TABLES)("%s", (_what, { combinations, faults }, size) => {
    expect(faults).toEqual([]);
    expect(combinations).toHaveLength(size);
  });

  const COLUMNS = { from: ["a", "b"], event: ["x", "y"] } as const;
  test.each([
    ["a combination without a row", "a | * | 1", ["no row has b | x", "no row has b | y"]],
    ["two rows that say the same", "* | * | 1\n a | x | 1", ["two rows have a | x"]],
    ["two rows that contradict each other", "a, b | x | 1\n a | * | 2\n b | any other | 3", ["two rows have a | x"]],
  ])("%s is noticed", (_what, text, faults) => {
    expect(readTable(COLUMNS, text).faults).toEqual(faults);
  });

  test.each([["a | z | 1"], ["c | x | 1"], ["a | x"], ["a | x | 1 | 2"]])("“%s” is no row", (text) => {
    expect(() => readTable(COLUMNS, text)).toThrow();
  });
});

test("each mode does with each effect what the table says", () => {
  for (const [mode, effect] of EFFECTS.combinations) {
    expect([mode, effect, POLICY[effect as PolicyEffect][mode as Mode]]).toEqual([
      mode,
      effect,
      EFFECTS.at([mode as string, effect as string]),
    ]);
  }
});

const ANA = "ana@customer.example";

/** Every rule, in every way in which it applies, and what else of the message it does not go together with. */
const RULES: { says: string; rule: string; parts: Partial<JudgedSend>; never?: string[] }[] = [
  { says: "none", rule: "", parts: {} },
  { says: "hold", rule: "risk", parts: { policy: policy({ risk_hold: 0.5 }), risk: { score: 0.5, reasons: [] } } },
  { says: "block", rule: "risk", parts: { policy: policy({ risk_block: 0.5 }), risk: { score: 0.5, reasons: [] } } },
  ...(["hold", "block"] as const).flatMap((action) => [
    {
      says: action,
      rule: "content",
      parts: { policy: policy({ content: [contentRule({ keywords: ["morning"], action })] }) },
    },
    {
      says: action,
      rule: "attachments",
      parts: {
        policy: policy({ attachments: [attachmentRule({ action })] }),
        attachments: [{ name: "a.pdf", content_type: "application/pdf", size: 1 }],
      },
    },
    // Whoever is on the allowlist is not new.
    {
      says: action,
      rule: "new_recipients",
      parts: { policy: policy({ new_recipients: action }) },
      never: ["allowlist"],
    },
  ]),
  { says: "block", rule: "blocklist", parts: { policy: policy({ blocklist: [ANA] }) } },
  {
    says: "hold",
    rule: "sending_hours",
    parts: { policy: policy({ sending_hours: { time_zone: "UTC", days: ["thu"], from: "09:00", until: "17:00" } }) },
  },
  { says: "hold", rule: "budget", parts: { policy: policy({ budgets: { ...policy().budgets, per_day: 0 } }) } },
  { says: "deny", rule: "templates_only", parts: { policy: policy({ templates_only: true }) }, never: ["template"] },
  {
    says: "deny",
    rule: "template",
    parts: { template: { id: "tpl_1", approval_ref: "apr_template", allowed_domains: [] } },
    never: ["nothing", "allowlist"],
  },
];

const BEFOREHAND: Record<string, Partial<JudgedSend>> = {
  nothing: {},
  allowlist: { recipients: [recipient(ANA, { allowlisted: "apr_entry" })] },
  template: { template: { id: "tpl_1", approval_ref: "apr_template" } },
};

/** A verdict in the words of the table. */
function words({ verdict, rule, copy, approval, mode }: Verdict, ruleName: string): string {
  const who = rule === `mode ${mode}` ? "mode" : rule === ruleName ? "rule" : rule;
  const isOwn = approval?.kind === rule ? ", which is its approval" : "";
  const other = approval && !isOwn ? `, and the ${approval.kind} is its approval` : "";
  return `${verdict}: the ${who}${copy ? ", with a copy" : ""}${isOwn}${other}`;
}

describe("each mode, with each rule and each approval beforehand, says what the table says", () => {
  const cases = VERDICTS.combinations.flatMap(([mode = "", says = "", beforehand = ""]) =>
    RULES.filter((rule) => rule.says === says && !rule.never?.includes(beforehand)).map(
      (rule) => [mode as Mode, `${says} ${rule.rule}`.trim(), beforehand, rule] as const,
    ),
  );

  test.each(cases)("%s, rule: %s, approved beforehand: %s", (mode, _rule, beforehand, { says, rule, parts }) => {
    const verdict = judgeSend(send({ ...BEFOREHAND[beforehand], ...parts, mode }));
    expect(words(verdict, rule)).toBe(VERDICTS.at([mode, says, beforehand]));
    const refs: Record<string, string | undefined> = { allowlist: "apr_entry", template: "apr_template" };
    if (verdict.approval) expect(verdict.approval.ref).toBe(refs[verdict.approval.kind]);
  });

  test("all five modes, all rules and all three approvals beforehand are among them", () => {
    expect(new Set(cases.map(([mode]) => mode))).toEqual(new Set(MODES));
    expect(new Set(cases.map(([, , beforehand]) => beforehand))).toEqual(new Set(Object.keys(BEFOREHAND)));
    expect(new Set(cases.map(([, , , each]) => each))).toEqual(new Set(RULES));
  });
});

/** Rows in which the code and the table differ; a list, since one change can make thousands differ. */
function differences(table: Table, code: (combination: string[]) => string | null): string[] {
  return table.combinations
    .filter((combination) => (code(combination) ?? "stays") !== table.at(combination))
    .map((combination) => `${combination.join(" | ")}: ${code(combination) ?? "stays"}, not ${table.at(combination)}`)
    .slice(0, 20);
}

describe("from each state each event goes where the table says, whatever the facts", () => {
  test("of a message on its way out", () => {
    const wrong: string[] = [];
    for (const from of [null, ...new Set(OUTBOUND.combinations.map(([state]) => state))].slice(1)) {
      const state = from === "-" ? null : (from as OutboundStatus);
      for (const event of new Set(OUTBOUND.combinations.map(([, each]) => each as OutboundEvent))) {
        for (const facts of EVERY_FACTS) {
          const [is, should] = [nextStatus(state, event, facts), outboundSpec(state, event, facts)];
          if (is !== should) wrong.push(`${from} | ${event} | ${JSON.stringify(facts)}: ${is}, not ${should}`);
        }
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test("of a message that came in", () => {
    expect(
      differences(INBOUND, ([from, event, held]) =>
        nextInboundStatus(from === "-" ? null : (from as InboundStatus), event as InboundEvent, held === "held"),
      ),
    ).toEqual([]);
    expect(inboundSpec(null, "arrive", true)).toBe("pending_inbound_approval");
  });

  test("of a request", () => {
    expect(
      differences(REQUESTS, ([from, event]) =>
        nextRequestStatus(from === "-" ? null : (from as RequestStatus), event as RequestEvent),
      ),
    ).toEqual([]);
    expect(requestSpec(null, "ask")).toBe("pending");
  });
});
