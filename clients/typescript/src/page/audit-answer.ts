import type { ExportVerdict, VerifiedExport } from "../../../../src/audit/verify-export.ts";
import { auditFacts, NOT_COVERED, NOT_PROVEN, PROVEN } from "../audit-words.ts";
import { code, fact, heading } from "./answer.ts";
import { element, visible } from "./dom.ts";

/** What the page says of an export. */

/** An export that was checked. */
export interface CheckedExport {
  /** What it is called, and what that is: a file's name, or whose log was fetched. */
  called: { label: string; text: string };
  verdict: ExportVerdict;
  /** Whose word the key is. */
  key_from: string;
}

function notProven(verdict: VerifiedExport): HTMLElement {
  const sentences = verdict.opened > 0 ? [...NOT_PROVEN, NOT_COVERED] : NOT_PROVEN;
  const items = sentences.map((sentence) => element("li", null, sentence));
  return element("div", null, element("h3", null, "What this does not show"), element("ul", "plain", ...items));
}

function facts({ called, key_from }: CheckedExport, verdict: VerifiedExport): HTMLElement {
  const found = auditFacts(verdict).map(({ label, text }) => fact(label, visible(text)));
  return element(
    "dl",
    "facts",
    fact(called.label, visible(called.text)),
    ...found,
    fact("Key from", visible(key_from)),
  );
}

/** @returns what a person reads of an export that was checked, and the one sentence that a screen reader says at once. */
export function auditAnswerOf(checked: CheckedExport): { parts: Node[]; spoken: string } {
  const { verdict, called, key_from } = checked;
  if (verdict.ok) {
    const parts = [heading("holds", "Holds"), element("p", null, PROVEN), facts(checked, verdict), notProven(verdict)];
    return { parts, spoken: `Holds. ${PROVEN}` };
  }
  const { code: fault, line, seq, message } = verdict.fault;
  const where = [
    fact(called.label, visible(called.text)),
    fact("Line", String(line)),
    ...(seq === null ? [] : [fact("Entry", String(seq))]),
    fact("Fault", code(fault)),
    fact("Key from", visible(key_from)),
  ];
  const meaning = "This is the first thing that is wrong. Do not rely on anything in this export, before or after it.";
  return {
    parts: [
      heading("does_not_hold", "Does not hold"),
      element("p", null, visible(message)),
      element("dl", "facts", ...where),
      element("p", "soft", meaning),
    ],
    spoken: `Does not hold. ${message}`,
  };
}
