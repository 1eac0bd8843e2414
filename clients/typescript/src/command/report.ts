import type { HeaderVerdict, MessageVerdict, PolicyResult } from "../../../../src/identity/verdict.ts";
import { OUTCOME_WORDS, outcomeOf, provenFacts } from "../words.ts";
import { asciiJson, shown } from "./terminal.ts";

/** What the command line says of a message, for people and for programs. */

/** A message that was checked. */
export interface Checked {
  path: string;
  /** The From address, as far as there is one. */
  from: string | null;
  verdict: MessageVerdict;
  policy: PolicyResult[];
  /** Nobody said which domains the key's owner may write from. */
  domains_unknown: boolean;
}

/** @returns whether a message is verified and passes what the reader demands. */
export function passes({ verdict, policy }: Pick<Checked, "verdict" | "policy">): boolean {
  return verdict.verified === true && policy.every(({ passed }) => passed);
}

/** The key that the whole message verifies with. */
function keyOf({ headers }: MessageVerdict): Pick<HeaderVerdict, "kid" | "fingerprint"> | null {
  const found = headers.find(({ form, valid }) => form === "message_signature" && valid);
  return found ? { kid: found.kid, fingerprint: found.fingerprint } : null;
}

const LABEL_WIDTH = 12;

function line(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)}${text}`;
}

function factLines({ from, verdict }: Checked): string[] {
  const proven = verdict.agent_metadata === null ? [] : provenFacts(verdict.agent_metadata);
  const key = keyOf(verdict);
  const keyText = key && [key.kid, key.fingerprint].filter((text) => text !== null).join(" ");
  return [
    ...(from === null ? [] : [line("From", shown(from))]),
    ...proven.map(({ label, code, words }) =>
      line(label, [code, words].flatMap((text) => (text === null ? [] : [shown(text)])).join(", ")),
    ),
    ...(keyText ? [line("Key", shown(keyText))] : []),
  ];
}

function headerLine({ header, valid, reason, detail }: HeaderVerdict): string {
  return valid ? `  valid       ${header}` : `  not valid   ${header}: ${shown(detail)} (${reason})`;
}

function domainsLine({ from, verdict, domains_unknown }: Checked): string[] {
  if (!verdict.verified || !domains_unknown) return [];
  const whose = from === null ? "the sender's address" : shown(from);
  return [
    `  The key does not say which domains its owner may write from. Whether ${whose} is theirs, you must know yourself.`,
  ];
}

/** @returns a checked message for people: one line with the verdict, then who it is from, then each header. */
export function textReport(checked: Checked): string {
  const { verdict, policy } = checked;
  const { title, meaning } = OUTCOME_WORDS[outcomeOf(verdict)];
  const refused = policy.filter(({ passed }) => !passed);
  const ending = verdict.verified && refused.length > 0 ? ", but it does not pass" : "";
  return [
    `${shown(checked.path)}: ${title.toLowerCase()}${ending}`,
    ...verdict.reasons.map(({ reason, detail }) => `  ${shown(detail)} (${reason})`),
    ...(verdict.verified ? refused.map(({ rule, detail }) => `  ${shown(detail)} (${rule})`) : [`  ${meaning}`]),
    ...factLines(checked),
    ...verdict.headers.map(headerLine),
    ...domainsLine(checked),
  ].join("\n");
}

/** @returns a checked message as one line of JSON. */
export function jsonReport(checked: Checked): string {
  const { path, from, verdict, policy, domains_unknown } = checked;
  const { verified, reasons, headers, claim, agent_metadata } = verdict;
  return asciiJson({
    file: path,
    verified,
    passed: passes(checked),
    reasons,
    from,
    headers,
    claim,
    key: keyOf(verdict),
    domains_unknown,
    agent_metadata,
    policy: { passed: policy.every(({ passed }) => passed), results: policy },
  });
}
