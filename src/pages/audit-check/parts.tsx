import type { FC } from "hono/jsx";
import { CheckScript, NeedsScript, type OutcomeIcons } from "../checking.tsx";

/** What the pages that check an export share. What is done on them is done by one script, in the visitor's browser. */

const ICONS: OutcomeIcons = {
  holds: { shape: "check", tone: "good" },
  does_not_hold: { shape: "cross", tone: "bad" },
  unreadable: { shape: "alert", tone: "still" },
};

const Text: FC<{ id: string; label: string; hint: string; rows: number }> = ({ id, label, hint, rows }) => (
  <div>
    <label class="field" for={id}>
      {label}
    </label>
    <textarea
      id={id}
      rows={rows}
      spellcheck={false}
      autocomplete="off"
      autocapitalize="off"
      aria-describedby={`${id}-hint`}
    ></textarea>
    <p class="hint" id={`${id}-hint`}>
      {hint}
    </p>
  </div>
);

/** What the visitor may go by in place of what is published. @param keyHint what is fetched without a key of their own. */
export const Own: FC<{ keyHint: string }> = ({ keyHint }) => (
  <details class="own">
    <summary>Use my own key or checkpoint</summary>
    <div>
      <Text id="own-key" label="Verifier key of the log" rows={3} hint={keyHint} />
      <Text
        id="own-after"
        label="An older checkpoint of the log"
        rows={6}
        hint="Out of a notification or a receipt, for example. The log must have grown out of it: what was cut off or rewritten since is seen by that alone."
      />
      <Text
        id="own-witness"
        label="Verifier keys of witnesses who must have signed, one a line"
        rows={3}
        hint="Left empty, no witness is asked for."
      />
    </div>
  </details>
);

/** What stands there where no script runs. */
export const NoScript: FC = () => (
  <NeedsScript what="The export" command="npx multimail verify-audit export.ndjson --key key.txt" />
);

/** The script that checks. @param script where it is. */
export const AuditScript: FC<{ script: string }> = ({ script }) => <CheckScript script={script} icons={ICONS} />;
