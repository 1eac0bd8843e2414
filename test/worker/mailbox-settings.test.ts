import { describe, expect, test } from "vitest";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import {
  type Answer,
  call,
  keyOf,
  localPart,
  makeTenant,
  type RefusalBody,
  setUp,
  type TestTenant,
} from "../support/door-harness.ts";
import { withCode } from "../support/operator-codes.ts";

/** Who decides, how many, when and how they are told: the settings at the doors. */

const APPROVER = "approver@people.example";
const SECOND = "second@people.example";

/** A tenant whose operator knows two people. */
async function tenantOfTwo(): Promise<TestTenant> {
  const tenant = await makeTenant();
  await update(tenant, { approvers: [APPROVER, SECOND] }, withCode);
  return tenant;
}

async function update<Body = Mailbox>(
  tenant: TestTenant,
  json: Record<string, unknown>,
  by: typeof withCode | "at once" = "at once",
): Promise<Answer<Body>> {
  const [path, options] = [
    `/v1/mailboxes/${tenant.mailbox.id}`,
    { method: "PATCH", key: keyOf(tenant, "admin"), json },
  ] as const;
  return by === "at once" ? call<Body>(path, options) : by<Body>(tenant, path, options);
}

function away(change: Record<string, unknown> = {}) {
  return {
    approver: APPROVER,
    delegate: SECOND,
    from: "2026-12-01T08:00:00+01:00",
    until: "2026-12-24T00:00:00Z",
    ...change,
  };
}

test("a new mailbox has the defaults that protect", async () => {
  const tenant = await makeTenant();
  const made = await call<Mailbox>("/v1/mailboxes", {
    key: keyOf(tenant, "admin"),
    json: { address_local: localPart() },
  });
  expect(made).toMatchObject({
    status: 201,
    body: {
      approver_email: null,
      approvers: [],
      approvers_pending: [],
      quorum: 1,
      escalate_after: null,
      expires_after: 7 * 24 * 3600,
      delegations: [],
      notify: "at_once",
      paused: false,
      scheduling_enabled: true,
    },
  });
});

test("several approvers, a quorum and a delegate are kept, in order and in UTC", async () => {
  const tenant = await makeTenant();
  const settings = {
    approvers: [SECOND, `Boss <${APPROVER}>`],
    quorum: 2,
    escalate_after: 3600,
    expires_after: 86_400,
    delegations: [away()],
    notify: "hourly",
    default_gate_timing: "schedule_first",
  };
  const changed = await update(tenant, settings, withCode);
  const expected = {
    ...settings,
    approver_email: SECOND,
    approver_pending: false,
    approvers: [SECOND, APPROVER],
    approvers_pending: [],
    delegations: [away({ from: "2026-12-01T07:00:00.000Z", until: "2026-12-24T00:00:00.000Z" })],
  };
  expect(changed).toMatchObject({ status: 200, body: expected });
  const read = await call<Mailbox>(`/v1/mailboxes/${tenant.mailbox.id}`, { key: keyOf(tenant, "read") });
  expect(read.body).toEqual(changed.body);
});

test("the approver's old name is the first of the approvers, whichever is set", async () => {
  const tenant = await tenantOfTwo();
  expect((await update(tenant, { approver_email: SECOND }, withCode)).body).toMatchObject({
    approver_email: SECOND,
    approvers: [SECOND],
  });
  expect(
    (await update(tenant, { approver_email: APPROVER, approvers: [APPROVER, SECOND] }, withCode)).body,
  ).toMatchObject({ approver_email: APPROVER, approvers: [APPROVER, SECOND] });
  expect((await update(tenant, { approver_email: null }, withCode)).body).toMatchObject({
    approver_email: null,
    approvers: [],
  });
});

