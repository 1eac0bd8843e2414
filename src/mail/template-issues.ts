import type { Issue } from "../errors.ts";
import type { TemplateVariable } from "../operations/shapes/template.ts";
import {
  fillSource,
  type Place,
  placeholdersIn,
  renderSource,
  replacePlaceholders,
  type TemplateSource,
} from "./template-placeholders.ts";

/** Each costs time and room once it is filled; mail that people write has few. */
export const MAX_PLACEHOLDERS = 500;
const MAX_SHOWN_CHARACTERS = 40;
const VARIABLE_NAME = /^[a-z][a-z0-9_]{0,31}$/;

function shown(name: string): string {
  return `“${name.slice(0, MAX_SHOWN_CHARACTERS)}”`;
}

function variableIssues({ subject, markdown, variables }: TemplateSource): Issue[] {
  const used = new Set([...placeholdersIn(subject), ...placeholdersIn(markdown)]);
  const declared = new Set<string>();
  return variables.flatMap(({ name }, index) => {
    const path = `variables.${index}.name`;
    if (!VARIABLE_NAME.test(name)) {
      return [{ path, message: "must begin with a-z and have at most 32 characters of a-z 0-9 _" }];
    }
    if (declared.has(name)) return [{ path, message: "is declared twice" }];
    declared.add(name);
    return used.has(name) ? [] : [{ path, message: "is used neither in subject nor in markdown" }];
  });
}

function placeholderIssues(path: "subject" | "markdown", source: TemplateSource): Issue[] {
  const text = source[path];
  const found = placeholdersIn(text);
  if (found.length > MAX_PLACEHOLDERS) return [{ path, message: `may have at most ${MAX_PLACEHOLDERS} placeholders` }];
  if (/\{\{\{|\}\}\}/.test(text)) return [{ path, message: "has three braces in a row; a placeholder has two" }];
  if (replacePlaceholders(text, () => " ").includes("{{")) {
    return [{ path, message: "has {{ that begins no placeholder such as {{name}}" }];
  }
  const declared = new Set(source.variables.map(({ name }) => name));
  const unknown = [...new Set(found)].filter((name) => !declared.has(name));
  return unknown.map((name) => ({
    path,
    message: /^[\w-]+$/.test(name)
      ? `has a placeholder ${shown(name)} that is not declared in variables`
      : `has a placeholder ${shown(name)} that is no variable's name`,
  }));
}

/** Values take the place of text, and urls that of whole addresses; everything else could say what no approver saw. */
function placeIssues(source: TemplateSource): Issue[] {
  const rendered = renderSource(source);
  const places: Place[][] = rendered.names.map(() => []);
  fillSource(rendered, (_name, place, index) => {
    places[index]?.push(place);
    return "";
  });
  return rendered.names.flatMap((name, index) => {
    const variable = source.variables.find((each) => each.name === name);
    const why = variable && whyNotThere(variable, places[index] ?? []);
    return why ? [{ path: "markdown", message: `has a placeholder ${shown(name)} ${why}` }] : [];
  });
}

function whyNotThere({ type, required }: TemplateVariable, places: readonly Place[]): string | null {
  if (places.length === 0) return "where it would not be shown";
  if (places.includes("part of an address")) {
    return "in an address or attribute; only a url as the whole address of a link may be";
  }
  if (places.length > 1) return "that would be shown more than once";
  if (places[0] !== "address") return null;
  if (type !== "url") return "as a link's address, which needs a variable of type url that is the whole address";
  return required ? null : "as a link's address, which needs a variable that is required";
}

/**
 * @returns everything for which this cannot be a template: names, placeholders and where they stand; none if it can. Paths are
 *   `subject`, `markdown` and `variables.<index>.name`.
 */
export function templateIssues(source: TemplateSource): Issue[] {
  const issues = [
    ...variableIssues(source),
    ...placeholderIssues("subject", source),
    ...placeholderIssues("markdown", source),
  ];
  return issues.length > 0 ? issues : placeIssues(source);
}
