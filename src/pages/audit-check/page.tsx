import type { FC } from "hono/jsx";
import { Page } from "../layout.tsx";
import { CheckScript, Found, NoScript, Own } from "./parts.tsx";
import { AUDIT_CHECK_STYLE } from "./style.ts";

/** Where anyone checks an export of an audit log. What is done here is done by the script, in the visitor's browser. */

const Choose: FC = () => (
  <div class="drop" id="drop">
    <label class="field" for="export">
      The export, as an .ndjson file
    </label>
    <input type="file" id="export" accept=".ndjson,.jsonl,application/x-ndjson" aria-describedby="export-hint" />
    <p class="hint" id="export-hint">
      Or drop it anywhere on this page. It may be of any size: it is read once, from beginning to end.
    </p>
  </div>
);

/** @param host whose key is asked for. @param script where the script is. */
export const AuditCheckPage: FC<{ host: string; script: string }> = ({ host, script }) => (
  <Page title="Check an audit log" style={AUDIT_CHECK_STYLE} skipTo={{ id: "check", label: "Skip to the form" }}>
    <main class="check">
      <div>
        <h1>Check an audit log</h1>
        <p class="lede">
          See whether an export is whole, in order and unchanged, and signed by its log. The file is read in this
          browser and is not uploaded.
        </p>
      </div>
      <NoScript />
      <form id="check" class="card pad" hidden>
        <Choose />
        <Own
          keyHint={`With a key of your own, nothing at all is fetched. Left empty, this page asks ${host} for the published key of the log that the export names, and for nothing else; then it is the word of ${host} that the key is right.`}
        />
        <button type="submit" class="approve">
          Check the export
        </button>
      </form>
      <Found />
    </main>
    <CheckScript script={script} />
  </Page>
);
