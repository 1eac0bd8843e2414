import fc from "fast-check";
import { MODES, type Mode } from "../../../src/oversight/modes.ts";
import {
  AGENTS,
  type Agent,
  PEOPLE,
  type PersonName,
  RECIPIENTS,
  type Recipient,
  WATCHERS,
  type Watcher,
} from "./cast.ts";
import { RESTRICTIONS, type Restriction, WORDS, type Words } from "./rules.ts";

/** What can happen in a story: plain data, so that a story can be cut down to what matters and told. */

/** Which of the items there are; a number is counted back from the newest. */
export interface Which {
  back: number;
  /** Only among those that wait. */
  open: boolean;
}

interface Decides {
  item: Which;
  decision: "approve" | "reject";
}

/** What an approver makes of a message first. */
export interface ChangeByApprover {
  /** Null: as it is. */
  words: Words | null;
  /** A recipient that is not to get it. */
  without: Recipient | null;
}

/** Whether the operator's code is brought for a change, and which one. */
export type Code = "none" | "the operator's" | "an older one";

/** A change of settings. */
export type Setting =
  | { set: "mode"; to: Mode }
  | { set: "quorum"; to: 1 | 2 | 3 }
  | { set: "approvers"; to: PersonName[] }
  | { set: "delegate"; approver: PersonName; delegate: PersonName; hours: number }
  | { set: "keys decide"; to: boolean }
  | { set: "paused"; to: boolean };

export type Query =
  | { ask: "list" }
  | { ask: "read"; item: Which }
  | { ask: "mark"; item: Which; as: "read" | "archived" | "deleted" };

export type Step =
  | {
      kind: "send";
      by: Agent;
      words: Words;
      to: Recipient[];
      minutes: number | null;
      gate: "gate_first" | "schedule_first";
      mode: Mode | null;
      template: number | null;
    }
  | {
      kind: "edit";
      by: Agent | "its author";
      item: Which;
      words: Words | null;
      to: Recipient[] | null;
      minutes: number | null;
    }
  | { kind: "cancel"; by: Agent | Watcher; item: Which }
  | { kind: "look"; by: Watcher; item: Which }
  | ({
      kind: "key decides";
      by: Watcher;
      looks: boolean;
      names: "nothing" | "what it saw" | "something else";
    } & Decides)
  | ({ kind: "person decides"; by: PersonName; looks: boolean; edit: ChangeByApprover | null } & Decides)
  | {
      kind: "link decides";
      link: number;
      decision: "approve" | "reject";
      looks: boolean;
      edit: ChangeByApprover | null;
    }
  | { kind: "link comes back"; link: number }
  | { kind: "set"; setting: Setting; code: Code }
  | { kind: "set rules"; to: Restriction[]; code: Code }
  | { kind: "allow"; recipient: Recipient; code: Code }
  | { kind: "disallow"; recipient: Recipient }
  | { kind: "confirm"; person: PersonName }
  | { kind: "tenant pauses"; agent: Agent | null; paused: boolean }
  | { kind: "propose template"; by: Agent; of: number | null }
  | { kind: "delete template"; by: Agent; which: number }
  | { kind: "ask for more rope"; by: Agent; to: Mode }
  | { kind: "take more rope"; by: Agent; item: Which; code: Code }
  | { kind: "query"; by: Agent | Watcher; query: Query; approval: "none" | "again" | "any" }
  | { kind: "mail arrives" }
  | { kind: "time passes"; minutes: number; alarm: boolean }
  | { kind: "far end"; slow: boolean; mended: boolean }
  | { kind: "far end answers" }
  | { kind: "something is away"; tenant: boolean; index: boolean }
  | { kind: "restart" }
  | { kind: "evict" };

