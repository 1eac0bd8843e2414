import { ACTIONS, type Action, isAction } from "./actions.ts";
import type { Entry } from "./entry.ts";

/** What an entry about a message says, as a sentence for people. */

/** What a sentence is made of. `personal` is empty where the fields were erased, or there are none. */
export interface Told {
  entry: Entry;
  personal: Readonly<Record<string, unknown>>;
}

type Sentence = (told: Told) => string;

function text(value: unknown): string | null {
  if (typeof value === "string" && value !== "") return value;
  if (typeof value === "number") return String(value);
  return Array.isArray(value) && value.length > 0 ? value.map((each) => text(each) ?? "?").join(", ") : null;
}

/** @returns what is said between `before` and `after`, or nothing where there is nothing to say. */
function said(before: string, value: unknown, after = ""): string {
  // What is a sentence of its own ends within ours.
  const words = text(value)?.replace(/(?<!\.)\.$/, "");
  return words === undefined ? "" : `${before}${words}${after}`;
}

/** @returns what ends a sentence: somebody's words as they wrote them, or a full stop where there are none. */
function endingWithWordsOf(value: unknown): string {
  const words = text(value);
  return words === null ? "." : `: “${words}”`;
}

/** Who did it, at the beginning of a sentence. */
export function whoActed({ entry: { actor }, personal }: Told): string {
  if (actor.type === "system") return "MultiMail";
  if (actor.type === "agent") {
    const key = said(" (key ", actor.key_id, ")");
    return actor.agent_id === undefined ? `The key ${actor.key_id ?? actor.id}` : `The agent ${actor.agent_id}${key}`;
  }
  if (actor.id === "operator") return "The operator";
  if (actor.id === "recipient") return text(personal.recipient) ?? "A recipient";
  return text(personal.decided_by ?? personal.person) ?? "A person";
}

const WAY = { link: "by their link", console: "in the console", email: "by mail" } as const;

function way({ entry: { actor } }: Told): string {
  return actor.via in WAY ? ` ${WAY[actor.via as keyof typeof WAY]}` : "";
}

/** Where a submission, a change or the hour that had come has put the message. */
function placed(where: string): Sentence {
  return (told) => {
    const { detail, actor } = told.entry;
    const isSubmission = "recipients" in detail;
    const begin =
      actor.type === "system"
        ? "Its time had come"
        : isSubmission
          ? `${whoActed(told)} submitted it${said(" to ", told.personal.to)}`
          : "It was judged anew";
    const rule = said(", by ", detail.rule);
    return `${begin}; ${where}${rule}${said(": ", told.personal.because)}${said(" (until ", detail.send_at, ")")}.`;
  };
}

const SIGNS = ["dkim_result", "spf_result", "dmarc_result", "arc_result"] as const;

function arrived(what: string): Sentence {
  return ({ entry: { detail }, personal }) => {
    const results = SIGNS.flatMap((name) => {
      const result = text(detail[name]);
      return result === null ? [] : [`${name.slice(0, -"_result".length).toUpperCase()} ${result}`];
    });
    const from = said(" from ", personal.from ?? personal.envelope_from);
    return `It arrived${from}${what}.${said(" ", results.join(", "), ".")}`;
  };
}

function decided(verb: string, more = ""): Sentence {
  return (told) => {
    const { personal, entry } = told;
    const behalf = said(", on behalf of ", personal.on_behalf_of);
    const edited = entry.detail.edited === true ? " after changing it" : "";
    return `${whoActed(told)} ${verb} it${way(told)}${edited}${behalf}${more}${endingWithWordsOf(personal.reason)}`;
  };
}

function mailed(what: string): Sentence {
  return ({ entry: { detail }, personal }) =>
    `${text(personal.to) ?? "A person"} ${what} (try ${text(detail.attempt) ?? "?"})${said(". The answer: ", personal.response)}.`;
}

function signedWith({ dkim_selectors, dkim_signed, identity_kid }: Entry["detail"]): string {
  const dkim = dkim_signed === true ? said("DKIM ", dkim_selectors) : "";
  const signed = [dkim, said("the identity key ", identity_kid)].filter((each) => each !== "");
  return signed.length > 0 ? ` It was signed with ${signed.join(" and ")}.` : "";
}

/** A recipient, and what was said of them. */
function recipient(what: string): Sentence {
  return ({ entry: { detail }, personal }) => {
    const who = text(personal.recipient) ?? `Recipient ${Number(detail.position ?? 0) + 1}`;
    const code = said(" (", detail.code ?? detail.bounce_type, ")");
    return `${who} ${what}${code}${said(": ", personal.response ?? personal.diagnostic)}.`;
  };
}

