import type { Child, FC } from "hono/jsx";
import { Icon, Page, type Shape } from "../layout.tsx";
import { CONSOLE_STYLE } from "./style.ts";

/** Where the console's pages are. */
export const CONSOLE = "/console";
export const QUEUE = `${CONSOLE}/queue`;
export const SIGN_OUT = `${CONSOLE}/sign-out`;

/** Who is signed in, for every page that they see. */
export interface Viewer {
  person: string;
  tenant_name: string;
  /** The session's secret, for its forms. */
  csrf: string;
}

/** The way to the queue, and out. */
export const Nav: FC<{ csrf: string }> = ({ csrf }) => (
  <form method="post" action={SIGN_OUT}>
    <input type="hidden" name="csrf" value={csrf} />
    <a class="quiet" href={QUEUE}>
      Queue
    </a>
    <button type="submit" class="quiet">
      Sign out
    </button>
  </form>
);

/** A page of the console; `viewer` is left out where nobody is signed in. */
export const ConsolePage: FC<{
  title: string;
  viewer?: Viewer | undefined;
  skipTo?: { id: string; label: string };
  children?: Child;
}> = ({ title, viewer, skipTo, children }) => (
  <Page
    title={title}
    who={viewer?.person}
    style={CONSOLE_STYLE}
    nav={viewer && <Nav csrf={viewer.csrf} />}
    {...(skipTo && { skipTo })}
  >
    {children}
  </Page>
);

/** One thing that a person is told, in the middle of the page. */
export const Told: FC<{ shape: Shape; title: string; lede: string; children?: Child }> = ({
  shape,
  title,
  lede,
  children,
}) => (
  <main>
    <div class="single card result">
      <div>
        <Icon shape={shape} class="mark still" />
        <h1>{title}</h1>
        <p class="lede">{lede}</p>
      </div>
      {children}
    </div>
  </main>
);
