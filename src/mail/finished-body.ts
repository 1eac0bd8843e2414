import { trimEndOf } from "./trim.ts";

/** The sentence of FORMATS.md §2.5, which tells a person what the header tells a program. */
export const AI_DISCLOSURE_SENTENCE = "This email was written by an AI agent.";

/** RFC 3676 §4.3: the line before a signature, with its space. */
const SIGNATURE_DELIMITER = "-- ";

export interface Bodies {
  text: string;
  html: string | null;
}

/** @returns `text` with CRLF and bare CR as LF. */
export function normalizeNewlines(text: string): string {
  return text.replace(/\r\n?/g, "\n");
}

/** @returns plain text as HTML that shows it, in an element or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

/**
 * The bodies as they leave: what an approver sees and what is hashed. Pure; the same input gives the same bytes.
 * @param bodies HTML already reduced to the safe subset, or null.
 * @param additions the mailbox's signature block (plain text) and whether the mail must say that an agent wrote it.
 * @returns bodies with LF line ends: the disclosure after the body, then `-- ` and the signature block, so that a client that
 *   folds signatures away still shows the disclosure.
 */
export function finishBodies(
  bodies: Bodies,
  additions: { signature_block: string | null; ai_disclosure: boolean },
): Bodies {
  const signature = normalizeNewlines(additions.signature_block ?? "").trim();
  let text = trimEndOf(normalizeNewlines(bodies.text), "\n");
  let html = bodies.html === null ? null : trimEndOf(normalizeNewlines(bodies.html), "\n");
  if (additions.ai_disclosure) {
    text += `${text === "" ? "" : "\n\n"}${AI_DISCLOSURE_SENTENCE}`;
    if (html !== null) html += `\n<p>${AI_DISCLOSURE_SENTENCE}</p>`;
  }
  if (signature !== "") {
    text += `\n\n${SIGNATURE_DELIMITER}\n${signature}`;
    if (html !== null) html += `\n<p>${SIGNATURE_DELIMITER}<br />${escapeHtml(signature).replace(/\n/g, "<br />")}</p>`;
  }
  return { text, html };
}

/**
 * What `finishBodies` was given, as far as the finished text tells.
 * @param text as it leaves, without a promotional footer.
 * @param signatureBlock the mailbox's, as it is now: one that was changed meanwhile stays in the text.
 * @returns the text without what was added below it.
 */
export function authoredText(text: string, signatureBlock: string | null): string {
  const signature = normalizeNewlines(signatureBlock ?? "").trim();
  const additions = [...(signature === "" ? [] : [`\n\n${SIGNATURE_DELIMITER}\n${signature}`]), AI_DISCLOSURE_SENTENCE];
  return additions.reduce(
    (rest, addition) => (rest.endsWith(addition) ? trimEndOf(rest.slice(0, -addition.length), "\n") : rest),
    text,
  );
}
