import { describe, expect, test } from "vitest";
import { INBOUND_STATUSES, OUTBOUND_STATUSES, type OutboundStatus } from "../../src/oversight/statuses.ts";
import {
  INBOUND_TRANSITIONS,
  type InboundEvent,
  nextInboundStatus,
  nextStatus,
  OUTBOUND_TRANSITIONS,
  type OutboundEvent,
  type OutboundFacts,
} from "../../src/oversight/transitions.ts";

const EVENTS = [...new Set(OUTBOUND_TRANSITIONS.map(({ event }) => event))];

/** Every combination of what the guards look at. */
function everyFacts(): OutboundFacts[] {
  const all: OutboundFacts[] = [];
  for (const verdict of ["allow", "hold", "deny", "block"] as const)
    for (const gate_timing of ["gate_first", "schedule_first"] as const)
      for (let bits = 0; bits < 32; bits++)
        all.push({
          verdict,
          gate_timing,
          approved: (bits & 1) > 0,
          due: (bits & 2) > 0,
          scanning: (bits & 4) > 0,
          paused: (bits & 8) > 0,
          any_accepted: (bits & 16) > 0,
        });
  return all;
}

/** The whole machine: from → event → where it may go, over all facts. What is not here cannot happen. */
const REACHABLE: Record<string, Partial<Record<OutboundEvent, OutboundStatus[]>>> = {
  "-": { submit: ["blocked", "pending_scan", "pending_send_approval", "queued", "scheduled"] },
  pending_scan: {
    scan_clear: ["blocked", "pending_send_approval", "queued", "scheduled"],
    scan_hit: ["blocked", "pending_send_approval"],
    cancel: ["cancelled"],
  },
  pending_send_approval: {
    approve: ["queued", "scheduled"],
    reject: ["rejected", "sent"],
    cancel: ["cancelled", "sent"],
    expire: ["expired", "sent"],
    edit: ["blocked", "pending_send_approval", "queued", "scheduled"],
  },
  scheduled: {
    edit: ["blocked", "pending_send_approval", "queued", "scheduled"],
    due: ["blocked", "pending_send_approval", "queued"],
    cancel: ["cancelled"],
    tighten: ["pending_send_approval"],
  },
  queued: {
    cancel: ["cancelled", "sent"],
    tighten: ["pending_send_approval"],
    attempt: ["sending"],
    give_up: ["send_failed", "sent"],
  },
  sending: { accepted: ["sent"], temp_fail: ["queued"], perm_fail: ["send_failed"], recovered: ["queued"] },
  sent: { delivered: ["delivered"], bounced: ["bounced"], complained: ["complained"] },
  delivered: { bounced: ["bounced"], complained: ["complained"] },
  bounced: {},
  complained: {},
  rejected: {},
  cancelled: {},
  blocked: {},
  expired: {},
  send_failed: {},
};

describe("the outbound machine goes exactly where the table of the design says", () => {
  test.each([null, ...OUTBOUND_STATUSES].map((from) => [from ?? "-", from] as const))("from %s", (name, from) => {
    for (const event of EVENTS) {
      const to = new Set(
        everyFacts()
          .map((facts) => nextStatus(from, event, facts))
          .filter((status) => status !== null),
      );
      expect([event, [...to].sort()]).toEqual([event, REACHABLE[name]?.[event] ?? []]);
    }
  });
});

describe("what must always hold, over every state, event and fact", () => {
  const steps = [null, ...OUTBOUND_STATUSES].flatMap((from) =>
    EVENTS.flatMap((event) =>
      everyFacts().map((facts) => ({ from, event, facts, to: nextStatus(from, event, facts) })),
    ),
  );

  test("a denied submission becomes nothing", () => {
    expect(
      steps.filter(
        ({ from, facts, to }) => from === null && facts.verdict === "deny" && !facts.scanning && to !== null,
      ),
    ).toEqual([]);
  });

  test("what is held reaches queued only by an approval", () => {
    const slipped = steps.filter(
      ({ to, facts, from, event }) =>
        to === "queued" &&
        facts.verdict !== "allow" &&
        !facts.approved &&
        !(from === "sending" && ["recovered", "temp_fail"].includes(event)),
    );
    expect(slipped).toEqual([]);
  });

  test("an approval under a mode that denies now lets nothing go", () => {
    expect(
      steps.filter(
        ({ event, facts, to }) => event === "approve" && ["deny", "block"].includes(facts.verdict) && to !== null,
      ),
    ).toEqual([]);
  });

  test("only queued mail is attempted, and nothing while paused", () => {
    const attempts = steps.filter(({ to }) => to === "sending");
    expect([...new Set(attempts.map(({ from }) => from))]).toEqual(["queued"]);
    expect(attempts.some(({ facts }) => facts.paused)).toBe(false);
  });

  test("what was handed to the transport can be neither cancelled nor taken back", () => {
    const late = steps.filter(
      ({ from, event, to }) =>
        ["sending", "sent", "delivered"].includes(from ?? "") && ["cancel", "tighten"].includes(event) && to !== null,
    );
    expect(late).toEqual([]);
  });
});

describe("the inbound machine", () => {
  const EVENTS_IN: InboundEvent[] = [...new Set(INBOUND_TRANSITIONS.map(({ event }) => event))];

  test("held mail waits, other mail is unread", () => {
    expect(nextInboundStatus(null, "arrive", true)).toBe("pending_inbound_approval");
    expect(nextInboundStatus(null, "arrive", false)).toBe("unread");
  });

  test("held mail becomes visible only by an approval", () => {
    const ways = EVENTS_IN.map((event) => [event, nextInboundStatus("pending_inbound_approval", event)]).filter(
      ([, to]) => to !== null,
    );
    expect(ways).toEqual([
      ["approve", "unread"],
      ["reject", "rejected"],
    ]);
  });

  test.each(["rejected", "deleted"] as const)("%s is the end", (from) => {
    expect(EVENTS_IN.map((event) => nextInboundStatus(from, event)).filter((to) => to !== null)).toEqual([]);
  });

  test("every status but the ends can be left", () => {
    const stuck = INBOUND_STATUSES.filter((from) =>
      EVENTS_IN.every((event) => nextInboundStatus(from, event) === null),
    );
    expect(stuck).toEqual(["deleted", "rejected"]);
  });
});
