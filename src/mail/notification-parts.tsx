import type { FC } from "hono/jsx";
import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import type { Warning } from "../pages/misleading.ts";
import { count } from "../pages/words.ts";
import { Facts, Paragraph, Quoted, sentBy } from "./notification-layout.tsx";
import { barred, type Fact, factLines, oneLine } from "./notification-text.ts";

/** What several of our mails have in common. */

/** A mail to a person, ready to be composed: both bodies say the same. */
export interface PersonMail {
  subject: string;
  text: string;
  html: string;
}

/** @returns a mail's text: its parts with an empty line between them, those that are null or empty left out. */
export function paragraphs(...parts: (string | null)[]): string {
  return `${parts.filter((part) => part !== null && part !== "").join("\n\n")}\n`;
}

/** How many findings there are, and how bad, in one sentence; null if there are none. */
export function warningSentence(found: readonly Warning[]): string | null {
  const warnings = found.filter((warning) => warning.severity !== "notice");
  if (warnings.length === 0) return null;
  const serious = warnings.filter((warning) => warning.severity === "danger").length;
  if (serious === 0) return `Look twice: ${count(warnings.length, "thing")} in it could mislead.`;
  return `Careful: ${count(warnings.length, "warning")}, ${serious} serious. Something in it looks made to mislead.`;
}

/** The end of a mail's text: why its reader gets it, and the newest checkpoint of the audit log. */
export function foot(why: string, productUrl: string, checkpoint: string | null): string {
  const proof = checkpoint === null ? "" : `\n\nNewest checkpoint of the audit log:\n${checkpoint}`;
  return `-- \n${why} ${sentBy(productUrl)}${proof}`;
}

export const Checkpoint: FC<{ note: string }> = ({ note }) => (
  <Paragraph soft small>
    Newest checkpoint of the audit log:
    <br />
    <span style="font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;white-space:pre-wrap">{note}</span>
  </Paragraph>
);

/** Who wrote or asked, where they said so. */
export function agentFact({ agent_id }: DecisionItem["agent"]): Fact[] {
  return agent_id === null ? [] : [["Agent", `${oneLine(agent_id)} (its own claim)`]];
}

/** Someone else's words after ours, or our own sentence where there are none. */
export function quotedText(words: string, none: string, intro?: string): string {
  if (words === "") return `(${none})`;
  return intro === undefined ? barred(words) : `${intro}\n\n${barred(words)}`;
}

export const QuotedOr: FC<{ words: string; none: string; intro?: string }> = ({ words, none, intro }) =>
  words === "" ? (
    <Paragraph soft>{none}</Paragraph>
  ) : (
    <>
      {intro !== undefined && (
        <Paragraph soft small>
          {intro}
        </Paragraph>
      )}
      <Quoted text={words} />
    </>
  );

/** Labels and values under a heading of their own. */
export function titledFacts(title: string, facts: readonly Fact[]): string {
  return `${title}:\n${factLines(facts)}`;
}

export const TitledFacts: FC<{ title: string; facts: readonly Fact[] }> = ({ title, facts }) => (
  <>
    <Paragraph small>
      <b>{title}:</b>
    </Paragraph>
    <Facts facts={facts} />
  </>
);

/** @returns a sentence's words in the middle of another. */
export function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
