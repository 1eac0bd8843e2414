import { LONGEST_NOTE } from "../../pages/decision.tsx";
import { withoutHidden } from "../../pages/misleading/characters.ts";

/** A note of 2,000 characters takes 18,000 bytes where each is written `%E3%81%82`; beside it are short fields only. */
const LARGEST_FORM = 24 * 1024;

/** What the form sent. `trouble` says why it decides nothing, else null. */
export type SentForm = { csrf: string; note: string } & (
  | { trouble: null; decision: "approve" | "reject" }
  | { trouble: string }
);

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

/** @returns the body's bytes, or null once there are more than `limit`; the rest is not read. */
async function readAtMost(request: Request, limit: number): Promise<Uint8Array | null> {
  if (Number(request.headers.get("Content-Length") ?? 0) > limit) return null;
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    if (size > limit) {
      await reader.cancel();
      return null;
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks);
}

/** A note is kept in the record and shown to people: its line ends are LF, and what cannot be seen is left out. */
function cleanNote(note: string): string {
  const lines = note.replace(/\r\n?/g, "\n").toWellFormed();
  return withoutHidden(lines.replace(/[^\P{Cc}\n\t]/gu, "")).trim();
}

/** @returns the fields of the form, or null if the body is larger than any such form. */
export async function readForm(request: Request): Promise<SentForm | null> {
  const bytes = await readAtMost(request, LARGEST_FORM);
  if (bytes === null) return null;
  const fields = new URLSearchParams(new TextDecoder().decode(bytes));
  const csrf = fields.get("csrf") ?? "";
  const note = cleanNote(fields.get("note") ?? "");
  if (note.length > LONGEST_NOTE) {
    const trouble = `The note is ${note.length} characters long; ${LONGEST_NOTE} are possible. Nothing was decided.`;
    return { csrf, note, trouble };
  }
  const [decision, ...more] = fields.getAll("decision");
  if (more.length > 0 || (decision !== "approve" && decision !== "reject")) {
    return { csrf, note, trouble: "Nothing was decided: choose to approve or to reject." };
  }
  return { csrf, note, trouble: null, decision };
}
