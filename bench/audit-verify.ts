import { createHash, hash } from "node:crypto";
import { argv } from "node:process";
import { checkpointText } from "../src/audit/checkpoint.ts";
import { CompactRange } from "../src/audit/compact-range.ts";
import { entryText, NO_PREVIOUS } from "../src/audit/entry.ts";
import { checkpointLine, exportLine } from "../src/audit/export-line.ts";
import { formatVerifierKey } from "../src/audit/signed-note.ts";
import { readTrust } from "../src/audit/trust.ts";
import { ExportVerifier } from "../src/audit/verify-export.ts";
import { noteSigner } from "../test/support/note-signer.ts";
import { testEntry } from "../test/support/test-log.ts";

/**
 * How fast an export of a million entries is verified, beside SHA-256 alone over the same bytes, in one run: block by block, by
 * turns. The export is made as it is read and never whole anywhere; only reading is timed. `npm run bench`.
 */
const ENTRIES = Number(argv[2] ?? 1_000_000);
const BLOCK = 5_000;
/** Memory is compared with what there was once everything had run a few times. */
const WARM_UP = 10;

const LOG = "mbx_01K5T3ZQ8YB6F2N7XJ4M9C1D0E";
const signer = noteSigner(`mail.test/logs/${LOG}`, 1);
const tree = new CompactRange();
let previous = NO_PREVIOUS;

/** An entry as mailboxes have them: ids of 30 characters, two of three with something sealed. */
function nextLine(): string {
  const seq = tree.end;
  const entry = testEntry(LOG, seq, previous);
  const id = (prefix: string) => `${prefix}_01K5T3ZQ8YB6F2N7XJ${String(seq).padStart(8, "0")}`;
  const ct = "Jm8+".repeat(40 + (seq % 60));
  const text = entryText({
    ...entry,
    id: id("aud"),
    actor: { ...entry.actor, id: id("key"), key_id: id("key") },
    resource: { type: "email", id: id("em") },
    ...(seq % 3 && { sealed: { kid: id("em"), iv: "AAAAAAAAAAAAAAAA", ct } }),
  });
  const leaf = createHash("sha256").update(Buffer.of(0)).update(text).digest();
  tree.append(new Uint8Array(leaf));
  previous = leaf.toString("hex");
  return exportLine(text, previous, null);
}

const times = { verifying: 0, one_digest: 0, leaves: 0, leaves_and_nodes: 0 };

function timed(name: keyof typeof times, work: () => void): void {
  const begun = performance.now();
  work();
  times[name] += performance.now() - begun;
}

/** The block as the bytes that SHA-256 is given one after the other: an octet and an entry. */
function leavesOf(lines: readonly string[]): Buffer[] {
  return lines.map((line) => Buffer.from(`\0${line.slice(0, line.lastIndexOf(',"hash"'))}}`));
}

const verifier = new ExportVerifier(readTrust({ keys: formatVerifierKey(signer.key) }));
const whole = createHash("sha256");
const node = Buffer.alloc(65, 1);
const memory = () => process.memoryUsage();
let [octets, blocks, baseline] = [0, 0, memory()];
let [peakRss, peakHeap] = [0, 0];

function readBlock(lines: readonly string[]): void {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
  octets += bytes.length;
  const leaves = leavesOf(lines);
  const measured: [keyof typeof times, () => void][] = [
    ["verifying", () => verifier.write(bytes)],
    ["one_digest", () => void whole.update(bytes)],
    ["leaves", () => leaves.forEach((leaf) => void hash("sha256", leaf, "hex"))],
    [
      "leaves_and_nodes",
      () => {
        for (const leaf of leaves) {
          hash("sha256", leaf, "hex");
          hash("sha256", node, "hex");
        }
      },
    ],
  ];
  // Each goes first in turn, so that none always finds the bytes in the cache.
  for (let turn = 0; turn < measured.length; turn++) {
    timed(...(measured[(turn + blocks) % measured.length] as (typeof measured)[number]));
  }
  blocks += 1;
  if (blocks === WARM_UP) baseline = memory();
  if (blocks > WARM_UP) {
    peakRss = Math.max(peakRss, memory().rss - baseline.rss);
    peakHeap = Math.max(peakHeap, memory().heapUsed - baseline.heapUsed);
  }
}

while (tree.end < ENTRIES) readBlock(Array.from({ length: Math.min(BLOCK, ENTRIES - tree.end) }, nextLine));
const note = signer.sign(checkpointText({ origin: signer.key.name, size: ENTRIES, root: tree.joined([]) }));
timed("verifying", () => verifier.write(Buffer.from(`${checkpointLine(note)}\n`)));
const verdict = verifier.end();
if (!verdict.ok) throw new Error(`the export does not verify: ${JSON.stringify(verdict)}`);

const MB = 1e6;
const rate = (name: keyof typeof times) => {
  const seconds = times[name] / 1000;
  return `${Math.round(ENTRIES / seconds).toLocaleString("en")} entries/s, ${Math.round(octets / MB / seconds)} MB/s`;
};
const ratio = (name: keyof typeof times) => (times[name] / times.verifying).toFixed(2);
console.log(
  `${verdict.entries.toLocaleString("en")} entries, ${Math.round(octets / MB)} MB, verified from the first to the root`,
);
console.log(`verifying:                              ${rate("verifying")}`);
console.log(`SHA-256 alone, the digests of the tree: ${rate("leaves_and_nodes")}; ratio ${ratio("leaves_and_nodes")}`);
console.log(`SHA-256 alone, one digest an entry:     ${rate("leaves")}; ratio ${ratio("leaves")}`);
console.log(`SHA-256 alone, one digest of the file:  ${rate("one_digest")}; ratio ${ratio("one_digest")}`);
console.log(
  `peak growth after the first ${(WARM_UP * BLOCK).toLocaleString("en")} entries: RSS ${Math.round(peakRss / MB)} MB, heap ${Math.round(peakHeap / MB)} MB`,
);
