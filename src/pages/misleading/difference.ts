import { diffArrays } from "diff";

/** A stretch where two token lists differ: half-open index ranges into each. */
export interface Hunk {
  left: [from: number, to: number];
  right: [from: number, to: number];
}

/** How many tokens two lists have in common at one of their ends, at most `most`. */
function commonLength(left: readonly string[], right: readonly string[], most: number, fromEnd: boolean): number {
  const at = (list: readonly string[], i: number) => list[fromEnd ? list.length - 1 - i : i];
  let n = 0;
  while (n < most && at(left, n) === at(right, n)) n++;
  return n;
}

/**
 * Compares two token lists.
 * @param limit how many single edits to look for; bounds the time for hostile input.
 * @returns the differing stretches in order, or null if there are more than `limit` edits.
 */
export function findHunks(left: readonly string[], right: readonly string[], limit: number): Hunk[] | null {
  const shorter = Math.min(left.length, right.length);
  const start = commonLength(left, right, shorter, false);
  const end = commonLength(left, right, shorter - start, true);
  const changes = diffArrays(left.slice(start, left.length - end), right.slice(start, right.length - end), {
    maxEditLength: limit,
  });
  if (!changes) return null;
  const hunks: Hunk[] = [];
  let [x, y] = [start, start];
  for (const { added, removed, count } of changes) {
    const [fromX, fromY] = [x, y];
    if (!added) x += count;
    if (!removed) y += count;
    if (!added && !removed) continue;
    const last = hunks.at(-1);
    if (last && last.left[1] === fromX && last.right[1] === fromY) {
      last.left[1] = x;
      last.right[1] = y;
    } else hunks.push({ left: [fromX, x], right: [fromY, y] });
  }
  return hunks;
}
