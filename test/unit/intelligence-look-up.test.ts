import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FactStore, type LookUp, lookUpDomains, type StoredAnswer } from "../../src/intelligence/look-up.ts";
import { withMemory } from "../../src/intelligence/remembered.ts";
import type { Source, Tools } from "../../src/intelligence/sources.ts";
import { Unanswered } from "../../src/intelligence/unanswered.ts";

const NOW = Date.UTC(2026, 10, 25, 12);
const HOUR = 3600_000;

/** A store that keeps what it is given, and can be away. */
class Kept implements FactStore {
  answers: StoredAnswer[] = [];
  names = new Map<string, string>();
  relatives: string[] = [];
  reads = 0;
  away: "read" | "admit" | "write" | null = null;

  private check(step: string): void {
    if (this.away === step) throw new Error(`${step} is away`);
  }
  async read(domains: readonly string[]) {
    this.check("read");
    this.reads += 1;
    const has = ({ domain }: StoredAnswer) => domains.includes(domain);
    return {
      answers: this.answers.filter(has),
      seen: domains.filter((domain) => this.names.has(domain)),
      relatives: this.relatives,
    };
  }
  async admit(names: readonly string[], day: string, budget: number) {
    this.check("admit");
    for (const name of names) {
      const today = [...this.names.values()].filter((each) => each === day).length;
      if (!this.names.has(name) && today < budget) this.names.set(name, day);
    }
    return names.filter((name) => this.names.has(name));
  }
  async write(answers: readonly StoredAnswer[]) {
    this.check("write");
    this.answers.push(...answers);
  }
}

/** What was asked, of which source. */
let asked: string[];
let store: Kept;
let now: number;
let noted: string[][];

function source(name: string, ask: (domain: string, tools: Tools) => Promise<unknown>, lifetime = HOUR): Source {
  return {
    name,
    lifetime,
    ask: (domain, tools) => {
      asked.push(`${name} ${domain}`);
      return ask(domain, tools);
    },
    add: (facts, fact) => {
      facts.listings.push({ list: name, meaning: String(fact) });
    },
  };
}

const answering = (name: string, lifetime?: number) => source(name, async () => "well", lifetime);
const silent = (name: string) => source(name, () => new Promise(() => {}));

function lookUp(sources: Source[], parts: Partial<LookUp> = {}): LookUp {
  return {
    sources,
    toolsFor: () => ({}) as Tools,
    store,
    now: () => now,
    budget: 10,
    noteNewNames: (names) => noted.push([...names]),
    remembered_only: false,
    ...parts,
  };
}

