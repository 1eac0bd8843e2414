import type { DecisionItem, Edit, EditedBody, PersonDecision } from "../../../durable-objects/mailbox-rpc.ts";
import { Refused } from "../../errors.ts";
import { MAX_BODY_OCTETS, MAX_SUBJECT_CHARACTERS, renderBody } from "../../operations/message-in.ts";
import { editedLabel, KIND_WORDS } from "../../pages/decision/kinds.ts";
import {
  type EditableItem,
  isChanged,
  isEditable,
  recipientsOf,
  type TypedEdit,
  typedBody,
  typedSubject,
} from "../../pages/decision/typed-edit.ts";
import { type DecisionForm, noteTrouble } from "./form.ts";

/** What a form decides, or in `trouble` why it decides nothing, for the person who sent it. */
export type Resolved = { trouble: null; decision: PersonDecision } | { trouble: string; decision: null };

function trouble(sentence: string): { trouble: string; decision: null; edit: null } {
  return { trouble: `${sentence} Nothing was decided.`, decision: null, edit: null };
}

/** A subject that holds one of these would end its header line (RFC 5322 §2.2). */
const HEADER_BREAKERS = /[\r\n\0]/;

function subjectTrouble(typed: TypedEdit, subject: string): string | null {
  if (HEADER_BREAKERS.test(typed.subject ?? "")) return "The subject may not contain line breaks or NUL.";
  if (subject.length > MAX_SUBJECT_CHARACTERS) {
    return `The subject is ${subject.length} characters long; ${MAX_SUBJECT_CHARACTERS} are possible.`;
  }
  return null;
}

function bodyTrouble(body: string): string | null {
  const octets = Buffer.byteLength(body);
  return octets > MAX_BODY_OCTETS ? `The text has ${octets} bytes; ${MAX_BODY_OCTETS} are possible.` : null;
}

function recipientTrouble({ without }: TypedEdit, item: EditableItem): string | null {
  const { to } = item.content;
  const everybody = recipientsOf(item);
  const stranger = without.find((address) => !everybody.includes(address));
  if (stranger !== undefined) return `${stranger} is no recipient of this message.`;
  const needed = to.length > 0 ? to.map(({ address }) => address) : everybody;
  return needed.every((address) => without.includes(address))
    ? "Somebody has to get it: leave one recipient in."
    : null;
}

/** What a person made of a message: null where they changed nothing. */
function editOf(
  typed: TypedEdit,
  item: EditableItem,
): { trouble: null; edit: Edit | null } | { trouble: string; edit: null } {
  if (!isChanged(typed, item)) return { trouble: null, edit: null };
  const subject = typedSubject(typed, item);
  const text = typedBody(typed, item);
  const wrong = subjectTrouble(typed, subject) ?? bodyTrouble(text) ?? recipientTrouble(typed, item);
  if (wrong !== null) return trouble(wrong);
  try {
    const body = text === item.source.text ? null : rendered(text, item.source.format);
    return { trouble: null, edit: { subject, body, without: typed.without } };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return trouble(error.refusal.error);
  }
}

/** @throws {Refused} `too_large` if what is rendered is. */
function rendered(text: string, format: EditableItem["source"]["format"]): EditedBody {
  return renderBody(format === "markdown" ? { markdown: text } : { text });
}

/**
 * What a form decides about the item that its page showed. Pure; the mailbox object checks all of it again.
 * @returns the decision, or a sentence for the person where the form decides nothing: no choice, a note or edit that is not
 *   possible, or a plain approval although the person changed the message.
 */
export function decisionOf({ choice, note, typed }: DecisionForm, item: DecisionItem): Resolved {
  const wrongNote = noteTrouble(note);
  if (wrongNote !== null) return { trouble: wrongNote, decision: null };
  const kept = note === "" ? null : note;
  if (choice === "reject") return { trouble: null, decision: { decision: "reject", note: kept, edit: null } };
  if (choice === null) return { trouble: "Nothing was decided: choose to approve or to reject.", decision: null };
  if (KIND_WORDS[item.kind].approve === null) {
    return trouble("Only the operator's code lets this through; here it can be rejected.");
  }
  if (!isEditable(item)) {
    if (choice === "approve") return { trouble: null, decision: { decision: "approve", note: kept, edit: null } };
    return trouble("This cannot be changed here; it can be approved as it is, or rejected.");
  }
  if (choice === "approve" && isChanged(typed, item)) {
    return trouble(
      `You changed the message. To send what you made of it, press “${editedLabel(item)}”; to send it as it was, undo your changes.`,
    );
  }
  const { trouble: wrong, edit } = editOf(typed, item);
  return wrong !== null
    ? { trouble: wrong, decision: null }
    : { trouble: null, decision: { decision: "approve", note: kept, edit } };
}
