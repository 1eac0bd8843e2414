import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { decidedBy, hold, linkOf, linksOf, mailsTo, shownBy, somebody } from "../support/approvals.ts";
import {
  APPROVED_BY_PERSON,
  advanceClock,
  caller,
  checkMailbox,
  codeOf,
  decide,
  inObject,
  loosen,
  REJECTED_BY_PERSON,
  runAlarm,
  status,
} from "../support/mailbox-harness.ts";

const HOUR = 3600_000;

describe("with a quorum of two", () => {
  async function ofTwo(change = {}) {
    const people = [somebody("ana"), somebody("ben"), somebody("cleo")] as const;
    const box = await decidedBy([...people], { quorum: 2, ...change });
    const id = await hold(box);
    return { box, id, ana: people[0], ben: people[1], cleo: people[2] };
  }

  test("everyone is asked, one approval waits for another, and the second lets it go", async () => {
    const { box, id, ana, ben, cleo } = await ofTwo();
    const first = await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON);
    expect(first).toMatchObject({
      state: "decided",
      outcome: { decision: "approved_partly", just_now: true, quorum: { needed: 2, approvals: [{ by: ana }] } },
    });
    expect(await status(box, id)).toBe("pending_send_approval");
    expect(await shownBy(box, await linkOf(ben))).toMatchObject({ quorum: { needed: 2, approvals: [{ by: ana }] } });
    expect(await box.stub.decideByLink(await linkOf(ben), APPROVED_BY_PERSON)).toMatchObject({
      outcome: { decision: "approved" },
    });
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
    expect(await box.stub.decideByLink(await linkOf(cleo), REJECTED_BY_PERSON)).toMatchObject({
      state: "decided",
      outcome: { decision: "approved", decided_by: ben, just_now: false },
    });
    const actions = (await checkMailbox(box)).map(({ action }) => action);
    expect(actions.filter((action) => action.startsWith("decision."))).toEqual([
      "decision.counted",
      "decision.approved",
    ]);
  });

  test("the same person counts once, however they come", async () => {
    const { box, id, ana } = await ofTwo();
    const link = await linkOf(ana);
    await box.stub.decideByLink(link, APPROVED_BY_PERSON);
    expect(await box.stub.decideByLink(link, APPROVED_BY_PERSON)).toMatchObject({
      state: "refused",
      code: "already_decided",
    });
    const { content_hash } = await shownBy(box, link);
    const again = await box.stub.decideInSession(
      { address: ana.toUpperCase(), via: "console" },
      id,
      content_hash,
      APPROVED_BY_PERSON,
    );
    expect(again).toMatchObject({ state: "refused", code: "already_decided" });
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("a delegate and the person they stand in for are one voice", async () => {
    const [ana, ben, dora] = [somebody("ana"), somebody("ben"), somebody("dora")];
    const soon = new Date(Date.now() + HOUR).toISOString();
    const delegations = [{ approver: ana, delegate: dora, from: new Date(0).toISOString(), until: soon }];
    const box = await decidedBy([ana, ben], { quorum: 2, delegations });
    const id = await hold(box);
    expect(await mailsTo(ana)).toEqual([]);
    const link = await linkOf(dora);
    expect(await box.stub.decideByLink(link, APPROVED_BY_PERSON)).toMatchObject({
      outcome: { decision: "approved_partly" },
    });
    const hash = (await shownBy(box, await linkOf(ben))).content_hash;
    const own = await box.stub.decideInSession({ address: ana, via: "console" }, id, hash, APPROVED_BY_PERSON);
    expect(own).toMatchObject({ state: "refused", code: "already_decided" });
    expect(await box.stub.decideByLink(await linkOf(ben), APPROVED_BY_PERSON)).toMatchObject({
      outcome: { decision: "approved" },
    });
  });

  test("all oversight keys together are one voice", async () => {
    const { box, id, ana } = await ofTwo();
    const approve = { email_id: id, decision: "approve", reason: null, content_hash: null } as const;
    expect(unwrap(await decide(box, box.overseer, approve))).toMatchObject({
      status: "pending",
      quorum: { needed: 2 },
    });
    const other = caller(box.mailbox.tenant_id, ["oversight"]);
    expect(codeOf(await decide(box, other, approve))).toBe("already_decided");
    await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
  });

  test("one rejection is enough, and its reason is what the agent reads", async () => {
    const { box, id, ana, ben } = await ofTwo();
    await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON);
    await box.stub.decideByLink(await linkOf(ben), { ...REJECTED_BY_PERSON, note: "wrong price" });
    const { email } = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false }));
    expect(email).toMatchObject({ status: "rejected", decision_reason: "wrong price" });
  });

  test("raised to three, an approved message that has not left waits for the third person", async () => {
    const { box, id, ana, ben, cleo } = await ofTwo();
    unwrap(await box.stub.update(box.admin, { paused: true }, null));
    await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON);
    await box.stub.decideByLink(await linkOf(ben), APPROVED_BY_PERSON);
    expect(await status(box, id)).toBe("queued");
    unwrap(await box.stub.update(box.admin, { quorum: 3 }, null));
    expect(await status(box, id)).toBe("pending_send_approval");
    await runAlarm(box);
    for (const person of [ana, ben]) {
      expect(await box.stub.decideByLink(await linkOf(person), APPROVED_BY_PERSON)).toMatchObject({
        outcome: { decision: "approved_partly" },
      });
    }
    expect(await box.stub.decideByLink(await linkOf(cleo), APPROVED_BY_PERSON)).toMatchObject({
      outcome: { decision: "approved" },
    });
  });

  test("lowered to one, what waited already still waits for two", async () => {
    const { box, ana } = await ofTwo();
    await loosen(box, { quorum: 1 });
    expect(await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON)).toMatchObject({
      outcome: { decision: "approved_partly", quorum: { needed: 2 } },
    });
  });

  test("an approval of someone who decides no more is void", async () => {
    const { box, id, ana, ben, cleo } = await ofTwo();
    await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON);
    await loosen(box, { approvers: [ben, cleo] });
    await runAlarm(box);
    await box.stub.decideByLink(await linkOf(ben), APPROVED_BY_PERSON);
    expect(await status(box, id)).toBe("pending_send_approval");
  });

  test("fewer confirmed people than the quorum: the operator has a seat too", async () => {
    const [ana, stranger] = [somebody("ana"), somebody("stranger")];
    const box = await decidedBy([ana], { quorum: 2, approvers: [ana, stranger], approvers_pending: [stranger] });
    const id = await hold(box);
    expect(await mailsTo(stranger)).toEqual([]);
    const hash = (await shownBy(box, await linkOf(ana))).content_hash;
    await box.stub.decideByLink(await linkOf(ana), APPROVED_BY_PERSON);
    const operator = { address: "operator@people.example", via: "console" } as const;
    await box.stub.decideInSession(operator, id, hash, APPROVED_BY_PERSON);
    expect(await status(box, id)).toBe("queued");
  });
});