test("people whom the operator does not know are marked, each by itself, until a code names them", async () => {
  const tenant = await makeTenant();
  const made = await call<Mailbox>("/v1/mailboxes", {
    key: keyOf(tenant, "admin"),
    json: {
      address_local: localPart(),
      approvers: [APPROVER, "x@people.example"],
      delegations: [away({ delegate: "y@people.example" })],
    },
  });
  expect(made).toMatchObject({
    status: 201,
    body: { approver_pending: false, approvers_pending: ["x@people.example", "y@people.example"] },
  });
  const path = `/v1/mailboxes/${made.body.id}`;
  const ended = await call<Mailbox>(path, {
    method: "PATCH",
    key: keyOf(tenant, "admin"),
    json: { delegations: [] },
  });
  expect(ended).toMatchObject({ status: 200, body: { approvers_pending: ["x@people.example"] } });
  const confirmed = await withCode<Mailbox>(tenant, path, {
    method: "PATCH",
    key: keyOf(tenant, "admin"),
    json: { approvers: [APPROVER, "x@people.example"] },
  });
  expect(confirmed.body).toMatchObject({ approvers_pending: [] });
  const account = await call<{ approvers: string[] }>("/v1/account", { key: keyOf(tenant, "read") });
  expect(account.body.approvers).toEqual([APPROVER, "x@people.example"]);
});

test("configure_mailbox is update_mailbox, and a code for the one fits the other", async () => {
  const tenant = await makeTenant();
  const options = { method: "PATCH", key: keyOf(tenant, "admin") };
  const path = `/v1/mailboxes/${tenant.mailbox.id}`;
  expect(
    (await call<Mailbox>(`${path}/configure`, { ...options, json: { quorum: 1, paused: true } })).body,
  ).toMatchObject({
    paused: true,
  });
  const answer = await withCode<Mailbox>(tenant, `${path}/configure`, { ...options, json: { paused: false } });
  expect(answer).toMatchObject({ status: 200, body: { paused: false } });
});

describe("what people need not be asked for", () => {
  test.each<[string, Record<string, unknown>]>([
    ["a larger quorum", { quorum: 2 }],
    ["an earlier expiry", { expires_after: 300 }],
    ["the panic switch", { paused: true }],
    ["when it is decided", { default_gate_timing: "schedule_first" }],
    ["no scheduling", { scheduling_enabled: false }],
  ])("%s", async (_what, json) => {
    const tenant = await tenantOfTwo();
    expect(await update(tenant, json)).toMatchObject({ status: 200, body: json });
  });
});

const BAD: [what: string, json: Record<string, unknown>, path: string, code?: string][] = [
  ["a quorum above the approvers", { quorum: 3 }, "quorum"],
  ["no quorum", { quorum: 0 }, "quorum"],
  ["half a quorum", { quorum: 1.5 }, "quorum"],
  ["an escalation in no time", { escalate_after: 59 }, "escalate_after"],
  ["an escalation after a month", { escalate_after: 30 * 24 * 3600 + 1 }, "escalate_after"],
  ["an expiry before anyone can look", { expires_after: 299 }, "expires_after"],
  ["an expiry after a year", { expires_after: 365 * 24 * 3600 + 1 }, "expires_after"],
  ["an unknown rhythm", { notify: "never" }, "notify"],
  ["21 approvers", { approvers: Array.from({ length: 21 }, (_, i) => `a${i}@people.example`) }, "approvers"],
  ["the same person twice", { approvers: [APPROVER, "Approver+two@PEOPLE.example"] }, "approvers.1"],
  ["two names for the approver that differ", { approver_email: SECOND, approvers: [APPROVER] }, "approver_email"],
  ["nobody by one name and somebody by the other", { approver_email: null, approvers: [APPROVER] }, "approver_email"],
  ["an approver who is no address", { approvers: ["boss"] }, "approvers.0", "invalid_address"],
  ["an approver at a mailbox's domain", { approvers: ["boss@agents.test"] }, "approvers.0", "approver_is_mailbox"],
  [
    "a delegate at a mailbox's domain",
    { delegations: [away({ delegate: "x@agents.test" })] },
    "delegations.0.delegate",
    "approver_is_mailbox",
  ],
  ["a delegate of a stranger", { delegations: [away({ approver: "x@people.example" })] }, "delegations.0.approver"],
  [
    "a delegate of oneself",
    { delegations: [away({ delegate: "approver+away@people.example" })] },
    "delegations.0.delegate",
  ],
  ["a time without a zone", { delegations: [away({ from: "2026-12-01T08:00:00" })] }, "delegations.0.from"],
  ["a date that does not exist", { delegations: [away({ from: "2026-02-30T08:00:00Z" })] }, "delegations.0.from"],
  ["an end before the beginning", { delegations: [away({ until: "2026-12-01T07:00:00Z" })] }, "delegations.0.until"],
  ["an absence of more than a year", { delegations: [away({ until: "2027-12-03T00:00:00Z" })] }, "delegations.0.until"],
  [
    "two delegates at a time",
    { delegations: [away(), away({ delegate: "x@people.example", from: "2026-12-23T00:00:00Z" })] },
    "delegations.1.approver",
  ],
  [
    "a delegate who is away",
    { delegations: [away(), away({ approver: SECOND, delegate: "x@people.example" })] },
    "delegations.0.delegate",
  ],
  ["the policy's threshold", { risk_threshold: 0.5 }, "risk_threshold"],
  ["an unknown setting", { colour: "red" }, "colour"],
];

