/** What can mislead the person who decides. Codes are stable; sentences are for people. */
const WARNING_CODES = [
  "bodies_differ",
  "bidi_control",
  "invisible_character",
  "control_character",
  "hidden_text",
  "lookalike_word",
  "lookalike_domain",
  "internationalised_domain",
  "link_elsewhere",
  "link_disguised",
  "name_is_other_address",
  "reply_elsewhere",
  "file_name_double_extension",
  "file_is_program",
  "file_type_mismatch",
  "file_name_spaces",
  "file_name_long",
  "file_name_repeated",
] as const;
export type WarningCode = (typeof WARNING_CODES)[number];

/** In order of urgency. `danger`: made to mislead, or as good as. `caution`: look twice. `notice`: worth knowing. */
const SEVERITIES = ["danger", "caution", "notice"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** One finding. `message` and `evidence` show invisible characters as ⟦U+202E⟧, so that they can be printed as they are. */
export interface Warning {
  code: WarningCode;
  severity: Severity;
  /** Path into the content: `subject`, `from.name`, `to.0.address`, `text`, `html`, `attachments.1.name`. */
  where: string;
  /** One sentence that a person in a hurry understands. */
  message: string;
  /** What was found, piece by piece, each with a label such as “Only in the formatted version”. */
  evidence?: { label: string; text: string }[];
}

/** @returns the warnings with the most urgent first, otherwise in the order given. */
export function byUrgency(warnings: readonly Warning[]): Warning[] {
  return [...warnings].sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
}

/** @returns `text` cut to at most `limit` code points, with an ellipsis where something was cut. */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const points = [...text];
  return points.length <= limit ? text : `${points.slice(0, limit - 1).join("")}…`;
}
