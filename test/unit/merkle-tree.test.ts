import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CompactRange } from "../../src/audit/compact-range.ts";
import { verifyConsistency, verifyInclusion } from "../../src/audit/merkle-proof.ts";
import {
  consistencyProof,
  EMPTY_ROOT,
  hashChildren,
  hashLeaf,
  inclusionProof,
  leftOf,
  nodesCompletedBy,
  rootOf,
  subtreesOf,
  type TreeNodes,
} from "../../src/audit/merkle-tree.ts";
import { sha256 as bySha256, sha256Hex } from "../../src/audit/sha256.ts";
import { sha256 as byPortable, sha256Hex as portableHex } from "../../src/audit/sha256-portable.ts";

const hex = (octets: Uint8Array) => Buffer.from(octets).toString("hex");
const leaf = (seq: number) => hashLeaf(Buffer.from(`leaf ${seq}`));

/** The tree as a log keeps it: what appending completes, and the leaves. */
class Grown implements TreeNodes {
  readonly kept = new Map<string, Uint8Array>();
  size = 0;

  append(): void {
    const hash = leaf(this.size);
    for (const node of nodesCompletedBy(this.size, hash, this)) this.put(node.level, node.index, node.hash);
    this.put(0, this.size, hash);
    this.size += 1;
  }

  private put(level: number, index: number, hash: Uint8Array): void {
    const place = `${level}/${index}`;
    if (this.kept.has(place)) throw new Error(`${place} is written twice`);
    this.kept.set(place, hash);
  }

  get(level: number, index: number): Uint8Array {
    const hash = this.kept.get(`${level}/${index}`);
    if (!hash) throw new Error(`the tree has no node ${level}/${index}`);
    return hash;
  }
}

function grownTo(size: number): Grown {
  const tree = new Grown();
  while (tree.size < size) tree.append();
  return tree;
}

/** RFC 6962 §2.1 to the letter, over leaf hashes. */
const split = (n: number) => 2 ** Math.ceil(Math.log2(n) - 1);
function mth(d: readonly Uint8Array[]): Uint8Array {
  if (d.length === 0) return bySha256(new Uint8Array(0));
  if (d.length === 1) return d[0] as Uint8Array;
  const k = split(d.length);
  return hashChildren(mth(d.slice(0, k)), mth(d.slice(k)));
}
/** §2.1.1 */
function path(m: number, d: readonly Uint8Array[]): Uint8Array[] {
  if (d.length === 1) return [];
  const k = split(d.length);
  return m < k ? [...path(m, d.slice(0, k)), mth(d.slice(k))] : [...path(m - k, d.slice(k)), mth(d.slice(0, k))];
}
/** §2.1.2 */
function subproof(m: number, d: readonly Uint8Array[], b: boolean): Uint8Array[] {
  if (m === d.length) return b ? [] : [mth(d)];
  const k = split(d.length);
  return m <= k
    ? [...subproof(m, d.slice(0, k), b), mth(d.slice(k))]
    : [...subproof(m - k, d.slice(k), false), mth(d.slice(0, k))];
}

const LARGEST = 70;
const leaves = Array.from({ length: LARGEST }, (_, seq) => leaf(seq));
const sizes = Array.from({ length: LARGEST + 1 }, (_, size) => size);
const whole = grownTo(LARGEST);

test("leaves and nodes are hashed under different first octets (RFC 6962 §2.1)", () => {
  expect(hex(EMPTY_ROOT)).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(hex(hashLeaf(new Uint8Array(0)))).toBe("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
  const [one, other] = [leaf(1), leaf(2)];
  expect(hex(hashChildren(one, other))).toBe(hex(bySha256(Buffer.concat([Buffer.of(1), one, other]))));
});

test("both SHA-256 of ours answer the same", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      expect(hex(byPortable(octets))).toBe(hex(bySha256(octets)));
      expect([portableHex(octets), sha256Hex(octets)]).toEqual([hex(bySha256(octets)), hex(bySha256(octets))]);
    }),
  );
});

describe(`the RFC's recursion and ours agree for each size up to ${LARGEST}`, () => {
  test("on the root", () => {
    for (const size of sizes) expect(hex(rootOf(size, whole))).toBe(hex(mth(leaves.slice(0, size))));
  });

  test("on each proof that a leaf is in it", () => {
    for (const size of sizes.slice(1)) {
      const root = rootOf(size, whole);
      for (let seq = 0; seq < size; seq++) {
        const proof = inclusionProof(seq, size, whole);
        expect(proof.map(hex)).toEqual(path(seq, leaves.slice(0, size)).map(hex));
        expect(verifyInclusion({ seq, size, leafHash: leaf(seq), root, proof })).toBe(true);
      }
    }
  });

  test("on each proof that it only grew", () => {
    for (const second of sizes.slice(1)) {
      const secondRoot = rootOf(second, whole);
      for (let first = 1; first <= second; first++) {
        const proof = consistencyProof(first, second, whole);
        expect(proof.map(hex)).toEqual(subproof(first, leaves.slice(0, second), true).map(hex));
        const firstRoot = rootOf(first, whole);
        expect(verifyConsistency({ first, second, firstRoot, secondRoot, proof })).toBe(true);
      }
    }
  });

  test("on the root of each part with what is left of it", () => {
    for (const start of sizes) {
      const range = new CompactRange(start);
      expect(hex(range.joined(leftOf(start, whole)))).toBe(hex(rootOf(start, whole)));
      for (let end = start; end < LARGEST; ) {
        range.append(leaf(end));
        end += 1;
        expect(range.end).toBe(end);
        expect(hex(range.joined(leftOf(start, whole)))).toBe(hex(rootOf(end, whole)));
      }
    }
  });
});

