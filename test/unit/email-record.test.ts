import { describe, expect, test } from "vitest";
import { ACTIONS, type Action } from "../../src/audit/actions.ts";
import { emailStory, partOf, REPEATABLE, type RecordedEntry } from "../../src/audit/email-record.ts";
import type { Actor, Entry } from "../../src/audit/entry.ts";
import { sentenceOf } from "../../src/audit/record-sentences.ts";

const AGENT: Actor = { type: "agent", id: "alice", agent_id: "alice", key_id: "key_1", via: "rest" };
const SYSTEM: Actor = { type: "system", id: "multimail", via: "system" };
const PERSON: Actor = { type: "human", id: "approver", via: "link" };

let seq = 0;

function entry(
  action: string,
  actor: Actor,
  detail: Entry["detail"] = {},
  personal: Record<string, unknown> | null = null,
): RecordedEntry {
  seq += 1;
  const at = new Date(Date.parse("2026-11-20T08:00:00.000Z") + seq * 1_000).toISOString();
  const base = { v: 1, log: "mbx_1", seq, id: `aud_${seq}`, at, mode: "gated_send", prev: "" } as const;
  const sealed = personal ? { sealed: { kid: "em_1", iv: "", ct: "" } } : {};
  const whole: Entry = { ...base, actor, action, resource: { type: "email", id: "em_1" }, detail, ...sealed };
  return { entry: whole, hash: `hash ${seq}`, personal };
}

const HELD = entry(
  "message.held",
  AGENT,
  {
    ...{
      status: "pending_send_approval",
      rule: "mode gated_send",
      rules: ["mode gated_send"],
      risk: 12,
      recipients: 1,
    },
    ...{ domain_risk: 5, model_id: "sample-1", model_provider: "sampler" },
  },
  { to: ["ana@b.example"], subject: "Offer", because: "Each send waits", content_hash: "aa" },
);
const OUTBOUND = [
  HELD,
  entry("notification.sent", SYSTEM, { attempt: 1, code: 250 }, { to: "ben@people.example", response: "250 ok" }),
  entry("link.opened", PERSON, { state: "open" }, { person: "ben@people.example" }),
  entry(
    "decision.counted",
    PERSON,
    { status: "pending_send_approval", approval_kind: "human_link", approval_ref: "apr_1" },
    {
      decided_by: "ben@people.example",
      reason: null,
      content_hash: "aa",
    },
  ),
  entry(
    "decision.approved",
    { ...PERSON, via: "console" },
    { status: "queued", approval_kind: "human_session", approval_ref: "apr_2", edited: true },
    { decided_by: "cy@people.example", on_behalf_of: "dee@people.example", reason: "Good price", content_hash: "bb" },
  ),
  entry("delivery.attempted", SYSTEM, { attempt: 1 }),
  entry(
    "delivery.answered",
    SYSTEM,
    {
      ...{ status: "sent", transport: "smtp", attempt: 1, accepted: 1, deferred: 0, refused: 0 },
      ...{ dkim_signed: true, dkim_selectors: ["s1", "s2"], identity_kid: "idk_1" },
    },
    { outcomes: [{ recipient: "ana@b.example", outcome: "accepted" }], signatures: { "X-MultiMail-Identity": "sig" } },
  ),
  entry(
    "delivery.returned",
    { ...SYSTEM, via: "email" },
    { position: 0, changed: true, status: "5.1.1", bounce_type: "hard" },
    {
      recipient: "ana@b.example",
      diagnostic: "no such user",
    },
  ),
];

describe("the story of a message that left", () => {
  const story = emailStory(OUTBOUND);

  test("says who wrote it, for whom, and under which mode", () => {
    expect(story).toMatchObject({
      direction: "outbound",
      author: {
        agent_id: "alice",
        key_id: "key_1",
        model_id: "sample-1",
        model_provider: "sampler",
        via: "rest",
      },
      mode: "gated_send",
      from: null,
      to: ["ana@b.example"],
      subject: "Offer",
      status: "bounced",
    });
  });

  test("says what was checked, and the content that was decided on", () => {
    expect(story.checks).toEqual({
      at: HELD.entry.at,
      rule: "mode gated_send",
      rules: ["mode gated_send"],
      because: "Each send waits",
      risk: 12,
      domain_risk: 5,
      authentication: null,
    });
    expect(story.content_hash).toBe("bb");
  });

  test("has every decision with who gave it, for whom, how, with which note, about which content", () => {
    expect(story.decisions).toMatchObject([
      { decision: "counted", decided_by: "ben@people.example", approval_kind: "human_link", via: "link", note: null },
      {
        decision: "approved",
        decided_by: "cy@people.example",
        on_behalf_of: "dee@people.example",
        approval_kind: "human_session",
        approval_ref: "apr_2",
        via: "console",
        note: "Good price",
        content_hash: "bb",
        edited: true,
      },
    ]);
  });

  test("says what was signed, and what the transport answered", () => {
    expect(story.signatures).toEqual({
      identity_kid: "idk_1",
      dkim_selectors: ["s1", "s2"],
      forms: ["X-MultiMail-Identity"],
    });
    expect(story.attempts).toMatchObject([{ attempt: 1, transport: "smtp", accepted: 1, outcomes: [{}] }]);
  });

  test("has a step for each entry, in their order", () => {
    expect(story.steps.map((step) => step.entry)).toEqual(OUTBOUND.map((each) => each.entry));
    expect(story.steps.map(({ part }) => part)).toEqual([
      ...["judged", "asked", "asked", "decided", "decided", "delivered", "delivered", "delivered"],
    ]);
  });

  test("tells it in plain sentences", () => {
    expect(story.steps.map(({ text }) => text)).toEqual([
      "The agent alice (key key_1) submitted it to ana@b.example; it waits for a person to decide, by mode gated_send: Each send waits.",
      "ben@people.example was asked to decide (try 1). The answer: 250 ok.",
      "ben@people.example opened their decision link.",
      "ben@people.example approved it by their link, and others must too.",
      "cy@people.example approved it in the console after changing it, on behalf of dee@people.example: “Good price”",
      "Attempt 1 to deliver it began.",
      "The transport (smtp) took it for 1, put off 0 and refused 0 of the recipients that were tried. It was signed with DKIM s1, s2 and the identity key idk_1.",
      "ana@b.example did not get it: it came back (hard): no such user.",
    ]);
  });
});

