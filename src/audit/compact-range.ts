import { HASH_OCTETS, hashChildren, joinedRoot, type Subtree, subtreesOf } from "./merkle-tree.ts";

type Node = Subtree & { hash: Uint8Array };

/**
 * The leaves [start, end) of a tree, read one after the other, as the roots of their largest complete subtrees: all that is
 * needed of them for a root, in a few hundred bytes however many they are.
 */
export class CompactRange {
  readonly start: number;
  private count = 0;
  private nodes: Node[] = [];

  /** @param start the position of the first leaf that will be appended. */
  constructor(start = 0) {
    this.start = start;
  }

  /** The position after the last leaf. */
  get end(): number {
    return this.start + this.count;
  }

  /** @param leafHash of the leaf at `end`. */
  append(leafHash: Uint8Array): void {
    put(this.nodes, { level: 0, index: this.end, hash: leafHash });
    this.count += 1;
  }

  /** @returns the range as it is now, which appending to this one leaves alone. */
  snapshot(): CompactRange {
    const copy = new CompactRange(this.start);
    copy.count = this.count;
    copy.nodes = [...this.nodes];
    return copy;
  }

  /**
   * @param left the roots of the largest complete subtrees of [0, start), largest first (`leftOf`).
   * @returns the root of [0, end). @throws RangeError if `left` is not as many hashes as `start` asks for.
   */
  joined(left: readonly Uint8Array[]): Uint8Array {
    const subtrees = subtreesOf(0, this.start);
    if (left.length !== subtrees.length || left.some(({ length }) => length !== HASH_OCTETS)) {
      throw new RangeError(`the leaves before ${this.start} are ${subtrees.length} hashes`);
    }
    const nodes: Node[] = subtrees.map((subtree, index) => ({ ...subtree, hash: left[index] as Uint8Array }));
    for (const node of this.nodes) put(nodes, node);
    return joinedRoot(nodes.map(({ hash }) => hash));
  }
}

/** Puts the next subtree to the right, and makes one of two siblings as long as there are two. */
function put(nodes: Node[], added: Node): void {
  let node = added;
  while (node.index % 2 === 1 && nodes.at(-1)?.level === node.level) {
    const sibling = nodes.pop() as Node;
    node = { level: node.level + 1, index: (node.index - 1) / 2, hash: hashChildren(sibling.hash, node.hash) };
  }
  nodes.push(node);
}
