import { describe, expect, test } from "vitest";
import type { ArcSealer, AuthenticationChecks } from "../../src/mail/authentication-checks.ts";
import { DMARC_DEFAULTS, type DmarcSettings, dmarcOutcome } from "../../src/mail/dmarc-action.ts";
import type { AuthenticationVerdicts } from "../../src/mail/message.ts";

const LIST = "list.example";

function sealer(change: Partial<ArcSealer> = {}): ArcSealer {
  const says = { arc: "none", dmarc: "pass", dmarc_from: "bank.example" };
  return { instance: 1, domain: LIST, signed_message: true, ...says, ...change };
}

interface Judged {
  result?: string;
  disposition?: "none" | "quarantine" | "reject";
  sealers?: ArcSealer[];
  arc?: Partial<AuthenticationChecks["arc"]>;
}

function verdicts({
  result = "fail",
  disposition = "reject",
  sealers = [],
  arc = {},
}: Judged = {}): AuthenticationVerdicts {
  const check = { domain: "bank.example", reason: "It is so." };
  return {
    ...{ dkim_result: "none", dkim_domain: null, dkim_selector: null, dkim_signatures: [] },
    ...{ spf_result: "none", spf_domain: null, spf_comment: null },
    ...{ dmarc_result: result, dmarc_policy: disposition, arc_result: sealers.length ? "pass" : "none" },
    checks: {
      dkim: { ...check, result: "none" },
      spf: { ...check, result: "none" },
      dmarc: {
        ...{ ...check, result, by: null, policy: disposition, policy_domain: "bank.example" },
        ...{ org_domain: "bank.example", alignment: null, disposition },
      },
      arc: { ...check, result: sealers.length ? "pass" : "none", sealers, covers_message: true, ...arc },
    },
  };
}

const set = (change: Partial<DmarcSettings>): DmarcSettings => ({ ...DMARC_DEFAULTS, ...change });

describe("a fail gets the milder of what its domain asks for and what the mailbox is set to", () => {
  test.each([
    ["none", "flag", "flag"],
    ["none", "quarantine", "flag"],
    ["none", "reject", "flag"],
    ["quarantine", "flag", "flag"],
    ["quarantine", "quarantine", "quarantine"],
    ["quarantine", "reject", "quarantine"],
    ["reject", "flag", "flag"],
    ["reject", "quarantine", "quarantine"],
    ["reject", "reject", "reject"],
  ] as const)("asked for %s, set to %s: %s", (disposition, dmarc_fail_action, action) => {
    expect(dmarcOutcome(verdicts({ disposition }), set({ dmarc_fail_action }))).toMatchObject({
      action,
      flag: "dmarc_fail",
    });
  });
});

describe("no verdict is no way around", () => {
  test.each(["permerror", "temperror"])(
    "%s is set aside where the mailbox does more than flag, and never refused",
    (result) => {
      for (const [dmarc_fail_action, action] of [
        ["flag", "none"],
        ["quarantine", "quarantine"],
        ["reject", "quarantine"],
      ] as const) {
        expect(dmarcOutcome(verdicts({ result }), set({ dmarc_fail_action }))).toMatchObject({ action });
      }
    },
  );

  test.each(["pass", "none"])("%s is left alone", (result) => {
    expect(dmarcOutcome(verdicts({ result }), set({ dmarc_fail_action: "reject" }))).toMatchObject({
      action: "none",
      flag: null,
    });
  });
});

describe("the word of a trusted sealer", () => {
  const strict = set({ dmarc_fail_action: "reject", trusted_arc_sealers: [LIST, "hop.example"] });
  const hop = (change: Partial<ArcSealer> = {}) =>
    sealer({ instance: 2, domain: "hop.example", arc: "pass", dmarc: "fail", ...change });

  test.each<[string, Judged]>([
    ["says that it passed", { sealers: [sealer()] }],
    ["hands on to one before it who says so", { sealers: [sealer(), hop()] }],
    [
      "is asked from the newest, whatever a stranger wrote before",
      { sealers: [sealer({ domain: "evil.example" }), hop({ dmarc: "pass" })] },
    ],
  ])("%s", (_what, judged) => {
    const found = dmarcOutcome(verdicts(judged), strict);
    expect(found).toMatchObject({
      action: "none",
      flag: "dmarc_overridden",
      overridden_by: expect.stringMatching(/^(?:list|hop)\./),
    });
    expect(dmarcOutcome(verdicts(judged), set({ dmarc_fail_action: "reject" })).action).toBe("reject");
  });

  test.each<[string, Judged]>([
    ["a sealer that nobody trusts", { sealers: [sealer({ domain: "evil.example" })] }],
    ["a subdomain of a trusted one", { sealers: [sealer({ domain: "x.list.example" })] }],
    ["a name that ends alike", { sealers: [sealer({ domain: "evil-list.example" })] }],
    [
      "a stranger after the trusted one, who may have changed everything",
      { sealers: [sealer(), hop({ domain: "evil.example" })] },
    ],
    ["a stranger before, on whom the trusted one relies", { sealers: [sealer({ domain: "evil.example" }), hop()] }],
    ["a trusted one that found the chain before it broken", { sealers: [sealer(), hop({ arc: "fail" })] }],
    ["a trusted one that found DMARC failing, with nothing before it", { sealers: [sealer({ dmarc: "fail" })] }],
    ["a pass for another author", { sealers: [sealer({ dmarc_from: "evil.example" })] }],
    ["a pass for nobody in particular", { sealers: [sealer({ dmarc_from: null })] }],
    ["a seal over another's message signature", { sealers: [sealer({ signed_message: false })] }],
    ["a signature that leaves part of the message open", { sealers: [sealer()], arc: { covers_message: false } }],
    ["a chain that does not hold", { sealers: [sealer()], arc: { result: "fail" } }],
    ["a chain that could not be judged", { sealers: [sealer()], arc: { result: "temperror" } }],
  ])("is not %s", (_what, judged) => {
    expect(dmarcOutcome(verdicts(judged), strict)).toMatchObject({ action: "reject", overridden_by: null });
  });

  test("says nothing of a message without one author", () => {
    expect(dmarcOutcome(verdicts({ result: "permerror", sealers: [sealer()] }), strict).action).toBe("quarantine");
  });
});

test("what was judged before checks were kept is flagged, not refused", () => {
  const { checks: _none, ...old } = verdicts();
  expect(dmarcOutcome(old, set({ dmarc_fail_action: "reject" }))).toMatchObject({ action: "flag" });
});
