import type { MessageContent } from "../mail/message.ts";
import { compareBodies } from "./misleading/bodies.ts";
import { makeVisible } from "./misleading/characters.ts";
import { addressesOf, domainOf, findTwins, judgeDomain, type PlacedAddress } from "./misleading/domains.ts";
import { judgeFiles } from "./misleading/files.ts";
import { findHiddenCharacters } from "./misleading/hidden-characters.ts";
import { type HtmlContent, readHtml } from "./misleading/html-content.ts";
import { judgeLink } from "./misleading/links.ts";
import { writesAnotherAlphabet } from "./misleading/lookalikes.ts";
import { judgeName, judgeNameLetters, judgeReplyTo, judgeWords } from "./misleading/names.ts";
import { byUrgency, shorten, type Warning } from "./misleading/warning.ts";

export type { Severity, Warning, WarningCode } from "./misleading/warning.ts";

/** How many findings of one kind are told one by one; the rest is counted. Nobody reads the fortieth. */
const MOST_OF_A_KIND = 5;

function judgeAddress(place: PlacedAddress, foreign: boolean): Warning[] {
  const { name, address, path, label } = place;
  return [
    ...findHiddenCharacters(name ?? "", `${path}.name`, `${label}'s name`, "line"),
    ...findHiddenCharacters(address, `${path}.address`, `${label}'s address`, "strict"),
    ...judgeName(place),
    ...judgeNameLetters(place, foreign),
    ...judgeDomain(domainOf(address), `${path}.address`, `${label}'s domain`),
  ];
}

function judgeHidden(html: HtmlContent): Warning[] {
  if (html.hidden.length === 0) return [];
  return [
    {
      code: "hidden_text",
      severity: "caution",
      where: "html",
      message: "The formatted version contains text that people do not see but programs read.",
      evidence: html.hidden
        .slice(0, 3)
        .map((text) => ({ label: "Hidden text", text: shorten(makeVisible(text, "body"), 200) })),
    },
  ];
}

function judgeBodies(content: MessageContent, html: HtmlContent | null): Warning[] {
  return [
    ...findHiddenCharacters(content.text ?? "", "text", "The plain text version", "body"),
    ...findHiddenCharacters(html?.text ?? "", "html", "The formatted version", "body"),
    ...judgeWords(`${content.text ?? ""}\n${html?.text ?? ""}`, "text", "The message", "caution"),
    ...(html ? judgeHidden(html) : []),
    ...(html ? html.links.flatMap(judgeLink) : []),
    ...(html && content.text !== null ? compareBodies(content.text, html, content.html ?? "") : []),
  ];
}

/** The same sentence about the same place once, however often it is true. */
function distinct(warnings: readonly Warning[]): Warning[] {
  const seen = new Set<string>();
  return warnings.filter((warning) => {
    const key = JSON.stringify([warning.code, warning.message, warning.evidence]);
    return !seen.has(key) && seen.add(key);
  });
}

/** Sentences quote what they warn of; quoted, it must not mislead again. */
function printable(warning: Warning): Warning {
  const message = makeVisible(warning.message, "strict");
  if (!warning.evidence) return { ...warning, message };
  return {
    ...warning,
    message,
    evidence: warning.evidence.map(({ label, text }) => ({ label, text: makeVisible(text, "strict") })),
  };
}

function countTheRest(warnings: readonly Warning[]): Warning[] {
  const kinds = Map.groupBy(warnings, (warning) => `${warning.severity} ${warning.code}`);
  return [...kinds.values()].flatMap((kind) => {
    const last = kind[MOST_OF_A_KIND - 1];
    if (kind.length <= MOST_OF_A_KIND || !last) return kind;
    const rest = kind.length - MOST_OF_A_KIND + 1;
    const { code, severity, where } = last;
    return [
      ...kind.slice(0, MOST_OF_A_KIND - 1),
      { code, severity, where, message: `And ${rest} more findings like the one above.` },
    ];
  });
}

/**
 * Finds what can mislead a person who decides about a message: characters nobody sees, letters and domains that look like
 * others, links and names that claim another address, versions of the body that differ, and file names that lie. Pure, and
 * quiet about ordinary mail in any language.
 * @returns the findings, most urgent first.
 */
export function findMisleading(content: MessageContent): Warning[] {
  const html = content.html === null ? null : readHtml(content.html);
  const addresses = addressesOf(content);
  const foreign = writesAnotherAlphabet(`${content.subject} ${content.text ?? html?.text ?? ""}`);
  const files = content.attachments.flatMap((file, i) => [
    ...findHiddenCharacters(
      file.name,
      `attachments.${i}.name`,
      `The file name “${shorten(makeVisible(file.name, "strict"), 60)}”`,
      "strict",
    ),
    ...judgeWords(file.name, `attachments.${i}.name`, "A file name", "danger"),
  ]);
  return byUrgency(
    countTheRest(
      distinct([
        ...findHiddenCharacters(content.subject, "subject", "The subject", "line"),
        ...judgeWords(content.subject, "subject", "The subject", "caution"),
        ...addresses.flatMap((place) => judgeAddress(place, foreign)),
        ...findTwins(addresses),
        ...judgeReplyTo(content),
        ...judgeBodies(content, html),
        ...files,
        ...judgeFiles(content.attachments),
      ]),
    ),
  ).map(printable);
}
