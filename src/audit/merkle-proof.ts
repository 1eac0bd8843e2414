import { EMPTY_ROOT, HASH_OCTETS, hashChildren } from "./merkle-tree.ts";

/** Checks of proofs by someone who has not the tree. What is not exactly a proof is none: a reader learns no more than that. */

/** That a leaf is in a tree. */
export interface InclusionClaim {
  /** The leaf's position, from 0. */
  seq: number;
  size: number;
  leafHash: Uint8Array;
  root: Uint8Array;
  proof: readonly Uint8Array[];
}

/** That a tree of `second` leaves begins with the one of `first`. */
export interface ConsistencyClaim {
  first: number;
  second: number;
  firstRoot: Uint8Array;
  secondRoot: Uint8Array;
  proof: readonly Uint8Array[];
}

/** @returns whether both are the same bytes. Nothing here is secret. */
export function sameHash(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((octet, index) => octet === other[index]);
}

function areHashes(hashes: readonly Uint8Array[]): boolean {
  return hashes.every(({ length }) => length === HASH_OCTETS);
}

function isEven(number: number): boolean {
  return number % 2 === 0;
}

function half(number: number): number {
  return Math.floor(number / 2);
}

/** @returns whether the proof shows the leaf to be in the tree (RFC 9162 §2.1.3.2). */
export function verifyInclusion({ seq, size, leafHash, root, proof }: InclusionClaim): boolean {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(seq) || seq < 0 || seq >= size) return false;
  if (!areHashes([leafHash, root, ...proof])) return false;
  let [fn, sn] = [seq, size - 1];
  let hash = leafHash;
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (isEven(fn) && fn !== sn) {
      hash = hashChildren(hash, sibling);
    } else {
      hash = hashChildren(sibling, hash);
      while (isEven(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && sameHash(hash, root);
}

/** @returns both roots as the proof makes them (RFC 9162 §2.1.4.2); null where it is too short or too long. */
function provenRoots({ first, second, firstRoot, proof }: ConsistencyClaim): [Uint8Array, Uint8Array] | null {
  let [fn, sn] = [first - 1, second - 1];
  while (!isEven(fn)) [fn, sn] = [half(fn), half(sn)];
  // An old tree that is one complete subtree stands for itself.
  const [start, ...rest] = fn === 0 ? [firstRoot, ...proof] : proof;
  if (!start) return null;
  let [fr, sr] = [start, start];
  for (const hash of rest) {
    if (sn === 0) return null;
    if (!isEven(fn) || fn === sn) {
      [fr, sr] = [hashChildren(hash, fr), hashChildren(hash, sr)];
      while (isEven(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      sr = hashChildren(sr, hash);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 ? [fr, sr] : null;
}

/**
 * @returns whether the proof shows that the tree of `second` leaves begins with that of `first` (RFC 9162 §2.1.4.2). From 0 there
 * is nothing to prove: only two empty trees with an empty proof are said to be consistent.
 */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { first, second, firstRoot, secondRoot, proof } = claim;
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(second) || first < 0 || first > second) return false;
  if (first === second) {
    const isTheEmptyTree = first > 0 || sameHash(firstRoot, EMPTY_ROOT);
    return proof.length === 0 && isTheEmptyTree && sameHash(firstRoot, secondRoot);
  }
  if (first === 0 || proof.length === 0 || !areHashes([firstRoot, secondRoot, ...proof])) return false;
  const roots = provenRoots(claim);
  return roots !== null && sameHash(roots[0], firstRoot) && sameHash(roots[1], secondRoot);
}
