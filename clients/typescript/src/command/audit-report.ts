import type { ExportVerdict } from "../../../../src/audit/verify-export.ts";
import { auditFacts, NOT_COVERED, PROVEN } from "../audit-words.ts";
import { asciiJson, shown } from "./terminal.ts";

/** What the command line says of an export, for people and for programs. */

const LABEL_WIDTH = 12;

/** @returns a checked export as people read it. */
export function auditText(path: string, verdict: ExportVerdict): string {
  if (!verdict.ok) {
    const { code, line, seq, message } = verdict.fault;
    const place = seq === null ? `line ${line}` : `line ${line}, entry ${seq}`;
    return [`${shown(path)}: does not hold`, `  ${place}: ${shown(message)} (${code})`].join("\n");
  }
  return [
    `${shown(path)}: holds`,
    `  ${PROVEN}`,
    ...auditFacts(verdict).map(({ label, text }) => `  ${label.padEnd(LABEL_WIDTH)}${shown(text)}`),
    ...(verdict.opened > 0 ? [`  ${NOT_COVERED}`] : []),
  ].join("\n");
}

/** @returns a checked export as one line of JSON. */
export function auditJson(path: string, verdict: ExportVerdict): string {
  return asciiJson({ file: path, ...verdict });
}
