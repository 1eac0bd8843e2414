import { Refused } from "../errors.ts";
import { MAX_BODY_OCTETS, MAX_SUBJECT_CHARACTERS } from "./limits.ts";
import { renderMarkdown } from "./markdown.ts";
import type { MailAddress } from "./message.ts";
import { htmlToPlainText } from "./plain-text.ts";
import {
  fillSource,
  type Place,
  placeholdersIn,
  renderSource,
  replaceBracketed,
  replacePlaceholders,
  type TemplateSource,
  urlsAmong,
} from "./template-placeholders.ts";
import { readValues } from "./template-values.ts";

/**
 * Templates: markdown with placeholders, `{{name}}`, that a human approves once. The template is rendered with stand-ins, and
 * the values take their place in the finished HTML: so no value can make an element, whatever it holds. Pure.
 */

export interface RenderedTemplate {
  subject: string;
  text: string;
  /** In the safe subset. */
  html: string;
  /** A source that renders to exactly these bodies, for whoever edits the message; null where there is none. */
  markdown: string | null;
}

/** As HTML in the safe subset has it. */
function escapeText(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function escapeAttribute(text: string): string {
  return escapeText(text).replace(/"/g, "&quot;");
}

/** Plain text as markdown: no character of it is markup, in markdown or in HTML that stands in it. */
function escapeMarkdown(text: string): string {
  return escapeText(text.replace(/[!-%'-/:;=?@[-`{-~]/g, "\\$&"));
}

/** What is put in the place of a placeholder. */
interface Filling {
  value: string;
  isUrl: boolean;
}

function asHtml({ value, isUrl }: Filling, place: Place): string {
  if (place === "address" || place === "part of an address") return escapeAttribute(value);
  if (!isUrl || place !== "text" || value === "") return escapeText(value);
  return `<a href="${escapeAttribute(value)}">${escapeText(value)}</a>`;
}

/** The source with its values in it, if that renders to the very same HTML. */
function filledSource(markdown: string, fillingOf: (name: string) => Filling, html: string): string | null {
  const source = replaceBracketed(markdown, (name, open, close) => {
    const { value, isUrl } = fillingOf(name);
    return isUrl && value !== "" ? `<${escapeText(value)}>` : open + escapeMarkdown(value) + close;
  });
  if (Buffer.byteLength(source) > MAX_BODY_OCTETS) return null;
  return renderMarkdown(source).html === html ? source : null;
}

/**
 * Fills a template.
 * @param source a template that `templateIssues` has nothing against.
 * @param given the values by name; see `readValues` for what they may be. They are text whatever they hold, but for a url, which
 *   is exactly that link.
 * @throws {Refused} as `readValues`; `invalid_input` for a subject over 998 characters; `too_large` for a body over 256 KiB.
 */
export function renderTemplate(source: TemplateSource, given: Readonly<Record<string, unknown>>): RenderedTemplate {
  const values = readValues(source.variables, given);
  const urls = urlsAmong(source.variables);
  const fillingOf = (name: string): Filling => ({ value: values.get(name) ?? "", isUrl: urls.has(name) });
  const subject = replacePlaceholders(source.subject, (name) => fillingOf(name).value);
  if (subject.length > MAX_SUBJECT_CHARACTERS) {
    throw new Refused("invalid_input", `The subject would be longer than ${MAX_SUBJECT_CHARACTERS} characters.`, {
      issues: [{ path: "variables", message: `make the subject longer than ${MAX_SUBJECT_CHARACTERS} characters` }],
    });
  }
  refuseTooLarge(source.markdown, values);
  const html = fillSource(renderSource(source), (name, place) => asHtml(fillingOf(name), place));
  return { subject, text: htmlToPlainText(html), html, markdown: filledSource(source.markdown, fillingOf, html) };
}

/** Adds up what the values will take before anything is made of them. */
function refuseTooLarge(markdown: string, values: ReadonlyMap<string, string>): void {
  let octets = Buffer.byteLength(markdown);
  for (const name of placeholdersIn(markdown)) octets += Buffer.byteLength(values.get(name) ?? "");
  if (octets <= MAX_BODY_OCTETS) return;
  throw new Refused("too_large", "The template may have at most 256 KiB with its values.");
}

/** The approver of a template saw no names: beside its words, addresses carry none that an agent could write something into. */
export function withoutNames(addresses: readonly MailAddress[]): MailAddress[] {
  return addresses.map(({ address }) => ({ name: null, address }));
}
