import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import type { Tally } from "../support/oversight-model/play.ts";

/**
 * Stories of agents, approvers, oversight keys, an admin and clocks, drawn at random and played on the real object; after each step
 * everything that must hold is checked (`watch.ts`), against what should be (`reference.ts`). A story that breaks something is cut
 * down to what matters and told in sentences. Each run plays the same ones; `SEED=random` draws others, `SEED=…` plays those of such a
 * run again, `SLOW=1` ten times as many.
 */

// vitest ends the context of a mock's factory with what workerd has not; there it only saves time.
await vi.hoisted(async () => {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  AsyncLocalStorage.prototype.disable = () => {};
});

// Composing, look-ups and handing over have tests of their own, and take ten times as long as all the rest.
vi.mock("../../src/mail/compose.ts", async (original) => ({
  ...(await original<object>()),
  composeMessage: (await import("../support/oversight-model/far-end.ts")).composeMessage,
}));
vi.mock("../../src/mail/dns-over-https.ts", async (original) => ({
  ...(await original<object>()),
  dnsOverHttps: (await import("../support/oversight-model/far-end.ts")).dnsOverHttps,
}));
vi.mock("../../src/mail/transports/choose.ts", async (original) => ({
  ...(await original<object>()),
  transportFor: (await import("../support/oversight-model/far-end.ts")).transportFor,
}));
vi.mock("../../src/mail/system-mail.ts", async (original) => ({
  ...(await original<object>()),
  sendSystemMail: (await import("../support/oversight-model/far-end.ts")).sendSystemMail,
}));
vi.mock("../../src/mail/notification.ts", async (original) => ({
  ...(await original<object>()),
  ...(await import("../support/oversight-model/far-end.ts")).notifications,
}));

// The worker under test has loaded the modules already, with what they import: loaded anew, they import what stands in for it.
vi.resetModules();
const { playStory } = await import("../support/oversight-model/play.ts");
const { anyBeginning, anySteps, anyStepsWithEvictions } = await import("../support/oversight-model/steps.ts");
const { World } = await import("../support/oversight-model/world.ts");

const RUNS = (inject("slow") ? 10 : 1) * 10_000;
const EVICTED_RUNS = (inject("slow") ? 10 : 1) * 100;
const MINUTE = 60_000;

/** Long stories find what needs a long way; short ones are many. */
const stories = fc.oneof({ weight: 2, arbitrary: anySteps(25) }, { weight: 1, arbitrary: anySteps(60) });

/** What the object complained of where nobody is told. */
const complained: string[] = [];
const complaints = () => complained.splice(0);
const said = (part: unknown) => (part instanceof Error ? part.stack : String(part));

beforeAll(() => {
  vi.spyOn(console, "error").mockImplementation((...parts) => complained.push(parts.map(said).join(" ")));
});
afterAll(() => {
  vi.restoreAllMocks();
});

/** Plays stories until one breaks. @throws Error with the story, cut down to what matters. */
async function playAll<T extends [unknown, ...unknown[]]>(property: fc.IAsyncProperty<T>, runs: number): Promise<void> {
  const seed = inject("seed");
  const { failed, errorInstance, numRuns, ...rest } = await fc.check(property, {
    numRuns: runs,
    ...(seed !== null && { seed }),
  });
  if (!failed) return;
  const told = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  throw new Error(`After ${numRuns} stories, with SEED=${rest.seed}:\n${told}`);
}

/** What ten thousand stories cannot have missed: how their steps ended, and which steps of the tables were taken. */
const MET = [
  ...["send → pending_send_approval", "send → queued", "send → scheduled", "send → blocked", "send → denied_by_mode"],
  ...["send → denied_by_policy", "edit → pending_send_approval", "edit → scheduled", "edit → queued", "edit → blocked"],
  ...["edit → denied_by_policy", "edit → agent_not_allowed", "edit → wrong_state", "cancel → cancelled"],
  ...["cancel → wrong_state", "cancel → not_found", "cancel → agent_not_allowed"],
  ...["key decides → queued", "key decides → pending_send_approval", "key decides → rejected"],
  ...["key decides → approved", "key decides → already_decided", "key decides → self_decision"],
  ...["key decides → oversight_keys_disabled", "key decides → content_changed", "key decides → content_not_seen"],
  ...[
    "key decides → not_a_decider",
    "key decides → wrong_state",
    "person decides → queued",
    "person decides → rejected",
  ],
  ...["person decides → scheduled", "person decides → pending_send_approval", "person decides → already_decided"],
  ...["person decides → approved", "person decides → unread", "person decides → content_changed"],
  ...["person decides → unknown", "person decides → late", "person decides → not_a_decider"],
  ...["link decides → queued", "link decides → rejected", "link decides → pending_send_approval"],
  ...["link decides → approved", "link decides → late", "link decides → revoked", "link decides → expired"],
  ...["link comes back → 1 withdrawn", "set → done", "set → needs the operator", "set → invalid_input"],
  ...["set rules → done", "set rules → needs the operator", "allow → done", "allow → needs the operator"],
  ...["query → ok", "query → held", "query → invalid_approval_ref", "query → not_found", "query → wrong_state"],
  ...["ask for more rope → pending", "propose template → pending", "delete template → ok"],
  ...["outgoing: pending_send_approval → queued", "outgoing: pending_send_approval → scheduled"],
  ...["outgoing: pending_send_approval → rejected", "outgoing: pending_send_approval → cancelled"],
  ...["outgoing: pending_send_approval → expired", "outgoing: pending_send_approval → blocked"],
  ...["outgoing: pending_send_approval → sent", "outgoing: scheduled → queued", "outgoing: scheduled → cancelled"],
  ...["outgoing: scheduled → pending_send_approval", "outgoing: queued → pending_send_approval"],
  ...["outgoing: queued → sending", "outgoing: queued → cancelled", "outgoing: queued → sent"],
  ...["outgoing: queued → send_failed", "outgoing: sending → sent", "outgoing: sending → queued"],
  ...["outgoing: sending → send_failed", "incoming: pending_inbound_approval → unread"],
  ...["incoming: pending_inbound_approval → rejected", "asked: pending → approved", "asked: pending → rejected"],
  ...[
    "asked: pending → expired",
    "asked: pending → cancelled",
    "asked: approved → consumed",
    "asked: approved → expired",
  ],
];

describe("whatever agents, people and clocks do, oversight holds after each step", () => {
  test(
    `in ${RUNS} stories`,
    async () => {
      const world = new World();
      const tally: Tally = new Map();
      await playAll(
        fc.asyncProperty(anyBeginning, stories, (beginning, steps) =>
          playStory(world, beginning, steps, { tally, complaints }),
        ),
        RUNS,
      );
      await world.end();
      expect(MET.filter((what) => !tally.has(what))).toEqual([]);
    },
    (inject("slow") ? 150 : 15) * MINUTE,
  );

  test(
    `in ${EVICTED_RUNS} stories in which the platform throws the object away`,
    async () => {
      await playAll(
        fc.asyncProperty(anyBeginning, anyStepsWithEvictions(60), async (beginning, steps) => {
          const world = new World();
          await playStory(world, beginning, steps, { tally: new Map(), complaints });
          await world.end();
        }),
        EVICTED_RUNS,
      );
    },
    (inject("slow") ? 20 : 5) * MINUTE,
  );
});
