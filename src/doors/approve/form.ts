import { LONGEST_NOTE } from "../../pages/decision/form.tsx";
import type { TypedEdit } from "../../pages/decision/typed-edit.ts";
import type { KeptWords } from "../../pages/kept.tsx";
import { withoutHidden } from "../../pages/misleading/characters.ts";
import { readAtMost } from "../bounded-body.ts";

/**
 * A body of 256 KiB takes six times as much where each octet is a line end, written `%0D%0A`; a note of 2,000 characters takes
 * 18,000 bytes where each is written `%E3%81%82`. Beside them are short fields only.
 */
const LARGEST_FORM = 6 * 256 * 1024 + 96 * 1024;
/** A message has fewer recipients. */
const MOST_LEFT_OUT = 200;

/** The buttons of a decision page; `approve_edited` approves what the person made of the message. */
export const CHOICES = ["approve", "approve_edited", "reject"] as const;
export type Choice = (typeof CHOICES)[number];

/** What a decision page's form sent. */
export interface DecisionForm {
  csrf: string;
  /** The content that the page showed; empty if the form did not say. */
  content_hash: string;
  /** Null: no button of ours, or more than one. */
  choice: Choice | null;
  note: string;
  typed: TypedEdit;
}

/** @returns whether a Content-Type is the one our form sends. */
export function isForm(contentType: string | undefined): boolean {
  return /^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(contentType?.trim() ?? "");
}

/**
 * Whether the headers that a browser adds by itself speak for our own page. Under `Referrer-Policy: no-referrer` browsers send
 * `Origin: null` with our own form (Fetch, "append a request Origin header"), so `null` is no proof against it either;
 * Sec-Fetch-Site then tells, and where a browser lacks that too, the form's secret does.
 */
export function isFromOurPage(request: Request, publicUrl: string): boolean {
  const site = request.headers.get("Sec-Fetch-Site");
  if (site !== null && site !== "same-origin") return false;
  const origin = request.headers.get("Origin");
  if (origin === null || origin === "null") return true;
  return origin === new URL(publicUrl).origin || origin === new URL(request.url).origin;
}

/** @returns the fields of a form that a page of ours sent, or null if its body is larger than `limit` bytes. */
export async function readFields(request: Request, limit: number): Promise<URLSearchParams | null> {
  const bytes = await readAtMost(request, limit);
  return bytes === null ? null : new URLSearchParams(new TextDecoder().decode(bytes));
}

/** A note is kept in the record and shown to people: its line ends are LF, and what cannot be seen is left out. */
export function cleanNote(note: string): string {
  const lines = note.replace(/\r\n?/g, "\n").toWellFormed();
  return withoutHidden(lines.replace(/[^\P{Cc}\n\t]/gu, "")).trim();
}

/** @returns why a note of this length is not taken, or null if it is. */
export function noteTrouble(note: string): string | null {
  return note.length > LONGEST_NOTE
    ? `The note is ${note.length} characters long; ${LONGEST_NOTE} are possible. Nothing was decided.`
    : null;
}

function choiceIn(given: readonly string[]): Choice | null {
  return given.length === 1 ? (CHOICES.find((choice) => choice === given[0]) ?? null) : null;
}

/** @returns what a decision page's form sent, or null if the body is larger than any such form. */
export async function readDecisionForm(request: Request): Promise<DecisionForm | null> {
  const fields = await readFields(request, LARGEST_FORM);
  if (fields === null) return null;
  return {
    csrf: fields.get("csrf") ?? "",
    content_hash: fields.get("content_hash") ?? "",
    choice: choiceIn(fields.getAll("decision")),
    note: cleanNote(fields.get("note") ?? ""),
    typed: {
      subject: fields.get("subject"),
      body: fields.get("body"),
      without: [...new Set(fields.getAll("without"))].slice(0, MOST_LEFT_OUT),
    },
  };
}

/** @returns what the person wrote, to be given back where the form itself cannot; null unless they changed a message. */
export function keptWords({ choice, note, typed }: DecisionForm): KeptWords | null {
  return choice === "approve_edited" ? { note, subject: typed.subject, body: typed.body } : null;
}
