import { describe, expect, test } from "vitest";
import type { MailboxChange } from "../../durable-objects/mailbox-rpc.ts";
import { defaultPlan } from "../../src/operations/new-mailbox.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { contradictions, whatSettingsLoosen } from "../../src/oversight/settings-loosening.ts";

const [ana, ben, eve] = ["ana@people.example", "ben@people.example", "eve@people.example"];
const DAY = 24 * 3600;

const plain: Mailbox = {
  ...defaultPlan("ten_1", "agent@agents.test"),
  id: "mbx_1",
  created_at: "2026-11-21T10:00:00.000Z",
};

function away(approver: string, delegate: string, from = "2026-12-01", until = "2026-12-24") {
  return { approver, delegate, from: `${from}T00:00:00.000Z`, until: `${until}T00:00:00.000Z` };
}

/** What a change gives away in the words that the operator reads, or null: it is made at once. */
const CHANGES: [what: string, now: Partial<Mailbox>, change: MailboxChange, words: RegExp | null][] = [
  ["a looser mode", {}, { oversight_mode: "monitored" }, /mode becomes monitored \(it is gated_send\)/],
  ["a stricter mode", {}, { oversight_mode: "gated_all" }, null],
  [
    "an approver where there was none",
    {},
    { approvers: [ana] },
    /decided by ana@people\.example \(now the operator alone\)/,
  ],
  ["another approver", { approvers: [ana] }, { approvers: [ben] }, /decided by ben@people\.example \(now ana/],
  ["one more approver", { approvers: [ana] }, { approvers: [ana, ben] }, /ana@people\.example, ben@people\.example/],
  [
    "one approver less",
    { approvers: [ana, ben] },
    { approvers: [ana] },
    /decided by ana@people\.example \(now ana.*ben/,
  ],
  ["approvers in another order", { approvers: [ana, ben] }, { approvers: [ben, ana] }, /ben@people\.example, ana/],
  ["no approver", { approvers: [ana] }, { approvers: [] }, /the operator alone/],
  ["the same approvers", { approvers: [ana] }, { approvers: [ana] }, null],
  ["a smaller quorum", { approvers: [ana, ben], quorum: 2 }, { quorum: 1 }, /one approval is enough \(now 2\)/],
  [
    "a quorum of two in place of three",
    { approvers: [ana, ben, eve], quorum: 3 },
    { quorum: 2 },
    /2 approvals are enough/,
  ],
  ["a larger quorum", { approvers: [ana, ben] }, { quorum: 2 }, null],
  ["asking one after another", {}, { escalate_after: 4 * 3600 }, /the next is asked after 4 hours \(now everyone/],
  ["asking the next later", { escalate_after: 3600 }, { escalate_after: 7200 }, /after 2 hours \(now .*after 1 hour\)/],
  ["asking the next sooner", { escalate_after: 3600 }, { escalate_after: 90 }, /after 90 seconds/],
  ["asking everyone at once", { escalate_after: 3600 }, { escalate_after: null }, /everyone is asked at once/],
  ["a later expiry", {}, { expires_after: 8 * DAY }, /waits for 8 days \(now for 7 days\)/],
  ["no expiry", {}, { expires_after: null }, /waits for ever \(now for 7 days\)/],
  ["an earlier expiry", {}, { expires_after: DAY }, null],
  ["an expiry where there was none", { expires_after: null }, { expires_after: 365 * DAY }, null],
  [
    "a delegation",
    { approvers: [ana] },
    { delegations: [away(ana, ben)] },
    /ben@people\.example decides in place of ana/,
  ],
  [
    "another delegate",
    { approvers: [ana], delegations: [away(ana, ben)] },
    { delegations: [away(ana, eve)] },
    /eve@people\.example decides in place/,
  ],
  [
    "a longer delegation",
    { approvers: [ana], delegations: [away(ana, ben)] },
    { delegations: [away(ana, ben, "2026-12-01", "2026-12-25")] },
    /until 2026-12-25/,
  ],
  [
    "an earlier delegation",
    { approvers: [ana], delegations: [away(ana, ben)] },
    { delegations: [away(ana, ben, "2026-11-30")] },
    /from 2026-11-30/,
  ],
  [
    "a shorter delegation",
    { approvers: [ana], delegations: [away(ana, ben)] },
    { delegations: [away(ana, ben, "2026-12-02", "2026-12-23")] },
    null,
  ],
  ["the end of a delegation", { approvers: [ana], delegations: [away(ana, ben)] }, { delegations: [] }, null],
  ["notifications each hour", {}, { notify: "hourly" }, /once an hour \(now at once\)/],
  ["notifications each day", { notify: "hourly" }, { notify: "daily" }, /once a day/],
  ["notifications at once", { notify: "daily" }, { notify: "at_once" }, null],
  ["the panic switch", {}, { paused: true }, null],
  ["lifting the panic switch", { paused: true }, { paused: false }, /may be sent again/],
  ["deciding when it is due", {}, { default_gate_timing: "schedule_first" }, null],
  ["no scheduling", {}, { scheduling_enabled: false }, null],
  ["scheduling", { scheduling_enabled: false }, { scheduling_enabled: true }, /scheduled/],
  ["no disclosure", {}, { ai_disclosure: false }, /AI/],
  ["copies", {}, { auto_bcc: ["x@evil.example"] }, /x@evil\.example/],
  ["the end of copies", { auto_cc: ["archive@corp.example"] }, { auto_cc: [] }, /archive@corp\.example/],
  ["deciding programs", {}, { oversight_keys_may_decide: true }, /oversight key/],
  ["no deciding programs", { oversight_keys_may_decide: true }, { oversight_keys_may_decide: false }, null],
  ["refusing what fails DMARC", {}, { dmarc_fail_action: "reject" }, null],
  ["setting it aside", {}, { dmarc_fail_action: "quarantine" }, null],
  [
    "only setting it aside",
    { dmarc_fail_action: "reject" },
    { dmarc_fail_action: "quarantine" },
    /not proven is set aside \(now refused\)/,
  ],
  [
    "only flagging it",
    { dmarc_fail_action: "quarantine" },
    { dmarc_fail_action: "flag" },
    /only flagged \(now set aside\)/,
  ],
  [
    "a trusted sealer",
    {},
    { trusted_arc_sealers: ["list.example"] },
    /fails DMARC is taken on the word of list\.example/,
  ],
  [
    "another trusted sealer",
    { trusted_arc_sealers: ["list.example"] },
    { trusted_arc_sealers: ["list.example", "evil.example"] },
    /on the word of evil\.example/,
  ],
  ["one trusted sealer less", { trusted_arc_sealers: ["list.example"] }, { trusted_arc_sealers: [] }, null],
  ["switching off", {}, { is_active: false }, null],
  ["switching on", { is_active: false }, { is_active: true }, /switched on/],
  ["a name and a signature", {}, { display_name: "Agent", signature_block: "--" }, null],
  [
    "what tightens beside what loosens",
    {},
    { oversight_mode: "gated_all", expires_after: null },
    /^For the mailbox agent@agents\.test: what nobody decides waits for ever \(now for 7 days\)\.$/,
  ],
];

describe("a change of settings", () => {
  test.each(CHANGES)("%s", (_what, now, change, words) => {
    const said = whatSettingsLoosen(change, { ...plain, ...now });
    if (words === null) expect(said).toBeNull();
    else expect(said).toMatch(words);
  });

  test.each<[string, Partial<Mailbox>, MailboxChange, RegExp | null]>([
    [
      "as a new approver",
      {},
      { approvers: [ana], approvers_pending: [ana] },
      /ana@people\.example becomes an approver/,
    ],
    [
      "as a delegate",
      { approvers: [ana] },
      { delegations: [away(ana, eve)], approvers_pending: [eve] },
      /eve@people\.example becomes an approver/,
    ],
    [
      "beside something else that loosens",
      { approvers: [ana], approvers_pending: [ana] },
      { approvers: [ana], approvers_pending: [ana], auto_cc: ["records@corp.example"] },
      /ana@people\.example becomes an approver/,
    ],
    [
      "asked for again, to be confirmed",
      { approvers: [ana], approvers_pending: [ana] },
      { approvers: [ana], approvers_pending: [ana] },
      /ana@people\.example becomes an approver/,
    ],
    [
      "who only stays when a delegation ends",
      { approvers: [ana], approvers_pending: [ana], delegations: [away(ana, ben)] },
      { delegations: [], approvers_pending: [ana] },
      null,
    ],
  ])("names whom the code would confirm: someone unknown %s", (_what, now, change, words) => {
    const said = whatSettingsLoosen(change, { ...plain, ...now });
    if (words === null) expect(said).toBeNull();
    else expect(said).toMatch(words);
  });
});

describe("settings that contradict each other", () => {
  test.each<[string, Partial<Mailbox>, string[]]>([
    ["none", { approvers: [ana, ben], quorum: 2, delegations: [away(ben, eve)] }, []],
    ["none: the operator alone, a quorum of one", {}, []],
    ["a quorum of two of the operator alone", { quorum: 2 }, ["quorum"]],
    ["a quorum above the approvers", { approvers: [ana, ben], quorum: 3 }, ["quorum"]],
    ["a delegate of nobody here", { approvers: [ana], delegations: [away(ben, eve)] }, ["delegations.0.approver"]],
    [
      "both, the second delegation only",
      { approvers: [ana], quorum: 2, delegations: [away("ANA@people.example", eve), away(ben, eve)] },
      ["quorum", "delegations.1.approver"],
    ],
  ])("%s", (_what, settings, paths) => {
    expect(contradictions({ ...plain, ...settings }).map(({ path }) => path)).toEqual(paths);
  });
});
