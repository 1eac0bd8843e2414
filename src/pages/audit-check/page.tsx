import type { FC } from "hono/jsx";
import { ChooseFile, Found } from "../checking.tsx";
import { Page } from "../layout.tsx";
import { AuditScript, NoScript, Own } from "./parts.tsx";
import { AUDIT_CHECK_STYLE } from "./style.ts";

/** Where anyone checks an export of an audit log. What is done here is done by the script, in the visitor's browser. */

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
        <ChooseFile
          id="export"
          label="The export, as an .ndjson file"
          accept=".ndjson,.jsonl,application/x-ndjson"
          hint="It may be of any size: it is read once, from beginning to end."
        />
        <Own
          keyHint={`With a key of your own, nothing at all is fetched. Left empty, this page asks ${host} for the published key of the log that the export names, and for nothing else; then it is the word of ${host} that the key is right.`}
        />
        <button type="submit" class="approve">
          Check the export
        </button>
      </form>
      <Found />
    </main>
    <AuditScript script={script} />
  </Page>
);