describe("escalation", () => {
  test("asks the next approver after the time, and no earlier", async () => {
    const people = [somebody("first"), somebody("second"), somebody("third")];
    const box = await decidedBy(people, { escalate_after: 3600 });
    const id = await hold(box);
    const asked = () => Promise.all(people.map(async (person) => (await mailsTo(person)).length));
    expect(await asked()).toEqual([1, 0, 0]);
    await advanceClock(box, HOUR / 2);
    await runAlarm(box);
    expect(await asked()).toEqual([1, 0, 0]);
    await advanceClock(box, HOUR + 1_000);
    await runAlarm(box);
    expect(await asked()).toEqual([1, 1, 0]);
    await advanceClock(box, 2 * HOUR + 2_000);
    await runAlarm(box);
    expect(await asked()).toEqual([1, 1, 1]);
    await box.stub.decideByLink(await linkOf(people[0] ?? ""), APPROVED_BY_PERSON);
    expect(await status(box, id)).toBe("queued");
  });
});

describe("a delegation", () => {
  test("begins and ends by itself, also for what waits already", async () => {
    const [ana, dora] = [somebody("ana"), somebody("dora")];
    const [from, until] = [new Date(Date.now() + HOUR).toISOString(), new Date(Date.now() + 2 * HOUR).toISOString()];
    const box = await decidedBy([ana]);
    await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, dora);
    await hold(box);
    await loosen(box, { delegations: [{ approver: ana, delegate: dora, from, until }] });
    await runAlarm(box);
    expect(await linksOf(dora)).toEqual([]);
    await advanceClock(box, HOUR + 1_000);
    await runAlarm(box);
    const link = await linkOf(dora);
    expect(await box.stub.openLink(link)).toMatchObject({ state: "open", approver: dora });
    await advanceClock(box, 2 * HOUR + 1_000);
    expect(await box.stub.decideByLink(link, APPROVED_BY_PERSON)).toMatchObject({ state: "revoked" });
  });
});

describe("an expiry", () => {
  test("per mailbox ends in expired, and null waits for ever", async () => {
    const short = await decidedBy([somebody("ana")], { expires_after: 3600 });
    const id = await hold(short);
    await advanceClock(short, HOUR + 1_000);
    await runAlarm(short);
    expect(await status(short, id)).toBe("expired");
    const approver = somebody("ana");
    const patient = await decidedBy([approver], { expires_after: null });
    const waits = await hold(patient);
    await advanceClock(patient, 5 * 365 * 24 * HOUR);
    await runAlarm(patient);
    expect(await status(patient, waits)).toBe("pending_send_approval");
    expect(await patient.stub.openLink(await linkOf(approver))).toMatchObject({ state: "open", expires_at: null });
  });
});

describe("a digest", () => {
  test.each([
    ["hourly", HOUR],
    ["daily", 24 * HOUR],
  ] as const)("%s tells of everything that waits in one mail, and again while it waits", async (notify, period) => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { notify });
    const ids = [await hold(box), await hold(box), await hold(box)];
    expect(await mailsTo(ana)).toEqual([]);
    await advanceClock(box, period);
    await runAlarm(box);
    expect(await mailsTo(ana)).toHaveLength(1);
    const links = [...new Set(await linksOf(ana))];
    expect(links).toHaveLength(3);
    await box.stub.decideByLink(links[0] ?? "", APPROVED_BY_PERSON);
    await box.stub.decideByLink(links[1] ?? "", REJECTED_BY_PERSON);
    expect(await Promise.all(ids.map((id) => status(box, id)))).toEqual([
      "queued",
      "rejected",
      "pending_send_approval",
    ]);
    await advanceClock(box, 2 * period);
    await runAlarm(box);
    expect(await mailsTo(ana)).toHaveLength(2);
    expect(new Set(await linksOf(ana))).toHaveLength(4);
    await inObject(box, (object) => expect(object.scheduled("digest")).toEqual([ana]));
  });
});
