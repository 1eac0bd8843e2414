import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBase64, encodedSize } from "../../src/operations/attachments-in.ts";

describe("decodeBase64", () => {
  test("takes exactly what an encoder makes (RFC 4648 §4)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeBase64(Buffer.from(bytes).toString("base64"))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test("every text has at most one reading: what it takes, an encoder gives back", () => {
    const letters = fc.constantFrom(..."ABab01+/=-_ \n");
    fc.assert(
      fc.property(fc.string({ unit: letters, maxLength: 12 }), (text) => {
        const bytes = decodeBase64(text);
        if (bytes) expect(Buffer.from(bytes).toString("base64")).toBe(text);
      }),
      { numRuns: 2_000 },
    );
  });

  test("takes a large file without recursion", () => {
    const text = Buffer.alloc(9 * 1024 * 1024, 7).toString("base64");
    expect(decodeBase64(text)?.byteLength).toBe(9 * 1024 * 1024);
    expect(decodeBase64(`${text.slice(0, -1)}!`)).toBeNull();
  });
});

test.each([
  [0, 0],
  [1, 6],
  [57, 78],
  [58, 84],
  [114, 156],
])("%i octets take %i in a message", (octets, encoded) => {
  expect(encodedSize(octets)).toBe(encoded);
});
