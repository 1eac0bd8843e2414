import { spelledOut, textRuns } from "../../../../src/pages/misleading/characters.ts";

/** Elements of the page. All text goes in as text: a stranger wrote the mail. */

type Child = Node | string | null;

/** @returns an element with its class and what is in it; null is left out. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string | null,
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (className !== null) made.className = className;
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** More of one value tells a person nothing. */
const SHOWN_CHARACTERS = 300;

/** @returns a text from outside: isolated in its direction, its hidden characters spelled out and marked. */
export function visible(text: string): HTMLElement {
  const cut = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  const runs = textRuns(cut.toWellFormed(), "strict").map((run) =>
    run.hidden === null ? run.text : element("mark", "ghost", spelledOut(run.text)),
  );
  return element("bdi", null, ...runs);
}

/** @returns the element of the page with this id. @throws Error if the page has none: a mistake of ours. */
export function find<Type extends HTMLElement>(id: string, type: new () => Type): Type {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}

/** @returns a drawing that the page brings as a template. */
export function icon(name: string): Node {
  return find(`icon-${name}`, HTMLTemplateElement).content.cloneNode(true);
}
