import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Delegation,
  isNewVoice,
  isSamePerson,
  KEY_SEAT,
  type Seat,
  seatFor,
  seatsAsked,
  seatsOf,
  type Voice,
} from "../../src/oversight/approvals.ts";
import {
  nextRequestStatus,
  REQUEST_STATUSES,
  REQUEST_TRANSITIONS,
  type RequestEvent,
} from "../../src/oversight/request-transitions.ts";

const NOW = Date.UTC(2026, 10, 21, 12);
const OPERATOR = "op@people.example";
const at = (hours: number) => new Date(NOW + hours * 3600_000).toISOString();
const person = (name: string) => `${name}@people.example`;

/** `ana->di 0..24`: Di decides in place of Ana from now on, for a day. */
function delegation(words: string): Delegation {
  const [, approver = "", delegate = "", from = "", until = ""] = /^(\w+)->(\w+) (-?\d+)\.\.(-?\d+)$/.exec(words) ?? [];
  return { approver: person(approver), delegate: person(delegate), from: at(Number(from)), until: at(Number(until)) };
}

/** Names, separated by blanks, as addresses. */
function people(names: string): string[] {
  return names.split(" ").filter(Boolean).map(person);
}

/** A seat as `ana`, or as `ana(di)` while Di has it. */
function seatsInWords(seats: readonly Seat[]): string {
  const name = (address: string) => address.slice(0, address.indexOf("@"));
  return seats
    .map((seat) => name(seat.approver) + (seat.person === seat.approver ? "" : `(${name(seat.person)})`))
    .join(" ");
}

/** Approvers, quorum, delegations, whom the operator has confirmed; then the seats, in the order in which they are asked. */
const SEATS: [
  what: string,
  approvers: string,
  quorum: number,
  delegations: string[],
  confirmed: string,
  seats: string,
][] = [
  ["nobody is named: the operator decides", "", 1, [], "", "op"],
  ["one approver", "ana", 1, [], "ana", "ana"],
  ["several, in their order", "bo ana", 1, [], "ana bo", "bo ana"],
  ["whoever is not confirmed decides nothing yet", "ana eve", 1, [], "ana", "ana"],
  ["and while nobody is, the operator does", "eve", 1, [], "", "op"],
  ["fewer confirmed than must approve: the operator fills up", "ana eve", 2, [], "ana", "ana op"],
  ["an operator who is an approver has one seat", "op ana", 2, [], "ana", "op ana"],
  ["an operator who is an approver fills up nothing twice", "op eve", 2, [], "", "op"],
  ["an approver who is named twice has one seat", "ana ana bo", 1, [], "ana bo", "ana bo"],
  ["an absence that lasts", "ana bo", 1, ["ana->di -1..1"], "ana bo di", "ana(di) bo"],
  ["that has just begun", "ana", 1, ["ana->di 0..1"], "ana di", "ana(di)"],
  ["that begins later", "ana", 1, ["ana->di 1..2"], "ana di", "ana"],
  ["that has just ended", "ana", 1, ["ana->di -1..0"], "ana di", "ana"],
  ["a delegate who is not confirmed stands in for nobody", "ana", 1, ["ana->eve -1..1"], "ana", "ana"],
  ["the first delegate who is confirmed stands in", "ana", 1, ["ana->eve -1..1", "ana->di -1..1"], "ana di", "ana(di)"],
  ["the operator stands in", "ana", 1, ["ana->op -1..1"], "ana", "ana(op)"],
  ["a delegate for whoever is no approver has no seat", "ana", 1, ["bo->di -1..1"], "ana di", "ana"],
  ["an approver stands in for another: two seats, one person", "ana bo", 2, ["ana->bo -1..1"], "ana bo", "ana(bo) bo"],
  ["nobody stands in for a delegate", "ana", 1, ["ana->di -1..1", "di->bo -1..1"], "ana di bo", "ana(di)"],
  ["the operator's own absence, while they fill up", "", 1, ["op->di -1..1"], "di", "op(di)"],
];

describe("who has a seat", () => {
  test.each(SEATS)("%s", (_what, approvers, quorum, delegations, confirmed, seats) => {
    const settings = { approvers: people(approvers), quorum, delegations: delegations.map(delegation) };
    expect(seatsInWords(seatsOf(settings, people(confirmed), OPERATOR, NOW))).toBe(seats);
  });

  test("addresses that are one person's, in another spelling, are one seat", () => {
    const settings = { approvers: ["Ana@People.Example", "ana+mail@people.example"], quorum: 1, delegations: [] };
    const seats = seatsOf(settings, ["ana@people.example", "ana+mail@people.example"], OPERATOR, NOW);
    expect(seats.map(({ approver }) => approver)).toEqual(["Ana@People.Example"]);
  });
});

describe("which seat a person uses", () => {
  const seats = (words: string): Seat[] =>
    words.split(" ").map((each) => {
      const [, approver = "", holder] = /^(\w+)(?:\((\w+)\))?$/.exec(each) ?? [];
      return { approver: person(approver), person: person(holder ?? approver) };
    });

  test.each([
    ["an approver their own", "ana bo", "bo", "bo"],
    ["a delegate that of whoever is away", "ana(di) bo", "di", "ana"],
    ["whoever is away still their own", "ana(di)", "ana", "ana"],
    ["an approver who stands in for another their own first", "ana(bo) bo", "bo", "bo"],
    ["anybody else none", "ana(di) bo", "eve", null],
  ])("%s", (_what, words, who, seat) => {
    expect(seatFor(person(who), seats(words))).toBe(seat && person(seat));
  });

  test("is not told by the spelling of their address", () => {
    expect(seatFor("ANA+console@people.EXAMPLE", seats("ana"))).toBe(person("ana"));
  });
});

