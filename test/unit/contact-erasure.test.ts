import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addCounts,
  type ErasedCounts,
  type ErasurePosition,
  NOTHING_ERASED,
  type Phase,
  redacted,
  walkOn,
} from "../../durable-objects/contact-erasure.ts";
import { mentionOf } from "../../src/mail/mentions.ts";

const mention = mentionOf("ana@customer.example");

/** A phase of so many stretches, of which these find something. */
function phase(name: string, stretches: number, finds: readonly number[], seen: string[]): [string, Phase] {
  return [
    name,
    (_mention, after) => {
      const at = Number(after ?? 0);
      seen.push(`${name} ${at}`);
      const next = at + 1;
      return { after: next < stretches ? next : null, apply: finds.includes(at) ? () => ({ messages: 1 }) : null };
    },
  ];
}

function walk(phases: (readonly [string, Phase])[], from: ErasurePosition | null, blocked: string | null = null) {
  let counts: ErasedCounts = { ...NOTHING_ERASED };
  return walkOn({
    phases,
    mention,
    from,
    whyNot: async () => blocked,
    apply: (erase) => {
      counts = addCounts(counts, erase());
      return counts;
    },
    counts,
  });
}

describe("a walk", () => {
  test("looks at every stretch of every phase once, in their order", async () => {
    const seen: string[] = [];
    const steps = await walk([phase("a", 2, [1], seen), phase("b", 1, [], seen)], null);
    expect(seen).toEqual(["a 0", "a 1", "b 0"]);
    expect(steps).toMatchObject({ next: null, found: true, waits: [], blocked: null, counts: { messages: 1 } });
  });

  test("stops after some stretches, and goes on there", async () => {
    const seen: string[] = [];
    const phases = [phase("a", 30, [], seen)];
    const first = await walk(phases, null);
    expect(first).toMatchObject({ next: { phase: "a", after: 20 }, found: false });
    expect((await walk(phases, first.next)).next).toBeNull();
    expect(seen).toHaveLength(30);
  });

  test("passes over nothing that may not be erased now", async () => {
    const seen: string[] = [];
    const phases = [phase("a", 3, [1], seen)];
    const stopped = await walk(phases, null, "legal_hold");
    expect(stopped).toMatchObject({ next: { phase: "a", after: 1 }, found: true, blocked: "legal_hold" });
    expect(stopped.counts.messages).toBe(0);
    expect(await walk(phases, stopped.next)).toMatchObject({ next: null, counts: { messages: 1 } });
  });

  test("counts what waits as found, so that another round follows", async () => {
    const waiting: [string, Phase] = ["a", () => ({ after: null, apply: null, waits: ["em_1"] })];
    expect(await walk([waiting], null)).toMatchObject({ next: null, found: true, waits: ["em_1"] });
  });

  test("goes past what is gone without counting it as found, and says what that was", async () => {
    const gone = (first: number, last: number, log = "mbx_1") => ({ log, first, last });
    const all = [gone(0, 9), gone(10, 12), gone(20, 29), gone(30, 30, "mbx_2")];
    const past: [string, Phase] = [
      "a",
      (_mention, after) => {
        const at = Number(after ?? 0);
        return { after: at < 3 ? at + 1 : null, apply: null, gone: all.slice(at, at + 1) };
      },
    ];
    const steps = await walk([past], null);
    expect(steps).toMatchObject({ next: null, found: false, gone: [gone(0, 12), gone(20, 29), gone(30, 30, "mbx_2")] });
    expect(all[0]).toEqual(gone(0, 9));
  });

  test("fails for a phase that there is not", async () => {
    await expect(walk([], { phase: "gone", after: null })).rejects.toThrow("no phase gone");
  });
});

test("what is redacted names the person no more, and is otherwise as it was", () => {
  const place = fc.constantFrom("ana@customer.example", "to ANA%40customer.example", "bob@other.example", "");
  const value = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      place,
      fc.integer(),
      fc.constant(null),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(place, tie("tree"), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).tree;
  fc.assert(
    fc.property(value, (before) => {
      const after = redacted(before, mention);
      expect(mention.isIn(after)).toBe(false);
      if (!mention.isIn(before)) expect(after).toEqual(before);
    }),
  );
  expect(redacted({ by: "ana@customer.example", at: "now" }, mention)).toEqual({ by: "(erased)", at: "now" });
});