/** How a mailbox is at the beginning. */
export interface Beginning {
  mode: Mode;
  quorum: 1 | 2 | 3;
  approvers: PersonName[];
  keysDecide: boolean;
  /** Hours; null: what waits does so for ever. */
  expiresAfter: number | null;
  /** Hours; null: everyone is asked at once. */
  escalateAfter: number | null;
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 2 });
const agent = fc.constantFrom(...AGENTS);
const watcher = fc.constantFrom(...WATCHERS);
const recipient = fc.constantFrom(...RECIPIENTS);
const words = fc.constantFrom(...WORDS);
const mode = fc.constantFrom<Mode>(
  "gated_send",
  "gated_send",
  "gated_all",
  "gated_all",
  "monitored",
  "autonomous",
  ...MODES,
);
const quorum = fc.constantFrom(1 as const, 2 as const, 3 as const);
const toSome = fc.constantFrom<Recipient[]>(
  ["taken@x.example"],
  ["taken@x.example", "later@x.example"],
  ["later@x.example"],
  ["refused@x.example"],
  ["taken@x.example", "refused@x.example"],
);
const minutesAhead = fc.constantFrom(10, 90, 26 * 60, 26 * 60);
const which = fc.record({ back: fc.constantFrom(0, 0, 0, 1, 1, 2, 3), open: fc.boolean() });
const waiting = fc.record({
  back: fc.constantFrom(0, 0, 0, 1, 2),
  open: fc.constantFrom(true, true, true, true, false),
});
const decision = fc.constantFrom("approve" as const, "approve" as const, "approve" as const, "reject" as const);
const change = fc.record({ words: maybe(words), without: maybe(recipient) });
const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
const code = fc.constantFrom<Code>("the operator's", "the operator's", "none", "an older one");
const link = fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 5);
const approvers = fc.constantFrom<PersonName[]>(["Ana"], ["Ana", "Bo"], ["Ana", "Bo", "Cy"], ["Bo", "Cy"], []);

const rules = fc.constantFrom<Restriction[]>(
  ...RESTRICTIONS.map((each) => [each]),
  ["holds what is delicate", "blocks what is forbidden"],
  ["holds what is delicate"],
  [],
);

const setting: fc.Arbitrary<Setting> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ set: fc.constant("mode" as const), to: mode }) },
  { weight: 3, arbitrary: fc.record({ set: fc.constant("quorum" as const), to: quorum }) },
  { weight: 2, arbitrary: fc.record({ set: fc.constant("approvers" as const), to: approvers }) },
  {
    weight: 1,
    arbitrary: fc.record({
      set: fc.constant("delegate" as const),
      approver: fc.constantFrom<PersonName>("Ana", "Bo"),
      delegate: fc.constantFrom<PersonName>("Cy", "Di"),
      hours: fc.constantFrom(1, 48),
    }),
  },
  { weight: 1, arbitrary: fc.record({ set: fc.constant("keys decide" as const), to: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ set: fc.constant("paused" as const), to: fc.constantFrom(true, false, false) }) },
);

const query: fc.Arbitrary<Query> = fc.oneof(
  fc.record({ ask: fc.constant("list" as const) }),
  fc.record({ ask: fc.constant("read" as const), item: which }),
  fc.record({
    ask: fc.constant("mark" as const),
    item: which,
    as: fc.constantFrom("read" as const, "archived" as const, "deleted" as const),
  }),
);

/** Of each kind of step, how often it happens beside the others, and what it is made of. An exhaustive Record: a kind left out does not compile. */
const KINDS: {
  [Kind in Step["kind"]]: [often: number, rest: fc.Arbitrary<Omit<Extract<Step, { kind: Kind }>, "kind">>];
} = {
  send: [
    14,
    fc.record({
      by: agent,
      words: fc.constantFrom("hello", "hello", "delicate", "forbidden"),
      to: toSome,
      minutes: maybe(minutesAhead),
      gate: fc.constantFrom("gate_first" as const, "schedule_first" as const),
      mode: rarely(mode),
      template: rarely(fc.constantFrom(0, 1)),
    }),
  ],
  edit: [
    6,
    fc.record({
      by: fc.constantFrom("its author", "its author", "its author", "scout"),
      item: which,
      words: maybe(words),
      to: rarely(toSome),
      minutes: rarely(minutesAhead),
    }),
  ],
  cancel: [3, fc.record({ by: fc.oneof(agent, watcher), item: which })],
  look: [4, fc.record({ by: watcher, item: waiting })],
  "key decides": [
    8,
    fc.record({
      by: fc.constantFrom("the watcher", "the watcher", ...WATCHERS),
      item: waiting,
      decision,
      looks: fc.constantFrom(true, true, false),
      names: fc.constantFrom("nothing", "nothing", "what it saw", "what it saw", "something else"),
    }),
  ],
  "person decides": [
    14,
    fc.record({
      by: fc.constantFrom<PersonName>("Ana", "Ana", "Ana", "Bo", "Bo", "Bo", ...PEOPLE),
      item: waiting,
      decision,
      looks: fc.constantFrom(true, true, false),
      edit: rarely(change),
    }),
  ],
  "link decides": [8, fc.record({ link, decision, looks: fc.constantFrom(true, true, false), edit: rarely(change) })],
  "link comes back": [1, fc.record({ link })],
  set: [9, fc.record({ setting, code })],
  "set rules": [4, fc.record({ to: rules, code })],
  allow: [1, fc.record({ recipient, code })],
  disallow: [1, fc.record({ recipient })],
  confirm: [1, fc.record({ person: fc.constantFrom<PersonName>("Cy", "Di") })],
  "tenant pauses": [2, fc.record({ agent: maybe(agent), paused: fc.constantFrom(true, false, false) })],
  "propose template": [2, fc.record({ by: agent, of: maybe(fc.constantFrom(0, 1)) })],
  "delete template": [1, fc.record({ by: agent, which: fc.constantFrom(0, 1) })],
  "ask for more rope": [1, fc.record({ by: agent, to: mode })],
  "take more rope": [1, fc.record({ by: agent, item: waiting, code })],
  query: [
    8,
    fc.record({
      by: fc.oneof(agent, agent, watcher),
      query,
      approval: fc.constantFrom("none", "none", "again", "again", "any"),
    }),
  ],
  "mail arrives": [3, fc.constant({})],
  "time passes": [
    18,
    fc.record({
      minutes: fc.constantFrom(0, 0, 1, 1, 1, 20, 20, 100, 100, 1500, 5000, 11_000),
      alarm: fc.constantFrom(true, true, true, false),
    }),
  ],
  "far end": [2, fc.record({ slow: fc.boolean(), mended: fc.boolean() })],
  "far end answers": [2, fc.constant({})],
  "something is away": [
    1,
    fc.record({ tenant: fc.constantFrom(true, false, false, false), index: fc.constantFrom(true, false, false) }),
  ],
  restart: [3, fc.constant({})],
  evict: [0, fc.constant({})],
};