describe("two addresses are one person's", () => {
  test.each([
    ["ana@people.example", "ANA@People.Example", true],
    ["ana@people.example", "ana+x@people.example", true],
    ["ana+a@people.example", "ana+b@people.example", true],
    ['"ana"@people.example', "ana@people.example", true],
    ["ana@people.example", "ana@other.example", false],
    ["ana@people.example", "anna@people.example", false],
    ["+ana@people.example", "+bo@people.example", false],
  ])("%s and %s: %s", (a, b, same) => {
    expect([isSamePerson(a, b), isSamePerson(b, a)]).toEqual([same, same]);
  });
});

describe("a voice counts beside those there are", () => {
  const voice = (words: string): Voice => {
    const [who = "", seat = who] = words.split(" for ");
    const named = (name: string) => (name === "a key" ? KEY_SEAT : person(name));
    return { person: named(who), seat: named(seat) };
  };

  test.each([
    ["the first", "ana", [], true],
    ["another person, another seat", "bo", ["ana"], true],
    ["the same person again", "ana", ["ana"], false],
    ["the same person in another seat", "bo for ana", ["bo"], false],
    ["another person in the same seat", "ana", ["di for ana"], false],
    ["a delegate and another approver", "di for ana", ["bo"], true],
    ["a key beside people", "a key", ["ana", "bo"], true],
    ["a second key", "a key", ["a key"], false],
    ["a person beside a key", "ana", ["a key"], true],
    ["a third, when one of two spoke for another", "cy", ["di for ana", "bo"], true],
  ])("%s", (_what, fresh, there, counts) => {
    expect(isNewVoice(voice(fresh), there.map(voice))).toBe(counts);
  });

  test("whoever spells their address in another way is no second person", () => {
    expect(isNewVoice({ seat: "ANA@people.example", person: "ANA@people.example" }, [voice("ana")])).toBe(false);
    expect(isNewVoice({ seat: person("bo"), person: "ana+two@people.example" }, [voice("ana")])).toBe(false);
  });
});

describe("who is asked", () => {
  const SEATED = ["ana", "bo", "cy", "di"].map((name) => ({ approver: person(name), person: person(name) }));

  test.each([
    ["everyone at once, where nobody is asked in turn", 1, 0, false, "ana bo cy di"],
    ["the first, where they are", 1, 0, true, "ana"],
    ["as many as must approve", 2, 0, true, "ana bo"],
    ["the next one, each time nobody has decided", 1, 2, true, "ana bo cy"],
    ["nobody beyond the last", 3, 9, true, "ana bo cy di"],
    ["one at least", 0, 0, true, "ana"],
  ])("%s", (_what, quorum, rounds, escalates, asked) => {
    expect(seatsInWords(seatsAsked(SEATED, quorum, rounds, escalates))).toBe(asked);
  });
});

describe("whatever the settings are", () => {
  const name = fc.constantFrom("ana", "bo", "cy", "di", "op").map(person);
  const settings = fc.record({
    approvers: fc.array(name, { maxLength: 4 }),
    quorum: fc.integer({ min: 1, max: 4 }),
    delegations: fc.array(
      fc.record({ approver: name, delegate: name, from: fc.constant(at(-1)), until: fc.constant(at(1)) }),
      { maxLength: 3 },
    ),
  });
  const drawn = [settings, fc.subarray(["ana", "bo", "cy", "di"].map(person))] as const;

  test("somebody decides, and nobody whom the operator has not confirmed", () => {
    fc.assert(
      fc.property(...drawn, (given, confirmed) => {
        const seats = seatsOf(given, confirmed, OPERATOR, NOW);
        expect(seats.length).toBeGreaterThan(0);
        for (const seat of seats) {
          expect([OPERATOR, ...confirmed]).toContain(seat.approver);
          expect([OPERATOR, ...confirmed]).toContain(seat.person);
        }
      }),
    );
  });

  test("the voices that count are never more than the seats, nor than the people", () => {
    fc.assert(
      fc.property(...drawn, fc.array(name, { maxLength: 12 }), (given, confirmed, speakers) => {
        const seats = seatsOf(given, confirmed, OPERATOR, NOW);
        const counted: Voice[] = [];
        for (const speaker of speakers) {
          const seat = seatFor(speaker, seats);
          if (seat !== null && isNewVoice({ seat, person: speaker }, counted)) counted.push({ seat, person: speaker });
        }
        expect(new Set(counted.map(({ seat }) => seat)).size).toBe(counted.length);
        expect(new Set(counted.map((each) => each.person)).size).toBe(counted.length);
        expect(counted.length).toBeLessThanOrEqual(seats.length);
      }),
    );
  });
});

describe("what waits besides messages", () => {
  const EVENTS = [...new Set(REQUEST_TRANSITIONS.map(({ event }) => event))];
  const from = (status: (typeof REQUEST_STATUSES)[number]) =>
    EVENTS.map((event) => nextRequestStatus(status, event)).filter((to) => to !== null);

  test("is used only once it was approved, and once", () => {
    const uses = REQUEST_STATUSES.filter((status) => nextRequestStatus(status, "consume") !== null);
    expect(uses).toEqual(["approved"]);
    expect(from("consumed")).toEqual([]);
  });

  test.each(["consumed", "rejected", "expired", "cancelled"] as const)("%s is the end", (status) => {
    expect(from(status)).toEqual([]);
  });

  test.each(EVENTS.filter((event) => event !== "ask"))("%s is nothing that a new request begins with", (event) => {
    expect(nextRequestStatus(null, event satisfies RequestEvent)).toBeNull();
  });
});