beforeEach(() => {
  asked = [];
  noted = [];
  store = new Kept();
  now = NOW;
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("what is remembered", () => {
  test("is not asked again, until its own lifetime is over", async () => {
    const look = lookUp([answering("short", HOUR), answering("long", 3 * HOUR)]);
    await lookUpDomains(["a.example"], look);
    expect(asked).toEqual(["short a.example", "long a.example"]);
    now += HOUR - 1;
    await lookUpDomains(["a.example"], look);
    expect(asked).toHaveLength(2);
    now += 1;
    await lookUpDomains(["a.example"], look);
    expect(asked.slice(2)).toEqual(["short a.example"]);
  });

  test("that a source did not answer is remembered for a minute", async () => {
    const look = lookUp([source("broken", () => Promise.reject(new Unanswered("failed")))]);
    for (const later of [0, 59_999, 60_000]) {
      now = NOW + later;
      const { domains } = await lookUpDomains(["a.example"], look);
      expect(domains[0]?.unknown).toEqual([{ source: "broken", reason: "failed" }]);
    }
    expect(asked).toHaveLength(2);
  });

  test("a fault of ours is not taken for an answer of the world", async () => {
    const look = lookUp([source("faulty", () => Promise.reject(new TypeError("not a function")))]);
    await expect(lookUpDomains(["a.example"], look)).rejects.toThrow(TypeError);
  });
});

describe("time", () => {
  test("a source that never answers is unknown, and those beside it are known", async () => {
    const { domains } = await lookUpDomains(["a.example"], lookUp([silent("slow"), answering("quick")]));
    expect(domains[0]).toMatchObject({
      unknown: [{ source: "slow", reason: "timeout" }],
      listings: [{ list: "quick", meaning: "well" }],
    });
  });

  test("fifty domains of which nothing answers end all the same, each named as unknown", {
    timeout: 10_000,
  }, async () => {
    const many = Array.from({ length: 50 }, (_, i) => `d${i}.example`);
    const { domains } = await lookUpDomains(many, lookUp([silent("slow")], { budget: 100 }));
    expect(domains.every(({ unknown }) => unknown[0]?.reason === "timeout")).toBe(true);
    expect(asked.length).toBeLessThan(50);
  });
});

describe("new names", () => {
  test("are counted, and noted before anything is asked", async () => {
    let askedWhenNoted = -1;
    const look = lookUp([answering("mx")], {
      noteNewNames: (names) => {
        askedWhenNoted = asked.length;
        noted.push([...names]);
      },
    });
    const first = await lookUpDomains(["a.example", "b.example"], look);
    expect(first).toMatchObject({ new_names: 2, over_budget: [] });
    expect(askedWhenNoted).toBe(0);
    now += 2 * HOUR;
    expect(await lookUpDomains(["a.example", "c.example"], look)).toMatchObject({ new_names: 1 });
    expect(noted).toEqual([["a.example", "b.example"], ["c.example"]]);
  });

  test("over the budget are not asked for, and named; known ones still are", async () => {
    const look = lookUp([answering("mx")], { budget: 2 });
    await lookUpDomains(["a.example"], look);
    now += 2 * HOUR;
    const found = await lookUpDomains(["a.example", "b.example", "c.example", "d.example"], look);
    expect(found.over_budget).toEqual(["c.example", "d.example"]);
    expect(found.domains.map(({ unknown }) => unknown)).toEqual([
      [],
      [],
      [{ source: "mx", reason: "budget" }],
      [{ source: "mx", reason: "budget" }],
    ]);
    expect(asked).toEqual(["mx a.example", "mx a.example", "mx b.example"]);
    now += 24 * HOUR;
    expect(await lookUpDomains(["c.example"], look)).toMatchObject({ over_budget: [], new_names: 1 });
  });

  test("a budget of none asks for nothing", async () => {
    const found = await lookUpDomains(["a.example"], lookUp([answering("mx")], { budget: 0 }));
    expect(found.over_budget).toEqual(["a.example"]);
    expect(asked).toEqual([]);
  });
});

describe("a dry run and a test key", () => {
  test("ask for nothing and count nothing; what is remembered is known", async () => {
    await lookUpDomains(["a.example"], lookUp([answering("mx")]));
    const found = await lookUpDomains(["a.example", "b.example"], lookUp([answering("mx")], { remembered_only: true }));
    expect(found).toMatchObject({ new_names: 0, over_budget: [] });
    expect(found.domains.map(({ unknown }) => unknown)).toEqual([[], [{ source: "mx", reason: "not_asked" }]]);
    expect(asked).toEqual(["mx a.example"]);
    expect(store.names.size).toBe(1);
  });
});

describe("while the store is away", () => {
  test.each(["read", "admit"] as const)("(%s) no name is asked for, and everything is unknown", async (step) => {
    store.away = step;
    const found = await lookUpDomains(["a.example"], lookUp([answering("mx")]));
    expect(found).toMatchObject({ new_names: 0, over_budget: [] });
    expect(found.domains[0]?.unknown).toEqual([{ source: "mx", reason: "store" }]);
    expect(asked).toEqual([]);
    expect(noted).toEqual([]);
  });

  test("(write) what was found counts, and is asked again", async () => {
    store.away = "write";
    for (const _time of [1, 2]) {
      const found = await lookUpDomains(["a.example"], lookUp([answering("mx")]));
      expect(found.domains[0]?.unknown).toEqual([]);
    }
    expect(asked).toHaveLength(2);
  });
});

test("what a domain resembles comes from the tenant's own and known domains", async () => {
  store.relatives = ["customer.com"];
  const { domains } = await lookUpDomains(["custommer.com", "customer.com"], lookUp([]));
  expect(domains.map(({ resembles }) => resembles)).toEqual([{ kind: "near", twin: "customer.com" }, null]);
});

describe("in the object's memory", () => {
  test("what was read once is not read again for a minute", async () => {
    const memory = withMemory(store, () => now);
    const look = lookUp([answering("mx")], { store: memory });
    store.relatives = ["customer.com"];
    for (const _time of [1, 2, 3]) {
      const { domains } = await lookUpDomains(["custommer.com"], look);
      expect(domains[0]).toMatchObject({ unknown: [], resembles: { twin: "customer.com" } });
    }
    expect(store.reads).toBe(1);
    expect(asked).toHaveLength(1);
    now += 60_000;
    await lookUpDomains(["custommer.com"], look);
    expect(store.reads).toBe(2);
  });

  test("a name that went over the budget is asked of the store each time", async () => {
    const look = lookUp([answering("mx")], { store: withMemory(store, () => now), budget: 1 });
    await lookUpDomains(["a.example"], look);
    expect((await lookUpDomains(["b.example"], look)).over_budget).toEqual(["b.example"]);
    store.names.set("b.example", "2026-11-25");
    expect((await lookUpDomains(["b.example"], look)).over_budget).toEqual([]);
  });
});
