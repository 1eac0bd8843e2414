import type { FC } from "hono/jsx";
import type { MailAddress } from "../../mail/message.ts";
import { Person } from "../layout.tsx";
import { FORM_ID } from "./form.tsx";
import { editedLabel } from "./kinds.ts";
import { type EditableItem, isChanged, type TypedEdit, typedBody, typedSubject } from "./typed-edit.ts";

/** How many lines of the text are shown at once. */
const FEWEST_ROWS = 8;
const MOST_ROWS = 24;

function rowsFor(text: string): number {
  return Math.min(MOST_ROWS, Math.max(FEWEST_ROWS, text.split("\n").length + 1));
}

const LISTS = [
  ["to", "To"],
  ["cc", "Cc"],
  ["bcc", "Bcc"],
] as const;

const LeaveOut: FC<{ field: string; label: string; person: MailAddress; chosen: boolean }> = (props) => {
  const { field, label, person, chosen } = props;
  return (
    <li>
      <label for={field}>
        <input type="checkbox" id={field} name="without" value={person.address} form={FORM_ID} checked={chosen} />
        <span>
          <span class="soft">{label}</span> <Person name={person.name} address={person.address} />
        </span>
      </label>
    </li>
  );
};

const LeftOut: FC<{ item: EditableItem; chosen: readonly string[] }> = ({ item, chosen }) => (
  <fieldset class="leave-out">
    <legend>Do not send it to</legend>
    <ul>
      {LISTS.flatMap(([list, label]) =>
        item.content[list].map((person, i) => (
          <LeaveOut
            field={`without-${list}-${i}`}
            label={label}
            person={person}
            chosen={chosen.includes(person.address)}
          />
        )),
      )}
    </ul>
  </fieldset>
);

/** A message that came as HTML has no source but its text. */
function losesFormat({ source, content }: EditableItem): boolean {
  return source.format === "text" && content.html !== null;
}

/**
 * Fields that change a message before it is approved. They belong to the page's one form, so that nothing typed is lost whichever
 * button is pressed. Pressing Enter in the subject sends nothing: the form's first button is disabled (HTML, "implicit submission").
 */
export const EditFields: FC<{ item: EditableItem; typed: TypedEdit | undefined }> = ({ item, typed }) => {
  const given = typed ?? { subject: null, body: null, without: [] };
  const body = typedBody(given, item);
  return (
    <details class="card edit" open={typed !== undefined && isChanged(typed, item)}>
      <summary>Change it before it is sent</summary>
      <div class="pad stack">
        <button type="submit" form={FORM_ID} disabled hidden>
          Nothing
        </button>
        <div>
          <label class="field" for="edit-subject">
            Subject
          </label>
          <input
            type="text"
            id="edit-subject"
            name="subject"
            form={FORM_ID}
            value={typedSubject(given, item)}
            autocomplete="off"
          />
        </div>
        <div>
          <label class="field" for="edit-body">
            {item.source.format === "markdown" ? "Text, in Markdown" : "Text"}
          </label>
          <textarea
            id="edit-body"
            name="body"
            form={FORM_ID}
            rows={rowsFor(body)}
            dir="auto"
            aria-describedby="edit-body-hint"
            autocomplete="off"
          >
            {`\n${body}`}
          </textarea>
          <p class="hint" id="edit-body-hint">
            {losesFormat(item) && "Once you change the text, it is sent alone, without the formatted version. "}
            The mailbox's signature, and the line that says that an AI agent wrote it, are added as before.
          </p>
        </div>
        {item.tried === undefined && <LeftOut item={item} chosen={given.without} />}
        {item.quorum.needed > 1 && (
          <p class="small">
            Whoever has approved so far approved the message as it is now. Once you change it, another person must
            approve it too.
          </p>
        )}
        <div class="buttons">
          <button type="submit" class="approve" form={FORM_ID} name="decision" value="approve_edited">
            {editedLabel(item)}
          </button>
        </div>
        <p class="soft small">Both versions and the difference are kept in the record.</p>
      </div>
    </details>
  );
};