describe("a setting that cannot be is a 422 that says where, and changes nothing", () => {
  test.each(BAD)("%s", async (_what, json, path, code = "invalid_input") => {
    const tenant = await tenantOfTwo();
    const before = await call(`/v1/mailboxes/${tenant.mailbox.id}`, { key: keyOf(tenant, "read") });
    const refused = await update<RefusalBody>(tenant, json);
    expect(refused, JSON.stringify(refused.body)).toMatchObject({ status: 422, body: { code } });
    expect(refused.body.issues?.map((issue) => issue.path)).toContain(path);
    expect((await call(`/v1/mailboxes/${tenant.mailbox.id}`, { key: keyOf(tenant, "read") })).body).toEqual(
      before.body,
    );
  });

  test("at set-up with the mailbox's place in the list", async () => {
    const wish = (mailbox: Record<string, unknown>) => ({
      name: localPart("Acme"),
      operator_email: `${localPart("operator")}@people.example`,
      mailboxes: [{ address_local: localPart() }, { address_local: localPart(), ...mailbox }],
    });
    for (const [mailbox, path] of [
      [{ quorum: 2 }, "mailboxes.1.quorum"],
      [{ approvers: [APPROVER, APPROVER] }, "mailboxes.1.approvers.1"],
      [
        { approvers: [APPROVER], delegations: [away({ approver: SECOND, delegate: "x@people.example" })] },
        "mailboxes.1.delegations.0.approver",
      ],
    ] as const) {
      const { status, body } = await setUp<RefusalBody>(wish(mailbox));
      expect([status, body.issues?.[0]?.path]).toEqual([422, path]);
    }
    const { body } = await setUp(wish({ approvers: [APPROVER, SECOND], quorum: 2, expires_after: null }));
    expect(body.mailboxes[1]).toMatchObject({ quorum: 2, expires_after: null, approvers_pending: [APPROVER, SECOND] });
  });

  test("also when approvers leave: a quorum that nobody could reach any more", async () => {
    const tenant = await tenantOfTwo();
    await update(tenant, { quorum: 2 });
    expect(await update<RefusalBody>(tenant, { approvers: [APPROVER] })).toMatchObject({
      status: 422,
      body: { issues: [{ path: "quorum" }] },
    });
    const both = await update(tenant, { approvers: [APPROVER], quorum: 1 }, withCode);
    expect(both.body).toMatchObject({ approvers: [APPROVER], quorum: 1 });
  });
});
