import { describe, expect, test } from "vitest";
import { verifyConsistency, verifyInclusion } from "../../src/audit/merkle-proof.ts";
import consistency from "../vectors/merkle/consistency.json";
import inclusion from "../vectors/merkle/inclusion.json";

/** The suite of transparency-dev/merkle, each case by its name. None is left out, and none is answered differently. */

const octets = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
const proofOf = (proof: readonly string[] | null) => (proof ?? []).map(octets);

test("it is whole", () => {
  expect([inclusion.length, consistency.length]).toEqual([98, 98]);
  expect(new Set([...inclusion, ...consistency].map(({ wantErr }) => wantErr))).toEqual(new Set([true, false]));
});

describe("inclusion", () => {
  test.each(inclusion.map((each) => [each.case, each] as const))("%s", (_name, each) => {
    const claim = { seq: each.leafIdx, size: each.treeSize, proof: proofOf(each.proof) };
    expect(verifyInclusion({ ...claim, leafHash: octets(each.leafHash), root: octets(each.root) })).toBe(!each.wantErr);
  });
});

describe("consistency", () => {
  test.each(consistency.map((each) => [each.case, each] as const))("%s", (_name, each) => {
    const roots = { firstRoot: octets(each.root1), secondRoot: octets(each.root2) };
    const claim = { first: each.size1, second: each.size2, proof: proofOf(each.proof), ...roots };
    expect(verifyConsistency(claim)).toBe(!each.wantErr);
  });
});
