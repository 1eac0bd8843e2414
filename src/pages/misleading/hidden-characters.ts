import { type HiddenKind, spelledOut, type TextContext, textRuns } from "./characters.ts";
import type { Severity, Warning, WarningCode } from "./warning.ts";

const FINDINGS: Record<HiddenKind, { code: WarningCode; what: string }> = {
  override: {
    code: "bidi_control",
    what: "a character that makes text read backwards, so what you see is not what is written",
  },
  bidi: {
    code: "bidi_control",
    what: "characters that change the direction of text, which can make it read differently",
  },
  invisible: { code: "invisible_character", what: "characters that nobody can see" },
  control: { code: "control_character", what: "control characters that have no place in text" },
};

const SEVERITY: Record<HiddenKind, Record<TextContext, Severity>> = {
  override: { body: "danger", line: "danger", strict: "danger" },
  bidi: { body: "caution", line: "caution", strict: "danger" },
  invisible: { body: "caution", line: "caution", strict: "danger" },
  control: { body: "caution", line: "caution", strict: "danger" },
};

/** Finds hidden characters in one field, at most one warning a kind. `label` begins the sentence: “The subject”. */
export function findHiddenCharacters(text: string, where: string, label: string, context: TextContext): Warning[] {
  const found = new Map<HiddenKind, Map<string, number>>();
  for (const run of textRuns(text, context)) {
    if (run.hidden === null) continue;
    const counts = found.get(run.hidden) ?? new Map<string, number>();
    counts.set(run.text, (counts.get(run.text) ?? 0) + 1);
    found.set(run.hidden, counts);
  }
  return [...found].map(([kind, counts]) => {
    const listed = [...counts]
      .slice(0, 5)
      .map(([point, n]) => (n > 1 ? `${spelledOut(point)} × ${n}` : spelledOut(point)));
    const more = counts.size > 5 ? ` and ${counts.size - 5} more kinds` : "";
    return {
      code: FINDINGS[kind].code,
      severity: SEVERITY[kind][context],
      where,
      message: `${label} contains ${FINDINGS[kind].what}: ${listed.join(", ")}${more}.`,
    };
  });
}
