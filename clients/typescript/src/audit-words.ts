import type { VerifiedExport } from "../../../src/audit/verify-export.ts";

/** What a verified export means to whoever holds it. */

export const PROVEN =
  "Each of these entries is there, in order and unchanged, and the log's key signed all of them. Whether what an entry says is true, no signature can tell.";

/** What no check of one export can show, and what to do about it. */
export const NOT_PROVEN: readonly string[] = [
  "That there are no newer entries: keep this checkpoint, and check the next export against it.",
  "That everybody was shown the same log: compare checkpoints with others, or ask for witnesses.",
  "That what was never written down did not happen.",
];

export const NOT_COVERED =
  "Opened fields (personal) stand beside the entries, and no signature covers them: they are the word of whoever made the export.";

const number = (value: number) => value.toLocaleString("en");

function range({ entries, first, last, size }: VerifiedExport): string {
  if (first === null || last === null) return `none, of the ${number(size)} that the log had`;
  const which = `${number(entries)}, from ${first} to ${last}`;
  return entries === size ? `${which}: the whole log` : `${which}, of the ${number(size)} that the log had`;
}

/** @returns what was found, in the order in which it matters to people. */
export function auditFacts(verdict: VerifiedExport): { label: string; text: string }[] {
  const { log, origin, from, to, size, root, signed_by, witnessed_by, grown_from, opened } = verdict;
  const facts: [string, string | null][] = [
    ["Log", log ?? origin],
    ["Entries", range(verdict)],
    ["Time", from === null || to === null ? null : `${from} to ${to}`],
    ["Checkpoint", `${number(size)} ${size === 1 ? "entry" : "entries"}, of ${origin}`],
    ["Root", root],
    ["Signed by", signed_by],
    ...witnessed_by.map(({ name, at }): [string, string] => ["Seen by", `${name} at ${at}`]),
    ["Grown from", grown_from === null ? null : `the checkpoint that you kept, of ${number(grown_from)} entries`],
    ["Opened", opened === 0 ? null : `${number(opened)} of the entries`],
  ];
  return facts.flatMap(([label, text]) => (text === null ? [] : [{ label, text }]));
}
