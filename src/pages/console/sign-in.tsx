import type { FC } from "hono/jsx";
import { CONSOLE, ConsolePage, Told } from "./frame.tsx";

/** The pages around signing in. None of them says whether an address oversees anything. */

export const SIGN_IN = `${CONSOLE}/sign-in`;

/** The form that asks for a link. `trouble` is why the last try asked for none. */
export const SignInPage: FC<{ address?: string; trouble?: string }> = ({ address = "", trouble }) => (
  <ConsolePage title="Sign in">
    <main>
      <div class="single card result">
        <div>
          <h1>Sign in to decide</h1>
          <p class="lede">
            For people who oversee mailboxes of AI agents. You get a link by email; there is no password.
          </p>
        </div>
        <form method="post" action={SIGN_IN}>
          {trouble !== undefined && (
            <p class="warning danger trouble" role="alert">
              {trouble}
            </p>
          )}
          <div>
            <label class="field" for="address">
              Your email address
            </label>
            <input
              type="email"
              id="address"
              name="address"
              value={address}
              required
              maxlength={320}
              autocomplete="email"
              autocapitalize="none"
              spellcheck={false}
            />
          </div>
          <div class="buttons">
            <button type="submit" class="approve">
              Send me a link
            </button>
          </div>
        </form>
      </div>
    </main>
  </ConsolePage>
);

/** The one answer to every address. */
export const SentPage: FC = () => (
  <ConsolePage title="Look into your inbox">
    <Told
      shape="envelope"
      title="Look into your inbox"
      lede="If this address oversees mailboxes here, a link is on its way to it. It works once, for 15 minutes."
    >
      <p>
        Nothing came? Look into the spam folder, and check that the address is the one under which you decide. A few
        links an hour are sent, not more.
      </p>
      <p>
        <a href={CONSOLE}>Ask again</a>
      </p>
    </Told>
  </ConsolePage>
);

/** Where a sign-in link leads. Opening it does nothing: mail scanners open links too. `action` is the page's own path. */
export const EnterPage: FC<{ action: string }> = ({ action }) => (
  <ConsolePage title="Sign in">
    <Told
      shape="check"
      title="Your link has arrived"
      lede="Press the button to sign in on this device. The link works once."
    >
      <form method="post" action={action}>
        <div class="buttons">
          <button type="submit" class="approve">
            Sign in
          </button>
        </div>
      </form>
      <p class="soft small">You did not ask for this link? Close this page; nothing happens then.</p>
    </Told>
  </ConsolePage>
);
