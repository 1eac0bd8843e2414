import type { FC } from "hono/jsx";
import { CheckScript, ChooseFile, Found, NeedsScript, type OutcomeIcons } from "../checking.tsx";
import { Page } from "../layout.tsx";
import { VERIFY_STYLE } from "./style.ts";

/** Where anyone checks a message. What is done here is done by the script, in the visitor's browser. */

const ICONS: OutcomeIcons = {
  verified: { shape: "check", tone: "good" },
  not_verified: { shape: "cross", tone: "bad" },
  unsigned: { shape: "info", tone: "still" },
  unreadable: { shape: "alert", tone: "still" },
};

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
      <NeedsScript what="The message" command="npx multimail verify message.eml --key key.pem" />
      <form id="check" class="card pad" hidden>
        <ChooseFile
          id="message"
          label="The message, as an .eml file"
          accept=".eml,message/rfc822,text/plain"
          hint="Mail programs call it “Save as”, “Download message” or “Show original”. At most 25 MiB."
        />
        <OwnKey host={host} />
        <button type="submit" class="approve">
          Check the message
        </button>
      </form>
      <Found />
    </main>
    <CheckScript script={script} icons={ICONS} />
  </Page>
);
