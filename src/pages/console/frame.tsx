import type { Child, FC } from "hono/jsx";
import { Icon, Page, type Shape } from "../layout.tsx";
import { CONSOLE_STYLE } from "./style.ts";

/** Where the console's pages are. */
export const CONSOLE = "/console";
export const QUEUE = `${CONSOLE}/queue`;
export const AUDIT = `${CONSOLE}/audit`;
export const SIGN_OUT = `${CONSOLE}/sign-out`;

/** Who is signed in, for every page that they see. */
export interface Viewer {
  person: string;
  tenant_name: string;
  /** Whether they may read the account's logs. */
  is_operator: boolean;
  /** The session's secret, for its forms. */
  csrf: string;
}

/** The way to the queue, for the operator to the logs, and out. */
export const Nav: FC<{ viewer: Viewer }> = ({ viewer: { csrf, is_operator } }) => (
  <form method="post" action={SIGN_OUT}>
    <input type="hidden" name="csrf" value={csrf} />
    <a class="quiet" href={QUEUE}>
      Queue
    </a>
    {is_operator && (
      <a class="quiet" href={AUDIT}>
        Audit log
      </a>
    )}
    <button type="submit" class="quiet">
      Sign out
    </button>
  </form>
);

/** A page of the console; `viewer` is left out where nobody is signed in. `style` takes the place of the console's own. */
export const ConsolePage: FC<{
  title: string;
  viewer?: Viewer | undefined;
  style?: string;
  skipTo?: { id: string; label: string };
  children?: Child;
}> = ({ title, viewer, style = CONSOLE_STYLE, skipTo, children }) => (
  <Page
    title={title}
    who={viewer?.person}
    style={style}
    nav={viewer && <Nav viewer={viewer} />}
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
