/** A stretch where two token lists differ: half-open index ranges into each. */
export interface Hunk {
  left: [from: number, to: number];
  right: [from: number, to: number];
}

/** The edit steps of Myers' algorithm, furthest-reaching paths by number of edits; null beyond `limit`. */
function furthestPaths(left: readonly string[], right: readonly string[], limit: number): Map<number, number>[] | null {
  const paths: Map<number, number>[] = [];
  let current = new Map<number, number>([[1, 0]]);
  for (let edits = 0; edits <= limit; edits++) {
    const next = new Map<number, number>();
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const below = current.get(diagonal + 1) ?? -1;
      const beside = current.get(diagonal - 1) ?? -1;
      let x = diagonal === -edits || (diagonal !== edits && beside < below) ? below : beside + 1;
      let y = x - diagonal;
      while (x < left.length && y < right.length && left[x] === right[y]) {
        x++;
        y++;
      }
      next.set(diagonal, x);
      if (x >= left.length && y >= right.length) return [...paths, next];
    }
    paths.push(next);
    current = next;
  }
  return null;
}

/**
 * Compares two token lists (Myers, "An O(ND) Difference Algorithm").
 * @param limit how many single edits to look for; bounds the time for hostile input.
 * @returns the differing stretches in order, or null if there are more than `limit` edits.
 */
export function findHunks(left: readonly string[], right: readonly string[], limit: number): Hunk[] | null {
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start++;
  let end = 0;
  while (
    end < left.length - start &&
    end < right.length - start &&
    left[left.length - 1 - end] === right[right.length - 1 - end]
  )
    end++;
  const a = left.slice(start, left.length - end);
  const b = right.slice(start, right.length - end);
  const paths = furthestPaths(a, b, limit);
  if (paths === null) return null;
  const hunks: Hunk[] = [];
  let x = a.length;
  let y = b.length;
  for (let edits = paths.length - 1; edits > 0; edits--) {
    const before = paths[edits - 1] as Map<number, number>;
    const diagonal = x - y;
    const below = before.get(diagonal + 1) ?? -1;
    const beside = before.get(diagonal - 1) ?? -1;
    const down = diagonal === -edits || (diagonal !== edits && beside < below);
    const fromX = down ? below : beside;
    const fromY = fromX - (down ? diagonal + 1 : diagonal - 1);
    const toX = down ? fromX : fromX + 1;
    const toY = down ? fromY + 1 : fromY;
    const later = hunks[0];
    if (later && later.left[0] === toX + start && later.right[0] === toY + start) {
      later.left[0] = fromX + start;
      later.right[0] = fromY + start;
    } else {
      hunks.unshift({ left: [fromX + start, toX + start], right: [fromY + start, toY + start] });
    }
    x = fromX;
    y = fromY;
  }
  return hunks;
}
