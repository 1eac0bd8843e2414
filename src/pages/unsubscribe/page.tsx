import type { Child, FC } from "hono/jsx";
import type { MailAddress } from "../../mail/message.ts";
import { Icon, Page, Person, type Shape, Visible } from "../layout.tsx";

/** What somebody sees who wants no more mail. Nothing is changed before the button is pressed. */

/** The form's own field, by which its POST is told from others. */
export const BUTTON = { name: "unsubscribe", value: "yes" } as const;

const Result: FC<{ title: string; shape: Shape; tone: string; what: string; children?: Child }> = (props) => (
  <Page title={props.title}>
    <main>
      <div class="single card result">
        <div>
          <Icon shape={props.shape} class={`mark ${props.tone}`} />
          <h1>{props.title}</h1>
          <p class="lede">{props.what}</p>
        </div>
        {props.children}
      </div>
    </main>
  </Page>
);

/**
 * @param recipient whom the link is for, masked; null: the page asks for the address. @param trouble what was wrong with the one
 *   that was typed.
 */
export const UnsubscribePage: FC<{ from: MailAddress; recipient: string | null; trouble?: string }> = (props) => {
  const { from, recipient, trouble } = props;
  return (
    <Page title="Unsubscribe">
      <main>
        <div class="single card result">
          <div>
            <h1>Get no more of these mails?</h1>
            <p class="lede">
              From <Person name={from.name} address={from.address} />
              {recipient !== null && (
                <>
                  {" to "}
                  <Visible text={recipient} context="strict" />
                </>
              )}
            </p>
          </div>
          <form method="post" class="stack">
            <input type="hidden" name={BUTTON.name} value={BUTTON.value} />
            {trouble !== undefined && (
              <p id="trouble" class="warning danger" role="alert">
                {trouble}
              </p>
            )}
            {recipient === null && (
              <div>
                <label class="field" for="address">
                  The address that got the mail
                </label>
                <input
                  type="text"
                  inputmode="email"
                  id="address"
                  name="address"
                  required
                  maxlength={320}
                  autocomplete="email"
                  autocapitalize="none"
                  spellcheck={false}
                  aria-describedby={trouble === undefined ? undefined : "trouble"}
                />
              </div>
            )}
            <p>
              <button type="submit" class="approve">
                Unsubscribe
              </button>
            </p>
          </form>
          <p class="soft small">
            Offers and newsletters end. Mail that you need, such as an answer to your question or a receipt, still
            comes.
          </p>
        </div>
      </main>
    </Page>
  );
};

/** @param typed whether an address was typed: then nothing says whether it had got the mail. */
export const UnsubscribedPage: FC<{ typed: boolean }> = ({ typed }) => (
  <Result
    title="You are unsubscribed"
    shape="check"
    tone="good"
    what={
      typed
        ? "If that address got the mail, no more offers and newsletters will be sent to it."
        : "No more offers and newsletters will be sent to this address."
    }
  >
    <p class="soft">You can close this page. It was enough to press the button once.</p>
  </Result>
);

/** A page that says why nothing was done. */
export const NOTICES = {
  unknown: {
    status: 404,
    title: "This link leads nowhere",
    what: "It is incomplete, was changed on its way, or never was a link of ours. Open it from the mail once more, whole.",
  },
  method: { status: 405, title: "This cannot be done here", what: "The page can be opened, and its form can be sent." },
  not_asked: {
    status: 422,
    title: "Nothing was changed",
    what: "This was not sent by the button of the page, nor by a mail program's own. Open the link from the mail once more.",
  },
  rate_limited: {
    status: 429,
    title: "That was too often",
    what: "Nothing was changed. Try again in a minute.",
  },
  unavailable: {
    status: 503,
    title: "We cannot do this right now",
    what: "Something on our side does not answer. Nothing was changed; try again in a minute.",
  },
} as const;
export type Notice = (typeof NOTICES)[keyof typeof NOTICES];

export const NoticePage: FC<{ notice: Notice }> = ({ notice }) => (
  <Result title={notice.title} shape="info" tone="still" what={notice.what} />
);
