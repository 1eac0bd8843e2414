import type { HeaderVerdict, MessageVerdict } from "../../../../src/identity/verdict.ts";
import { OUTCOME_WORDS, outcomeOf, provenFacts } from "../words.ts";
import { element, icon, visible } from "./dom.ts";

/** What the page says of a message. */

/** A message that was checked. */
export interface Checked {
  /** The file's name. */
  name: string;
  from: string | null;
  verdict: MessageVerdict;
  /** Whose word the keys are; null where there are none. */
  keys_from: string | null;
  /** Nobody said which domains the key's owner may write from. */
  domains_unknown: boolean;
}

/** @returns one line of facts; null is left out. */
export function fact(label: string, ...value: (Node | string | null)[]): HTMLElement {
  return element("div", null, element("dt", null, label), element("dd", null, ...value));
}

/** @returns the heading of an answer. @param name of the drawing beside it. */
export function heading(name: string, title: string): HTMLElement {
  const h2 = element("h2", null, title);
  h2.id = "answer-title";
  h2.tabIndex = -1;
  return element("header", null, icon(name), h2);
}

/** @returns a value as programs know it. */
export function code(text: string): HTMLElement {
  return element("span", "mono", visible(text));
}

function facts({ from, verdict, name, keys_from }: Checked): HTMLElement {
  const proven = verdict.agent_metadata === null ? [] : provenFacts(verdict.agent_metadata);
  const key = verdict.headers.find(({ form, valid }) => form === "message_signature" && valid) ?? null;
  return element(
    "dl",
    "facts",
    fact("File", visible(name)),
    from === null ? null : fact("From", visible(from)),
    ...proven.map(({ label, code: value, words }) =>
      fact(
        label,
        value === null ? null : code(value),
        value === null || words === null ? null : " – ",
        words === null ? null : visible(words),
      ),
    ),
    key?.fingerprint ? fact("Key", code(key.fingerprint)) : null,
    key?.kid ? fact("Key’s id", code(key.kid)) : null,
    keys_from === null ? null : fact("Keys from", visible(keys_from)),
  );
}

function reasons({ reasons: found }: MessageVerdict): HTMLElement | null {
  if (found.length === 0) return null;
  const items = found.map(({ reason, detail }) => element("li", null, visible(detail), " ", code(reason)));
  return element("div", null, element("h3", null, "Why"), element("ul", "plain", ...items));
}

function headerItem({ header, valid, detail, reason }: HeaderVerdict): HTMLElement {
  return element(
    "li",
    null,
    element("b", valid ? "good" : "bad", valid ? "Valid" : "Not valid"),
    element("span", "mono", header),
    element("span", "soft small", visible(detail), reason === null ? null : " ", reason === null ? null : code(reason)),
  );
}

function headers({ headers: found }: MessageVerdict): HTMLElement | null {
  if (found.length === 0) return null;
  return element(
    "div",
    null,
    element("h3", null, "Header by header"),
    element("ul", "checks", ...found.map(headerItem)),
  );
}

function domainsNotice({ from, verdict, domains_unknown }: Checked): HTMLElement | null {
  if (!verdict.verified || !domains_unknown) return null;
  return element(
    "p",
    "trouble notice pad",
    "Your key does not say which domains its owner may write from. Whether ",
    from === null ? "the sender’s address" : visible(from),
    " is theirs, you must know yourself.",
  );
}

/** @returns what a person reads of a message that was checked, and the one sentence that a screen reader says at once. */
export function answerOf(checked: Checked): { parts: Node[]; spoken: string } {
  const outcome = outcomeOf(checked.verdict);
  const { title, meaning } = OUTCOME_WORDS[outcome];
  const parts = [
    heading(outcome, title),
    element("p", null, meaning),
    domainsNotice(checked),
    reasons(checked.verdict),
    facts(checked),
    headers(checked.verdict),
  ];
  return { parts: parts.filter((part) => part !== null), spoken: `${title}. ${meaning}` };
}

/** @returns the same for what could not be checked. @param sentence what is wrong; it may repeat what a stranger wrote. */
export function troubleOf(sentence: string): { parts: Node[]; spoken: string } {
  const title = "Not checked";
  return {
    parts: [heading("unreadable", title), element("p", null, visible(sentence))],
    spoken: `${title}. ${sentence}`,
  };
}
