import { sha256 } from "./sha256.ts";

/**
 * The Merkle tree of a log (RFC 6962 §2.1, RFC 9162 §2.1), kept as the roots of its complete subtrees: those never change once
 * they are there, so an append writes each of them once. Sizes and positions are safe integers; hashes are 32 bytes.
 */

/** The complete subtrees that are kept. */
export interface TreeNodes {
  /**
   * @param level 0 for leaf hashes; `(level, index)` is the root of the leaves [index·2^level, (index+1)·2^level).
   * @returns its 32 bytes. It is asked for complete subtrees of the tree only, and throws where it lacks one.
   */
  get(level: number, index: number): Uint8Array;
}

/** Where a complete subtree stands. */
export interface Subtree {
  level: number;
  index: number;
}

/** The root of the tree of no leaves: the hash of nothing (RFC 9162 §2.1.1). */
export const EMPTY_ROOT = sha256(new Uint8Array(0));

export const HASH_OCTETS = 32;

/** @returns the hash of a leaf: SHA-256(0x00 ‖ bytes). */
export function hashLeaf(bytes: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + bytes.length);
  input.set(bytes, 1);
  return sha256(input);
}

/** Written anew for each node: nothing else runs between writing and hashing it. */
const nodeInput = Uint8Array.of(1, ...new Uint8Array(2 * HASH_OCTETS));

/** @returns the hash of an interior node: SHA-256(0x01 ‖ left ‖ right). */
export function hashChildren(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_OCTETS);
  return sha256(nodeInput);
}

/**
 * The interior nodes that appending a leaf completes: none for most leaves, one a level for the last leaf of a large subtree.
 * @param seq the leaf's position, from 0. @param nodes the tree before it. @returns them from the lowest level (1) up.
 */
export function nodesCompletedBy(
  seq: number,
  leafHash: Uint8Array,
  nodes: TreeNodes,
): (Subtree & { hash: Uint8Array })[] {
  const completed: (Subtree & { hash: Uint8Array })[] = [];
  let hash = leafHash;
  for (let level = 0, index = seq; index % 2 === 1; level++, index = (index - 1) / 2) {
    hash = hashChildren(nodes.get(level, index - 1), hash);
    completed.push({ level: level + 1, index: (index - 1) / 2, hash });
  }
  return completed;
}

/** @returns the largest complete subtrees that together are the leaves [start, end), from left to right. */
export function subtreesOf(start: number, end: number): Subtree[] {
  const subtrees: Subtree[] = [];
  for (let first = start; first < end; ) {
    let level = 0;
    for (let size = 2; first % size === 0 && first + size <= end; size *= 2) level++;
    subtrees.push({ level, index: first / 2 ** level });
    first += 2 ** level;
  }
  return subtrees;
}

/** @returns the root over roots of subtrees that grow smaller to the right (RFC 9162 §2.1.1); that of no leaves for none. */
export function joinedRoot(subtreeRoots: readonly Uint8Array[]): Uint8Array {
  if (subtreeRoots.length === 0) return EMPTY_ROOT;
  return subtreeRoots.reduceRight((right, left) => hashChildren(left, right));
}

/** The root of [start, end), where `start` is a multiple of a power of two that is no smaller than the range. */
function rangeRoot(start: number, end: number, nodes: TreeNodes): Uint8Array {
  return joinedRoot(subtreesOf(start, end).map(({ level, index }) => nodes.get(level, index)));
}

/** The largest power of two below `size`, which is at least 2. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** @returns the root of the first `size` leaves. */
export function rootOf(size: number, nodes: TreeNodes): Uint8Array {
  return rangeRoot(0, size, nodes);
}

/** @returns the roots of the largest complete subtrees of [0, start), largest first: what a reader of a part needs. */
export function leftOf(start: number, nodes: TreeNodes): Uint8Array[] {
  return subtreesOf(0, start).map(({ level, index }) => nodes.get(level, index));
}

/**
 * That a leaf is in a tree: PATH(seq, D[size]) of RFC 9162 §2.1.3.1.
 * @returns the hashes, from the leaf up. @throws RangeError unless 0 <= seq < size.
 */
export function inclusionProof(seq: number, size: number, nodes: TreeNodes): Uint8Array[] {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(seq) || seq < 0 || seq >= size) {
    throw new RangeError(`there is no leaf ${seq} in a tree of ${size}`);
  }
  const path: Uint8Array[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    const sibling = seq < middle ? ([middle, end] as const) : ([start, middle] as const);
    path.push(rangeRoot(...sibling, nodes));
    [start, end] = seq < middle ? [start, middle] : [middle, end];
  }
  return path.reverse();
}

/**
 * That a tree only grew: PROOF(first, D[second]) of RFC 9162 §2.1.4.1.
 * @returns the hashes; none where the sizes are equal, or where `first` is 0 and there is nothing to show.
 * @throws RangeError unless 0 <= first <= second.
 */
export function consistencyProof(first: number, second: number, nodes: TreeNodes): Uint8Array[] {
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(second) || first < 0 || first > second) {
    throw new RangeError(`a tree of ${second} did not grow from one of ${first}`);
  }
  if (first === 0) return [];
  const path: Uint8Array[] = [];
  let [start, end] = [0, second];
  while (first !== end) {
    const middle = start + splitOf(end - start);
    const isLeft = first <= middle;
    path.push(isLeft ? rangeRoot(middle, end, nodes) : rangeRoot(start, middle, nodes));
    [start, end] = isLeft ? [start, middle] : [middle, end];
  }
  // Where the old tree ends with a subtree that is its whole self, its reader knows that root already.
  if (start !== 0) path.push(rangeRoot(start, end, nodes));
  return path.reverse();
}
