import type { FC } from "hono/jsx";
import { Icon, Page, type Shape } from "../layout.tsx";
import { VERIFY_STYLE } from "./style.ts";

/** Where anyone checks a message. What is done here is done by the script, in the visitor's browser. */

/** The script clones these: it makes no markup from text. */
const ICONS: Record<string, { shape: Shape; tone: string }> = {
  verified: { shape: "check", tone: "good" },
  not_verified: { shape: "cross", tone: "bad" },
  unsigned: { shape: "info", tone: "still" },
  unreadable: { shape: "alert", tone: "still" },
};

const Choose: FC = () => (
  <div class="drop" id="drop">
    <label class="field" for="message">
      The message, as an .eml file
    </label>
    <input type="file" id="message" accept=".eml,message/rfc822,text/plain" aria-describedby="message-hint" />
    <p class="hint" id="message-hint">
      Or drop it anywhere on this page. Mail programs call it “Save as”, “Download message” or “Show original”. At most
      25 MiB.
    </p>
  </div>
);

const OwnKey: FC<{ host: string }> = ({ host }) => (
  <details class="own">
    <summary>Use a key that I have</summary>
    <div>
      <p class="hint" id="own-hint">
        With a key of your own, nothing at all is fetched. Left empty, this page asks {host} for the published keys of
        the account that the message names, and for nothing else.
      </p>
      <div>
        <label class="field" for="own-key">
          Public key: PEM, JWK, JWKS, or a key document
        </label>
        <textarea
          id="own-key"
          rows={6}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          aria-describedby="own-hint"
        ></textarea>
      </div>
      <div>
        <label class="field" for="own-domains">
          Domains that its owner may write from, if you know them
        </label>
        <input
          type="text"
          id="own-domains"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          placeholder="example.com, example.org"
        />
      </div>
    </div>
  </details>
);

const NoScript: FC = () => (
  <noscript>
    <div class="warning caution" role="note">
      <span class="level">Needs JavaScript</span>
      <span>
        The message is checked in your browser, by a script of this page, and your browser runs none here. The same
        check on the command line: <code class="mono">npx multimail verify message.eml --key key.pem</code>
      </span>
    </div>
  </noscript>
);

/** @param host whose keys are asked for. @param script where the script is. */
export const VerifyPage: FC<{ host: string; script: string }> = ({ host, script }) => (
  <Page title="Check a message" style={VERIFY_STYLE} skipTo={{ id: "check", label: "Skip to the form" }}>
    <main class="check">
      <div>
        <h1>Check a message</h1>
        <p class="lede">
          See which agent wrote a mail, and whether a person allowed it. The message is read in this browser and is not
          uploaded.
        </p>
      </div>
      <NoScript />
      <form id="check" class="card pad" hidden>
        <Choose />
        <OwnKey host={host} />
        <button type="submit" class="approve">
          Check the message
        </button>
      </form>
      <p id="progress" class="unseen" role="status" aria-live="polite"></p>
      <section id="answer" class="card answer" aria-labelledby="answer-title" hidden></section>
    </main>
    {Object.entries(ICONS).map(([name, { shape, tone }]) => (
      <template id={`icon-${name}`}>
        <Icon shape={shape} class={tone} />
      </template>
    ))}
    <script type="module" src={script}></script>
  </Page>
);