describe("how a sent message stands", () => {
  const sent = (accepted: number) => entry("delivery.answered", SYSTEM, { status: "sent", accepted });
  const report = (action: string, position: number, changed = true) =>
    entry(action, { ...SYSTEM, via: "email" }, { position, changed, status: "5.1.1" });
  test.each<[string, RecordedEntry[], string]>([
    ["nothing was reported", [sent(2)], "sent"],
    ["one of two has it", [sent(2), report("delivery.delivered", 0)], "sent"],
    ["both have it", [sent(2), report("delivery.delivered", 0), report("delivery.delivered", 1)], "delivered"],
    [
      "one has it, the other came back",
      [sent(2), report("delivery.delivered", 0), report("delivery.returned", 1)],
      "delivered",
    ],
    ["one of two came back", [sent(2), report("delivery.returned", 1)], "sent"],
    ["both came back", [sent(2), report("delivery.returned", 0), report("delivery.returned", 1)], "bounced"],
    ["it came back after all", [sent(1), report("delivery.delivered", 0), report("delivery.returned", 0)], "bounced"],
    ["the same report came twice", [sent(2), report("delivery.returned", 0), report("delivery.returned", 0)], "sent"],
    ["one complaint", [sent(2), report("message.complained", 1)], "complained"],
    ["a report that changed nothing", [sent(1), report("delivery.returned", 0, false)], "sent"],
    ["in two attempts", [sent(1), sent(1), report("delivery.returned", 0)], "sent"],
  ])("%s", (_name, entries, status) => {
    expect(emailStory(entries).status).toBe(status);
  });
});

describe("the same after it was erased", () => {
  const erased = OUTBOUND.map((each) => ({ ...each, personal: null }));
  const story = emailStory([...erased, entry("email.erased", AGENT)]);

  test("names nobody, says so, and keeps what happened", () => {
    const text = JSON.stringify(story);
    for (const word of ["ana@", "ben@", "cy@", "dee@", "Offer", "Good price", "no such user", '"aa"', '"bb"']) {
      expect(text).not.toContain(word);
    }
    expect(story).toMatchObject({
      subject: null,
      to: null,
      content_hash: null,
      author: { agent_id: "alice" },
      attempts: [{ accepted: 1, outcomes: null }],
      decisions: [{ decided_by: null, note: null }, { approval_ref: "apr_2" }],
    });
    expect(story.erased_at).toBe(story.steps.at(-1)?.at);
    expect(story.steps.map((step) => step.erased)).toEqual([true, true, true, true, true, false, true, true, false]);
    expect(story.steps[4]?.text).toBe("A person approved it in the console after changing it.");
    expect(story.steps[7]?.text).toBe("Recipient 1 did not get it: it came back (hard).");
  });
});

test("the story of a message that arrived says from whom, and how it was authenticated", () => {
  const story = emailStory([
    entry(
      "message.inbound_held",
      { ...SYSTEM, via: "email" },
      {
        status: "pending_inbound_approval",
        dkim_result: "pass",
        spf_result: "fail",
        dmarc_result: "pass",
        arc_result: "none",
      },
      {
        from: ["ana@b.example"],
        envelope_from: "bounce@b.example",
        envelope_to: "agent@c.example",
        subject: "Question",
      },
    ),
    entry("decision.approved", PERSON, { status: "unread" }, { decided_by: "ben@people.example" }),
    entry("message.read", AGENT, { marked: true }),
  ]);
  expect(story).toMatchObject({
    direction: "inbound",
    author: null,
    from: "ana@b.example",
    to: ["agent@c.example"],
    status: "unread",
    signatures: null,
    checks: { authentication: { dkim_result: "pass", spf_result: "fail", dmarc_result: "pass", arc_result: "none" } },
  });
  expect(story.steps[0]?.text).toBe(
    "It arrived from ana@b.example, and waits for a person to release it. DKIM pass, SPF fail, DMARC pass, ARC none.",
  );
  expect(story.steps[2]?.text).toBe("The agent alice (key key_1) read it.");
});

