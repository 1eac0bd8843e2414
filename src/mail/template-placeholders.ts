import type { TemplateVariable } from "../operations/shapes/template.ts";
import { renderMarkdown } from "./markdown.ts";

/** Placeholders, `{{name}}`, in a template's subject and markdown, and where they stand once it is rendered. */

/** What of a template is rendered. */
export interface TemplateSource {
  subject: string;
  markdown: string;
  variables: readonly TemplateVariable[];
}

const PLACEHOLDER = /\{\{([^{}]*)\}\}/g;
/** `<{{link}}>`, or without the angle brackets. */
const BRACKETED = /(<?)\{\{([^{}]*)\}\}(>?)/g;

/** Spaces may stand inside the braces, line breaks not: what has one is no variable's name. */
function nameIn(inner: string): string {
  return /[\r\n]/.test(inner) ? inner : inner.trim();
}

/** @returns what stands between braces in `text`, in order; it may be no variable's name. */
export function placeholdersIn(text: string): string[] {
  return [...text.matchAll(PLACEHOLDER)].map(([, inner]) => nameIn(inner as string));
}

/** Replaces each placeholder by what `put` makes of its name. */
export function replacePlaceholders(text: string, put: (name: string) => string): string {
  return text.replace(PLACEHOLDER, (_whole, inner: string) => put(nameIn(inner)));
}

/** The same, where `put` is also told whether the placeholder stands in angle brackets, and replaces those that belong to it. */
export function replaceBracketed(text: string, put: (name: string, open: string, close: string) => string): string {
  return text.replace(BRACKETED, (_whole, open: string, inner: string, close: string) =>
    put(nameIn(inner), open, close),
  );
}

/** @returns the names of the variables that are web addresses. */
export function urlsAmong(variables: readonly TemplateVariable[]): Set<string> {
  return new Set(variables.filter(({ type }) => type === "url").map(({ name }) => name));
}

/** A template rendered with stand-ins for its placeholders, so that no value ever passes through the markdown parser. */
export interface RenderedSource {
  html: string;
  standIn: RegExp;
  /** The variables' names, by the placeholders' order in the source. */
  names: string[];
}

/** A word that stands for placeholders and is not in the source. One pass, however often the source imitates it. */
function standInFor(markdown: string): (index: number | string) => string {
  const taken = new Set([...markdown.matchAll(/zq(\d+)x/g)].map(([, number]) => Number(number)));
  let free = 0;
  while (taken.has(free)) free++;
  return (index) => `zq${free}x${index}q`;
}

/** Renders a template's markdown with stand-ins. */
export function renderSource({ markdown, variables }: TemplateSource): RenderedSource {
  const urls = urlsAmong(variables);
  const standIn = standInFor(markdown);
  const names: string[] = [];
  const marked = replaceBracketed(markdown, (name, open, close) => {
    const word = standIn(names.push(name) - 1);
    // `<{{link}}>` is how markdown writes a link without a text of its own, which a bare `{{link}}` becomes anyway.
    return open && close && urls.has(name) ? word : open + word + close;
  });
  return { html: renderMarkdown(marked).html, standIn: new RegExp(standIn("(\\d+)"), "g"), names };
}

/** Where a placeholder stands in the rendered template. `address`: it is the whole address of a link. */
export type Place = "text" | "link text" | "code" | "address" | "part of an address";

/** Replaces each stand-in by what `put` makes of its placeholder and place. @returns HTML in the safe subset, if `put` escapes. */
export function fillSource(
  { html, standIn, names }: RenderedSource,
  put: (name: string, place: Place, index: number) => string,
): string {
  let links = 0;
  let codes = 0;
  const replace = (piece: string, placeOf: (whole: string) => Place) =>
    piece.replace(standIn, (whole, digits: string) => {
      const name = names[Number(digits)];
      return name === undefined ? whole : put(name, placeOf(whole), Number(digits));
    });
  return html
    .split(/(<[^>]*>)/)
    .map((piece) => {
      const [, slash, tag] = /^<(\/?)([a-z0-9]+)/.exec(piece) ?? [];
      if (tag === undefined) return replace(piece, () => (codes > 0 ? "code" : links > 0 ? "link text" : "text"));
      const step = slash === "/" ? -1 : 1;
      if (tag === "a") links += step;
      if (tag === "code" || tag === "pre") codes += step;
      return replace(piece, (whole) => (piece === `<a href="${whole}">` ? "address" : "part of an address"));
    })
    .join("");
}
