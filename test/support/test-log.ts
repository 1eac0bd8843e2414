import { type Checkpoint, checkpointText } from "../../src/audit/checkpoint.ts";
import { type Entry, entryText, hashEntryText, NO_PREVIOUS } from "../../src/audit/entry.ts";
import { checkpointLine, exportLine, proofLine } from "../../src/audit/export-line.ts";
import { consistencyProof, leftOf, nodesCompletedBy, rootOf, type TreeNodes } from "../../src/audit/merkle-tree.ts";
import { formatVerifierKey } from "../../src/audit/signed-note.ts";
import { type NoteSigner, noteSigner } from "./note-signer.ts";

/** Logs made by the pure code alone, for those who check exports. */

const HOST = "mail.test";
const FIRST_AT = Date.UTC(2026, 10, 1);
const SEALED = { ct: Buffer.alloc(60, 7).toString("base64"), iv: Buffer.alloc(12, 7).toString("base64") };

/** The entry at a place: every third has something sealed, and the fifth one's id is not ASCII. */
export function testEntry(log: string, seq: number, prev: string): Entry {
  const email = `em_${String(seq).padStart(6, "0")}`;
  return {
    v: 1,
    log,
    seq,
    id: `aud_${String(seq).padStart(6, "0")}`,
    // Two in a row may have the same moment.
    at: new Date(FIRST_AT + 1000 * Math.floor(seq / 2)).toISOString(),
    actor: { type: "agent", id: "key_1", agent_id: "sales", key_id: "key_1", via: "rest" },
    action: seq % 2 ? "message.queued" : "message.held",
    resource: { type: "email", id: seq === 5 ? "em_ünïcødé" : email },
    mode: seq % 4 ? "gated_send" : null,
    detail: { recipients: seq % 3, dry_run: seq % 2 === 0, rules: seq % 5 ? ["risk_hold"] : [] },
    ...(seq % 3 === 0 && { sealed: { kid: email, ...SEALED } }),
    prev,
  };
}

/** A log that is in memory. */
export class TestLog {
  readonly log: string;
  readonly origin: string;
  readonly signer: NoteSigner;
  /** Canonical forms and their hashes (hex). */
  readonly texts: string[] = [];
  readonly hashes: string[] = [];
  readonly nodes: TreeNodes;
  private readonly kept = new Map<string, Uint8Array>();

  /** @param seed of its key. @param change rewrites entries before they are hashed. */
  constructor(length: number, { log = "mbx_1", seed = 1, change = (entry: Entry): Entry => entry } = {}) {
    this.log = log;
    this.origin = `${HOST}/logs/${log}`;
    this.signer = noteSigner(this.origin, seed);
    this.nodes = { get: (level, index) => this.kept.get(`${level}/${index}`) as Uint8Array };
    for (let seq = 0; seq < length; seq++)
      this.append(entryText(change(testEntry(log, seq, this.hashes.at(-1) ?? NO_PREVIOUS))));
  }

  private append(text: string): void {
    const seq = this.texts.length;
    const hash = hashEntryText(text);
    const leaf = new Uint8Array(Buffer.from(hash, "hex"));
    for (const node of nodesCompletedBy(seq, leaf, this.nodes)) this.kept.set(`${node.level}/${node.index}`, node.hash);
    this.kept.set(`0/${seq}`, leaf);
    this.texts.push(text);
    this.hashes.push(hash);
  }

  /** The verifier key as it is published. */
  get key(): string {
    return formatVerifierKey(this.signer.key);
  }

  /** @returns the signed note of a size. @param change what it says instead. */
  checkpoint(size = this.texts.length, change: Partial<Checkpoint> = {}, signer = this.signer): string {
    return signer.sign(checkpointText({ origin: this.origin, size, root: rootOf(size, this.nodes), ...change }));
  }

  /** @returns the line of an entry. @param personal what is opened beside it. */
  line(seq: number, personal: Record<string, unknown> | null = null): string {
    return exportLine(this.texts[seq] as string, this.hashes[seq] as string, personal);
  }

  /** @returns the lines of a whole export. @param opened adds opened fields to what has something sealed. */
  lines({ opened = false, size = this.texts.length } = {}): string[] {
    const entries = this.texts
      .slice(0, size)
      .map((_, seq) =>
        this.line(
          seq,
          opened && seq % 3 === 0
            ? { to: ["ana@customer.example"], subject: seq % 2 ? `Offer "${seq}"` : `Größe "${seq}"` }
            : null,
        ),
      );
    return [...entries, checkpointLine(this.checkpoint(size))];
  }

  /** @returns the lines of the entries [start, end) with their proof, under the checkpoint of `size`. */
  part(start: number, end: number, size = this.texts.length): string[] {
    const entries = this.texts.slice(start, end).map((_, index) => this.line(start + index));
    return [...entries, this.proof(start, end, size), checkpointLine(this.checkpoint(size))];
  }

  proof(start: number, end: number, size = this.texts.length): string {
    const [left, consistency] = [leftOf(start, this.nodes), consistencyProof(end, size, this.nodes)];
    return proofLine({ start, end, left, consistency });
  }
}

/** @returns an export's bytes. */
export function exportBytes(lines: readonly string[]): Uint8Array {
  return new Uint8Array(Buffer.from(lines.map((line) => `${line}\n`).join("")));
}

/** @returns the bytes cut into pieces of one size. */
export function* cut(bytes: Uint8Array, octets: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += octets) yield bytes.subarray(at, at + octets);
}
