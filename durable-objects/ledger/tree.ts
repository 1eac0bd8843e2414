import { nodesCompletedBy, type TreeNodes } from "../../src/audit/merkle-tree.ts";

/** The Merkle tree of a log as its object keeps it: one row for each complete subtree, written when its last leaf is appended. */

/** @returns the tree's nodes; leaves are read from the entries, or from `tree_nodes` once an entry has left. */
export function treeNodes(sql: SqlStorage): TreeNodes {
  return {
    get(level, index) {
      const [node] = sql
        .exec<{ hash: ArrayBuffer }>("SELECT hash FROM tree_nodes WHERE level = ? AND position = ?", level, index)
        .toArray();
      if (node) return new Uint8Array(node.hash);
      const [entry] =
        level === 0 ? sql.exec<{ hash: string }>("SELECT hash FROM entries WHERE seq = ?", index).toArray() : [];
      if (!entry) throw new Error(`the tree has no node ${index} at level ${level}`);
      return new Uint8Array(Buffer.from(entry.hash, "hex"));
    },
  };
}

/** Adds what the leaf `seq` completes: O(log n), and one row on average. Inside `commit`. @param hash hex. */
export function growTree(sql: SqlStorage, seq: number, hash: string): void {
  for (const node of nodesCompletedBy(seq, new Uint8Array(Buffer.from(hash, "hex")), treeNodes(sql))) {
    sql.exec("INSERT INTO tree_nodes VALUES (?, ?, ?)", node.level, node.index, node.hash);
  }
}

/** Makes the tree of a log that was begun without one. Inside `commit`. */
export function plantTree(sql: SqlStorage): void {
  for (const { seq, hash } of sql.exec<{ seq: number; hash: string }>("SELECT seq, hash FROM entries ORDER BY seq")) {
    growTree(sql, seq, hash);
  }
}