type Kind = Step["kind"];

function stepOf(kinds: readonly Kind[]): fc.Arbitrary<Step> {
  return fc.oneof(
    ...kinds.map((kind) => {
      const [weight, rest] = KINDS[kind];
      return { weight, arbitrary: (rest as fc.Arbitrary<object>).map((parts) => ({ kind, ...parts }) as Step) };
    }),
  );
}

const EVERYTHING = (Object.keys(KINDS) as Kind[]).filter((kind) => KINDS[kind][0] > 0);

/** What else a story can be about: what is rare among everything is common where there is little else. */
const THEMES: readonly (readonly Kind[])[] = [
  // Changes before it leaves.
  ["send", "edit", "person decides", "key decides", "cancel", "set", "time passes"],
  // Many who decide.
  [
    "send",
    "edit",
    "look",
    "key decides",
    "person decides",
    "link decides",
    "link comes back",
    "set",
    "confirm",
    "time passes",
  ],
  // The way out.
  [
    "send",
    "person decides",
    "cancel",
    "set",
    "tenant pauses",
    "far end",
    "far end answers",
    "something is away",
    "restart",
    "time passes",
  ],
  // Rules, and what was approved beforehand.
  [
    "send",
    "edit",
    "person decides",
    "propose template",
    "delete template",
    "set rules",
    "allow",
    "disallow",
    "time passes",
  ],
  // Everything is asked.
  ["query", "mail arrives", "send", "person decides", "key decides", "set", "restart", "time passes"],
  // More rope.
  ["ask for more rope", "take more rope", "person decides", "key decides", "send", "set", "time passes"],
];

/** A story of at most that many steps, of any kind but evictions, which cost more than all the others together. */
export function anySteps(longest: number): fc.Arbitrary<Step[]> {
  const story = (kinds: readonly Kind[]) => fc.array(stepOf(kinds), { minLength: 1, maxLength: longest, size: "max" });
  return fc.oneof(
    { weight: THEMES.length, arbitrary: story(EVERYTHING) },
    ...THEMES.map((kinds) => ({ weight: 1, arbitrary: story(kinds) })),
  );
}

/** A story of at most that many steps, in which the platform throws the object away now and then. */
export function anyStepsWithEvictions(longest: number): fc.Arbitrary<Step[]> {
  const evict = fc.constant<Step>({ kind: "evict" });
  const step = fc.oneof({ weight: 6, arbitrary: stepOf(EVERYTHING) }, { weight: 1, arbitrary: evict });
  return fc.array(step, { minLength: 10, maxLength: longest, size: "max" });
}

export const anyBeginning: fc.Arbitrary<Beginning> = fc
  .record({
    mode: fc.constantFrom<Mode>("gated_send", "gated_send", "gated_all", "monitored", "autonomous"),
    quorum: fc.constantFrom(1 as const, 1 as const, 2 as const, 3 as const),
    keysDecide: fc.constantFrom(true, true, false),
    expiresAfter: fc.constantFrom(24, 168, null),
    escalateAfter: fc.constantFrom(null, null, 1),
  })
  .map((parts) => ({ ...parts, approvers: (["Ana", "Bo", "Cy"] as PersonName[]).slice(0, Math.max(2, parts.quorum)) }));
