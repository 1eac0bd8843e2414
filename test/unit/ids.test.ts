import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isId, newEntryId, newId, placeInEntryId } from "../../src/ids.ts";
import { idAt } from "../../src/store/audit-search.ts";

const TIME = Date.parse("2026-11-20T08:00:00.000Z");
/** More entries than any log can have. */
const SEQ_END = 32 ** 8;

describe("the id of an audit entry", () => {
  test("sorts as its place does, whatever the clock and chance do", () => {
    const step = fc.record({ ms: fc.integer({ min: 0, max: 2 }), places: fc.integer({ min: 1, max: 40 }) });
    const steps = fc.array(step, { minLength: 2, maxLength: 60 });
    const start = fc.oneof(fc.nat({ max: 2_000 }), fc.integer({ min: 0, max: SEQ_END - 5_000 }));
    fc.assert(
      fc.property(start, steps, fc.infiniteStream(fc.integer({ min: 0, max: 255 })), (first, all, bytes) => {
        const random = (length: number) => Uint8Array.from({ length }, () => Number(bytes.next().value));
        let [at, seq] = [TIME, first];
        const ids = all.map(({ ms, places }) => {
          at += ms;
          seq += places;
          return newEntryId(at, seq, random);
        });
        expect([...ids].sort()).toEqual(ids);
      }),
    );
  });

  test("says its place, has the form of every other id, and is no other log's at the same time and place", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: SEQ_END - 1 }), (seq) => {
        const [one, two] = [newEntryId(TIME, seq), newEntryId(TIME, seq)];
        expect(isId("aud", one)).toBe(true);
        expect(one).toHaveLength(newId("aud", TIME).length);
        expect(one).not.toBe(two);
        expect([one, two].map(placeInEntryId)).toEqual([
          { at: TIME, seq },
          { at: TIME, seq },
        ]);
      }),
    );
  });

  test.each([
    [0, "00000000"],
    [31, "0000000Z"],
    [32, "00000010"],
    [SEQ_END - 1, "ZZZZZZZZ"],
  ])("of place %i has it after its time, as %s", (seq, written) => {
    expect(newEntryId(TIME, seq).slice(14, 22)).toBe(written);
  });

  test.each([-1, 0.5, SEQ_END])("is none for the place %d, which does not fit", (seq) => {
    expect(() => newEntryId(TIME, seq)).toThrow(RangeError);
  });

  test("lies between the bounds of its time", () => {
    const bound = (ms: number) => idAt(new Date(TIME + ms).toISOString());
    for (const seq of [0, SEQ_END - 1]) {
      const id = newEntryId(TIME, seq);
      expect(id >= bound(0) && id < bound(1)).toBe(true);
    }
  });

  test("is the only one that says a place", () => {
    for (const id of [newId("em", TIME), "aud_1", "", "mbx_x"]) expect(placeInEntryId(id)).toBeNull();
  });
});