test("only complete subtrees are kept, each is written once, and an append writes no more than its level", () => {
  const tree = new Grown();
  for (const size of sizes.slice(1)) {
    const before = tree.kept.size;
    tree.append();
    const places = [...tree.kept.keys()].map((place) => place.split("/").map(Number) as [number, number]);
    expect(places.every(([level, index]) => (index + 1) * 2 ** level <= size)).toBe(true);
    // Complete subtrees of a tree of n leaves: n at the bottom, half as many above, and so on.
    const complete = Array.from({ length: 8 }, (_, level) => Math.floor(size / 2 ** level));
    expect(tree.kept.size).toBe(complete.reduce((sum, count) => sum + count));
    expect(tree.kept.size - before).toBeLessThanOrEqual(1 + Math.log2(size));
  }
});

test("a snapshot of a range stays as it was", () => {
  const range = new CompactRange(0);
  for (let seq = 0; seq < 5; seq++) range.append(leaf(seq));
  const then = range.snapshot();
  for (let seq = 5; seq < 9; seq++) range.append(leaf(seq));
  expect([then.end, range.end]).toEqual([5, 9]);
  expect(hex(then.joined([]))).toBe(hex(rootOf(5, whole)));
  expect(hex(range.joined([]))).toBe(hex(rootOf(9, whole)));
});

describe("what cannot be asked for is refused", () => {
  test.each<[string, () => unknown]>([
    ["a leaf past the end", () => inclusionProof(5, 5, whole)],
    ["a leaf before the first", () => inclusionProof(-1, 5, whole)],
    ["a leaf that is no whole number", () => inclusionProof(0.5, 5, whole)],
    ["a tree that shrank", () => consistencyProof(6, 5, whole)],
    ["a tree of less than nothing", () => consistencyProof(-1, 5, whole)],
    ["a tree larger than numbers go", () => consistencyProof(1, 2 ** 53, whole)],
    ["a part with too few hashes to its left", () => new CompactRange(3).joined([leaf(0)])],
    ["a part with too many", () => new CompactRange(1).joined([leaf(0), leaf(1)])],
    ["a part with something else", () => new CompactRange(1).joined([Buffer.from("short")])],
  ])("%s", (_what, ask) => expect(ask).toThrow(RangeError));
});

describe("in trees as large as numbers go", () => {
  const large = fc.integer({ min: 1, max: 2 ** 40 });
  /** All leaves alike, so that each level has one hash. */
  const LEVELS = [hashLeaf(Buffer.from("the same"))];
  for (let level = 1; level < 54; level++) {
    const below = LEVELS[level - 1] as Uint8Array;
    LEVELS.push(hashChildren(below, below));
  }
  const alike: TreeNodes = { get: (level) => LEVELS[level] as Uint8Array };

  test("each proof holds, and as another's it does not", () => {
    fc.assert(
      fc.property(large, large, (one, other) => {
        const [first, second] = one < other ? [one, other] : [other, one];
        const [firstRoot, secondRoot] = [rootOf(first, alike), rootOf(second, alike)];
        const proof = consistencyProof(first, second, alike);
        expect(verifyConsistency({ first, second, firstRoot, secondRoot, proof })).toBe(true);
        const inclusion = { seq: first - 1, size: second, leafHash: LEVELS[0] as Uint8Array, root: secondRoot };
        const inTree = inclusionProof(first - 1, second, alike);
        expect(verifyInclusion({ ...inclusion, proof: inTree })).toBe(true);
        expect(inTree.length).toBeLessThanOrEqual(41);
        expect(verifyInclusion({ ...inclusion, leafHash: leaf(1), proof: inTree })).toBe(false);
        expect(verifyInclusion({ ...inclusion, proof: [...inTree, leaf(1)] })).toBe(false);
        if (inTree.length) expect(verifyInclusion({ ...inclusion, proof: inTree.slice(1) })).toBe(false);
        const longer = { first, second, firstRoot, secondRoot, proof: [...proof, leaf(1)] };
        expect(verifyConsistency(longer)).toBe(false);
        if (proof.length) expect(verifyConsistency({ ...longer, proof: proof.slice(1) })).toBe(false);
      }),
    );
  });

  test("the subtrees of a range are whole, in order, and cover it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 52 }), fc.integer({ min: 0, max: 2 ** 52 }), (start, count) => {
        let next = start;
        for (const { level, index } of subtreesOf(start, start + count)) {
          expect(index * 2 ** level).toBe(next);
          next += 2 ** level;
        }
        expect(next).toBe(start + count);
      }),
    );
  });
});
