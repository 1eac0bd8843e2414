import { ACTIONS, isAction } from "./actions.ts";
import type { Entry } from "./entry.ts";
import { ALTERED_WORDS } from "./stored-entry.ts";

/**
 * A log as CSV (RFC 4180) for people and their spreadsheets: a line of names, one record an entry, and a last record that holds the
 * checkpoint, so that a file without one is known to be cut. Nothing can be verified from it: NDJSON is for that.
 */

type Row = Entry & { hash: string };

/** What stands openly, and how it is found in an entry. docs/audit.md has this table. */
const COLUMNS = {
  log: ({ log }) => log,
  seq: ({ seq }) => String(seq),
  at: ({ at }) => at,
  id: ({ id }) => id,
  action: ({ action }) => action,
  says: ({ action }) => (isAction(action) ? ACTIONS[action].says : ""),
  actor_type: ({ actor }) => actor.type,
  actor_id: ({ actor }) => actor.id,
  agent_id: ({ actor }) => actor.agent_id ?? "",
  key_id: ({ actor }) => actor.key_id ?? "",
  via: ({ actor }) => actor.via,
  resource_type: ({ resource }) => resource.type,
  resource_id: ({ resource }) => resource.id,
  mode: ({ mode }) => mode ?? "",
  detail: ({ detail }) => JSON.stringify(detail),
  hash: ({ hash }) => hash,
  prev: ({ prev }) => prev,
} as const satisfies Record<string, (row: Row) => string>;

/** Opened fields that have a column of their own, by the names that actions give them. The rest is one column of JSON. */
const PERSONAL_COLUMNS = {
  from: ["from", "envelope_from"],
  to: ["to", "envelope_to"],
  cc: ["cc"],
  bcc: ["bcc"],
  subject: ["subject"],
  recipient: ["recipient"],
  person: ["decided_by", "person", "by"],
  reason: ["reason", "because", "note"],
  answer: ["response", "diagnostic"],
} as const satisfies Record<string, readonly string[]>;
const OTHER = "other_personal";

/** @returns the columns' names. @param personal whether opened fields have theirs. */
export function csvColumns(personal: boolean): string[] {
  return [...Object.keys(COLUMNS), ...(personal ? [...Object.keys(PERSONAL_COLUMNS), OTHER] : [])];
}

/** What a spreadsheet would take for a formula, or for a character that hides one; also in the full-width forms that some take. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** @returns a cell: no formula, and in quotes where it has to be. */
export function csvCell(text: string): string {
  const harmless = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function record(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(",")}\r\n`;
}

/** @returns the first line. */
export function csvHeader(personal: boolean): string {
  return record(csvColumns(personal));
}

function inWords(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  const isList = Array.isArray(value) && value.every((each) => typeof each === "string");
  return isList ? value.join(", ") : JSON.stringify(value);
}

function personalCells(personal: Readonly<Record<string, unknown>>): string[] {
  const rest = { ...personal };
  const cells = Object.values(PERSONAL_COLUMNS).map((names: readonly string[]) => {
    const name = names.find((each) => rest[each] !== undefined && rest[each] !== null);
    if (name === undefined) return "";
    const cell = inWords(rest[name]);
    delete rest[name];
    return cell;
  });
  return [...cells, Object.keys(rest).length ? JSON.stringify(rest) : ""];
}

/**
 * @param personal the opened fields: null where there are none or they were erased, undefined where they are not exported.
 * @returns the record of an entry.
 */
export function csvRecord(
  entry: Entry,
  hash: string,
  personal: Readonly<Record<string, unknown>> | null | undefined,
): string {
  const open = Object.values(COLUMNS).map((cell) => cell({ ...entry, hash }));
  return record(personal === undefined ? open : [...open, ...personalCells(personal ?? {})]);
}

/** What stands in the place of an entry: its log and place, and what D1 has there. */
export interface AlteredPlace {
  log: string;
  seq: number;
  text: string;
  hash: string;
}

/** @returns the record of an entry that was altered: `altered` as the action, and what is stored there as the detail. */
export function csvAltered({ log, seq, text, hash }: AlteredPlace, personal: boolean): string {
  return placed({ log, seq: String(seq), action: "altered", says: ALTERED_WORDS, detail: text, hash }, personal);
}

function placed(cells: Readonly<Record<string, string>>, personal: boolean): string {
  return record(csvColumns(personal).map((name) => cells[name] ?? ""));
}

/** @returns the last record: `checkpoint` as the action, and the signed note as the detail. */
export function csvCheckpoint(log: string, note: string, personal: boolean): string {
  return placed({ log, action: "checkpoint", detail: note }, personal);
}