function acted(verb: string, field?: string): Sentence {
  return (told) => `${whoActed(told)} ${verb}${field === undefined ? "" : said(": ", told.personal[field])}.`;
}

/** Sentences that say more than the action's own. */
const SENTENCES: Readonly<Partial<Record<Action, Sentence>>> = {
  "draft.created": acted("saved a draft of it"),
  "draft.changed": acted("changed the draft"),
  "draft.read": acted("read the draft"),
  "draft.deleted": acted("deleted the draft"),
  "draft.sent": ({ entry }) =>
    `It was a draft${said(", written by the key ", entry.detail.written_by)}${said(", last changed by the key ", entry.detail.changed_by)}.`,
  "message.held": placed("it waits for a person to decide"),
  "message.queued": placed("it may leave"),
  "message.scheduled": placed("it leaves later"),
  "message.blocked": placed("it never leaves"),
  "message.edited": (told) =>
    `${text(told.personal.by) ?? whoActed(told)} changed it: version ${Number(told.entry.detail.revision ?? 0) + 1}. Every approval before this is void.`,
  "message.cancelled": acted("took it back", "reason"),
  "message.taken_back": ({ entry, personal }) =>
    `It was taken back to be decided anew${said(", by ", entry.detail.rule)}${said(": ", personal.because)}.`,
  "message.expired": () => "Nobody decided in time, so it never leaves.",
  "message.received": arrived(""),
  "message.inbound_held": arrived(", and waits for a person to release it"),
  "message.set_aside": arrived(", and was set aside"),
  "message.marked": (told) =>
    `${whoActed(told)} marked it${said(" from ", told.entry.detail.from)}${said(" to ", told.entry.detail.status)}.`,
  "message.read": acted("read it"),
  "message.tags_read": acted("read its tags"),
  "message.record_read": acted("read this record"),
  "message.tagged": acted("tagged it"),
  "message.untagged": acted("took tags off it"),
  "attachment.downloaded": acted("downloaded an attachment", "file_name"),
  "identity.receipt_read": acted("read its identity receipt"),
  "notification.sent": mailed("was asked to decide"),
  "notification.deferred": mailed("could not be asked yet"),
  "notification.failed": mailed("could not be asked"),
  "copy.sent": mailed("was mailed a copy"),
  "copy.deferred": mailed("could not be mailed a copy yet"),
  "copy.failed": mailed("could not be mailed a copy"),
  "link.opened": (told) => `${text(told.personal.person) ?? "A person"} opened their decision link.`,
  "link.refused": (told) =>
    `${text(told.personal.person) ?? "A person"} tried to decide by their link, in vain${said(" (", told.entry.detail.code ?? told.entry.detail.state, ")")}.`,
  "link.revoked": ({ entry }) => `Decision links were withdrawn${said(": ", entry.detail.reason)}.`,
  "decision.counted": decided("approved", ", and others must too"),
  "decision.approved": decided("approved"),
  "decision.rejected": decided("rejected"),
  "delivery.attempted": ({ entry }) => `Attempt ${text(entry.detail.attempt) ?? "?"} to deliver it began.`,
  "delivery.answered": ({ entry: { detail } }) =>
    `The transport${said(" (", detail.transport, ")")} took it for ${text(detail.accepted) ?? 0}, put off ${text(detail.deferred) ?? 0} and refused ${text(detail.refused) ?? 0} of the recipients that were tried.${signedWith(detail)}`,
  "delivery.bounced": recipient("was refused"),
  "delivery.suppressed": ({ entry, personal }) =>
    `${text(personal.recipient) ?? "A recipient"} got nothing: the address is suppressed${said(" (", entry.detail.reason, ")")}.`,
  "delivery.given_up": ({ entry }) =>
    `No recipient is left to try, after ${text(entry.detail.attempts) ?? "several"} attempts.`,
  "delivery.delivered": recipient("has it, as a report says"),
  "delivery.returned": recipient("did not get it: it came back"),
  "delivery.delayed": recipient("gets it later, as a report says"),
  "message.complained": recipient("complained"),
  "message.unsubscribed": recipient("wants no more such mail"),
  "content.expired": ({ entry: { detail } }) =>
    `MultiMail removed what it said, since the mailbox keeps that no longer${said(" than ", detail.days, detail.days === 1 ? " day" : " days")}.`,
  "nothing.changed": acted("asked for something that was so already"),
  "unsubscribe.opened": ({ personal }) => `The link to unsubscribe${said(" of ", personal.recipient)} was opened.`,
};

/** @returns one sentence, which says less where fields were erased. */
export function sentenceOf(told: Told): string {
  const { action } = told.entry;
  if (!isAction(action)) return `${action.replaceAll(/[._]/g, " ")}.`;
  return SENTENCES[action]?.(told) ?? ACTIONS[action].says;
}
