import { raw } from "hono/html";
import type { Child, FC } from "hono/jsx";
import { makeVisible, spelledOut, type TextContext, textRuns } from "./misleading/characters.ts";
import { otherFormOf } from "./misleading/domains.ts";
import { PAGE_STYLE } from "./style.ts";

/** An element that a component gives back, and a page's whole. */
export type Html = ReturnType<FC>;

/** @returns the page as text, doctype included. @throws Error if a component is asynchronous: none of ours is. */
export function renderPage(page: Html): string {
  const html = page?.toString();
  if (typeof html !== "string") throw new Error("a page's component is asynchronous");
  return `<!doctype html>\n${html}`;
}

/**
 * Every page: the frame around `children`. `who` stands in the bar: the person who decides here; `nav` beside them. `style` adds
 * to what every page looks like; its hash must be in STYLE_SOURCES.
 */
export const Page: FC<{
  title: string;
  who?: string | undefined;
  skipTo?: { id: string; label: string };
  style?: string;
  nav?: Child;
  children?: Child;
}> = ({ title, who, skipTo, style, nav, children }) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="robots" content="noindex, nofollow, noarchive" />
      <meta name="referrer" content="no-referrer" />
      <meta name="color-scheme" content="light dark" />
      <meta name="format-detection" content="telephone=no, date=no, address=no, email=no" />
      <title>{title} · MultiMail</title>
      <style>{raw(PAGE_STYLE)}</style>
      {style !== undefined && <style>{raw(style)}</style>}
    </head>
    <body>
      {skipTo && (
        <a class="skip" href={`#${skipTo.id}`}>
          {skipTo.label}
        </a>
      )}
      <header class="bar">
        <div>
          <span class="brand">
            <Icon shape="envelope" />
            MultiMail
          </span>
          {who !== undefined && (
            <span class="who">
              You are deciding as{" "}
              <b>
                <Visible text={who} context="strict" />
              </b>
            </span>
          )}
          {nav}
        </div>
      </header>
      {children}
    </body>
  </html>
);

const SHAPES = {
  envelope: "M3 6h18v12H3zM3 7l9 6 9-6",
  check: "M4 12.5l5.5 5.5L20 7",
  cross: "M6 6l12 12M18 6L6 18",
  alert: "M12 3l9.5 17h-19zM12 10v5M12 17.6v.4",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 7.6v.4",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.5 2",
} as const;
export type Shape = keyof typeof SHAPES;

/** A drawing that says nothing beyond the words beside it. */
export const Icon: FC<{ shape: Shape; class?: string }> = ({ shape, class: name }) => (
  <svg
    class={name}
    viewBox="0 0 24 24"
    fill="none"
    stroke="currentColor"
    stroke-width="2"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
  >
    <path d={SHAPES[shape]} />
  </svg>
);

/** A text from outside: isolated in its direction, its hidden characters spelled out and marked. */
export const Visible: FC<{ text: string; context: TextContext }> = ({ text, context }) => (
  <bdi>
    {textRuns(text, context).map((run) =>
      run.hidden === null ? run.text : <mark class="ghost">{spelledOut(run.text)}</mark>,
    )}
  </bdi>
);

/** An address with its name; a domain that has two forms is shown in both. */
export const Person: FC<{ name: string | null; address: string }> = ({ name, address }) => {
  const other = otherFormOf(address);
  return (
    <span>
      {name !== null && name !== "" && (
        <>
          <b>
            <Visible text={name} context="line" />
          </b>{" "}
        </>
      )}
      <span class={name ? "address" : undefined}>
        {name ? "<" : ""}
        <Visible text={address} context="strict" />
        {name ? ">" : ""}
      </span>
      {other !== null && (
        <>
          {" "}
          <span class={other.imitation ? "alias danger" : "alias"}>
            {other.imitation ? "imitates" : "reads as"} {makeVisible(other.text, "strict")}
          </span>
        </>
      )}
    </span>
  );
};

/** One fact of a description list. `code` is the name by which programs know it. */
export const Fact: FC<{ label: string; code?: string; wide?: boolean; children?: Child }> = (props) => (
  <div class={props.wide ? "wide" : undefined}>
    <dt>
      {props.code === undefined ? (
        props.label
      ) : (
        <>
          <Visible text={props.label} context="line" />{" "}
          <span class="mono">
            <Visible text={props.code} context="strict" />
          </span>
        </>
      )}
    </dt>
    <dd>{props.children}</dd>
  </div>
);

/** Where a page of a session was opened from. */
export interface BackLink {
  href: string;
  label: string;
}

/** The way back to where the person came from. */
export const Back: FC<{ link: BackLink }> = ({ link }) => (
  <p class="back">
    <a href={link.href}>{link.label}</a>
  </p>
);