test("a later edit, hour or mode is told as what it is, not as a submission", () => {
  const due = entry("message.queued", SYSTEM, { status: "queued", rule: "mode monitored" }, { because: "It may go" });
  const edited = entry("message.held", AGENT, { status: "pending_send_approval", rule: "keyword" }, { because: "x" });
  expect(emailStory([due, edited]).steps.map(({ text }) => text)).toEqual([
    "Its time had come; it may leave, by mode monitored: It may go.",
    "It was judged anew; it waits for a person to decide, by keyword: x.",
  ]);
});

test.each([
  ["It needs a person.", /: It needs a person\.$/],
  ["It needs a person", /: It needs a person\.$/],
  ["And so on...", /: And so on\.\.\.\.$/],
])("a sentence ends with one full stop, where its reason is %j", (because, ending) => {
  const { entry: held } = entry("message.held", AGENT, { status: "pending_send_approval", recipients: 1 });
  expect(sentenceOf({ entry: held, personal: { to: ["ana@customer.example"], because } })).toMatch(ending);
});

test.each([
  ["The price is right.", /: “The price is right\.”$/],
  ["The price is right", /: “The price is right”$/],
])("what a person wrote is quoted as it is: %j", (reason, ending) => {
  const { entry: approved } = entry("decision.approved", PERSON, {});
  expect(sentenceOf({ entry: approved, personal: { reason } })).toMatch(ending);
});

describe.each(Object.keys(ACTIONS) as Action[])("%s", (action) => {
  test("is one sentence, whether its fields are there or not", () => {
    const { detail, personal } = ACTIONS[action];
    const whole = entry(action, AGENT, Object.fromEntries(detail.map((name) => [name, 1])));
    const opened = Object.fromEntries(personal.map((name) => [name, "words"]));
    for (const fields of [opened, {}]) {
      const text = sentenceOf({ entry: whole.entry, personal: fields });
      expect(text).toMatch(/^\S.*[.”]$/);
      expect(text).not.toMatch(/undefined|null|NaN|\[object/);
    }
    expect(sentenceOf({ entry: entry(action, SYSTEM).entry, personal: {} })).toMatch(/^\S.*\.$/);
  });
});

test("what can be repeated without end is what is read or marked, never what was decided or delivered", () => {
  expect(REPEATABLE).toContain("message.read");
  for (const action of REPEATABLE) expect(["read", "marked", "written"]).toContain(partOf(action));
  for (const action of ["message.held", "decision.approved", "delivery.answered", "email.erased"]) {
    expect(REPEATABLE).not.toContain(action);
  }
});

test("an empty story is one without an answer", () => {
  expect(emailStory([])).toMatchObject({ direction: null, author: null, mode: null, steps: [], decisions: [] });
});

describe("what was altered in D1", () => {
  const at = (index: number) => OUTBOUND[index]?.entry.seq ?? -1;
  const altered = (index: number) => ({ seq: at(index), hash: "as the log has it", stored: "null" });

  test("is a step in its place that says so, and the story rests on the others alone", () => {
    const decided = OUTBOUND.findIndex(({ entry }) => entry.action === "decision.approved");
    const told = emailStory(OUTBOUND.map((each, index) => (index === decided ? altered(decided) : each)));
    const whole = emailStory(OUTBOUND);
    expect(told.altered).toBe(1);
    expect(told.decisions).toEqual(whole.decisions.filter(({ decision }) => decision !== "approved"));
    expect(told.steps.map(({ seq }) => seq)).toEqual(whole.steps.map(({ seq }) => seq));
    expect(told.steps[decided]).toEqual({
      ...{ at: null, seq: at(decided), entry_id: null, hash: "as the log has it", part: "other" },
      ...{ text: expect.stringMatching(/^This entry was changed after it was written: /), entry: null },
      ...{ personal: null, erased: false, fault: "altered", stored: "null" },
    });
    expect(whole).toMatchObject({ altered: 0 });
    for (const { fault, stored } of whole.steps) expect([fault, stored]).toEqual([null, null]);
  });

  test("tells nothing where it is all there is", () => {
    const told = emailStory([altered(0)]);
    expect(told).toMatchObject({ direction: null, author: null, mode: null, status: null, checks: null, altered: 1 });
  });

  test("fields that do not open are not said to be erased", () => {
    const [step] = emailStory([{ ...HELD, personal: null, unreadable: true }]).steps;
    expect(step).toMatchObject({ fault: "unreadable", erased: false, personal: null });
    const [erased] = emailStory([{ ...HELD, personal: null }]).steps;
    expect(erased).toMatchObject({ fault: null, erased: true });
  });
});
