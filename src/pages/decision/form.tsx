import type { Child, FC } from "hono/jsx";
import type { DecisionItem } from "../../../durable-objects/mailbox-rpc.ts";
import { Icon, Visible } from "../layout.tsx";
import type { Warning } from "../misleading.ts";
import { quorumInWords, timeInWords } from "../words.ts";
import { approveLabel, KIND_WORDS, stillNeeded } from "./kinds.ts";

/** The longest note a person can add, in UTF-16 units, line ends counted once. It is kept in the record. */
export const LONGEST_NOTE = 2000;

/** The form's id: fields elsewhere on the page name it and are sent with it. */
export const FORM_ID = "decision";

/** What the form needs besides the item. */
export interface FormProps {
  item: DecisionItem;
  /** Where the form posts to: the page's own path. */
  base: string;
  csrf: string;
  /** ISO 8601; null: it waits for ever. */
  expires_at: string | null;
  /** What was typed before, where the form comes back. */
  note?: string | undefined;
}

const Card: FC<{ children?: Child }> = ({ children }) => (
  <section class="card pad decide" id="decide" aria-labelledby="decide-title" tabindex={-1}>
    {children}
  </section>
);

/** How many must approve after this person. */
const Others: FC<{ item: DecisionItem }> = ({ item }) => {
  const after = stillNeeded(item.quorum) - 1;
  if (after < 1 || KIND_WORDS[item.kind].approve === null) return null;
  return (
    <p class="soft small">
      {after === 1 ? "One more person" : `${after} more people`} must approve after you. One rejection is enough to stop
      it.
    </p>
  );
};

/** The note, the buttons, and what happens if nobody decides. */
export const DecisionForm: FC<FormProps & { warnings: readonly Warning[] }> = (props) => {
  const { item, base, csrf, expires_at, note, warnings } = props;
  const words = KIND_WORDS[item.kind];
  const approve = approveLabel(item);
  const serious = warnings.some((warning) => warning.severity === "danger");
  return (
    <Card>
      <form method="post" action={base} id={FORM_ID}>
        <h2 id="decide-title">Your decision</h2>
        <input type="hidden" name="csrf" value={csrf} />
        <input type="hidden" name="content_hash" value={item.content_hash} />
        <div>
          <label class="field" for="note">
            Note <span class="soft">(optional)</span>
          </label>
          <textarea id="note" name="note" maxlength={LONGEST_NOTE} aria-describedby="note-hint" autocomplete="off">
            {note === undefined || note === "" ? "" : `\n${note}`}
          </textarea>
          <p class="hint" id="note-hint">
            The agent gets to read it.
          </p>
        </div>
        <div class="buttons">
          {approve !== null && (
            <button type="submit" class="approve" name="decision" value="approve">
              {serious ? `${approve} despite the warnings` : approve}
            </button>
          )}
          <button type="submit" class="reject" name="decision" value="reject">
            {words.reject}
          </button>
        </div>
        <Others item={item} />
        <p class="soft small">
          {expires_at === null ? "It waits until someone decides." : `If nobody decides in time, ${words.otherwise}.`}
        </p>
      </form>
    </Card>
  );
};

/** In place of the form, for whoever has approved already: there is nothing to press. */
export const ApprovedCard: FC<{ item: DecisionItem; approved_at: string }> = ({ item, approved_at }) => (
  <Card>
    <div class="stack">
      <h2 id="decide-title">You have approved this</h2>
      <p class="calm">
        <Icon shape="check" />
        <span>
          Your approval of <time datetime={approved_at}>{timeInWords(approved_at)}</time> counts. It waits for others
          now.
        </span>
      </p>
      <p>
        <Visible text={quorumInWords(item.quorum) ?? ""} context="line" />
      </p>
      <p class="soft small">There is nothing more for you to do. You can close this page.</p>
    </div>
  </Card>
);
