import { accepted, type Outcome, refused } from "../../src/errors.ts";
import type { DomainIntelligence } from "../../src/intelligence/domain-facts.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { SendingTerms } from "../../src/store/suppressions.ts";
import type { Submission } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { absent, hasBody, rowOf, storedIn } from "./drafts.ts";
import { outboundOf } from "./messages.ts";
import { type Submitted, submit } from "./submit.ts";
import { approvedTemplate } from "./templates.ts";
import { noteUnchanged } from "./unchanged.ts";
import { sendAnswer } from "./views.ts";

/** What send_email would have refused as missing. */
function whyIncomplete(submission: Submission): Outcome<never> | null {
  const missing = [
    ...(submission.to.length === 0 ? ["to"] : []),
    ...(submission.subject === null ? ["subject"] : []),
    ...(hasBody(submission) ? [] : ["markdown"]),
  ];
  if (missing.length === 0) return null;
  return refused("invalid_input", `This draft is not complete: ${missing.join(", ")} is needed.`, {
    hint: "update_draft adds what is missing.",
    issues: missing.map((path) => ({ path, message: "is needed" })),
  });
}

/** The words of an earlier version are not what a human wants sent now. */
function whyOutdated(box: MailboxBase, { template }: Submission): Outcome<never> | null {
  if (template === null) return null;
  const current = approvedTemplate(box, template.id);
  if (!current.ok) return current.refusal.code === "not_found" ? outdated("was deleted") : current;
  return current.value.version === template.version ? null : outdated("has a newer version");
}

function outdated(what: string): Outcome<never> {
  return refused("wrong_state", `The template that this draft was made from ${what}.`, {
    hint: "update_draft with template_id and variables makes it anew.",
  });
}

/** Whoever was named for the draft goes before an agent that nobody named. */
function senderOf({ agent_id, acts_by_default }: Caller, draft: Submission): string | null {
  return acts_by_default ? (draft.agent_id ?? agent_id) : (agent_id ?? draft.agent_id);
}

/** @returns what a draft asks to be sent; null if there is none by that id. */
export function draftedSubmission(box: MailboxBase, id: string): Submission | null {
  const row = rowOf(box, id);
  return row && storedIn(row).submission;
}

/** @returns what a draft asks to be sent, as whoever calls sends it; null where it is going to be refused. */
export function completeDraft(box: MailboxBase, caller: Caller, id: string): Submission | null {
  const submission = draftedSubmission(box, id);
  if (!submission || whyIncomplete(submission) || whyOutdated(box, submission)) return null;
  return { ...submission, agent_id: senderOf(caller, submission) };
}

/**
 * Submits a draft under its own id, by whoever sends it: oversight applies to them, and the record names who wrote it. The draft is
 * gone in the same transaction; sending it again answers the same.
 */
export function sendDraft(
  box: MailboxBase,
  caller: Caller,
  id: string,
  { terms, intelligence }: { terms: SendingTerms | null; intelligence: DomainIntelligence | null },
): Outcome<Submitted> {
  const row = rowOf(box, id);
  if (!row) return sentBefore(box, caller, id);
  const { submission, changed_by, writers = [] } = storedIn(row);
  const refusal = whyIncomplete(submission) ?? whyOutdated(box, submission);
  if (refusal) return refusal;
  return box.commit(() => {
    const agent_id = senderOf(caller, submission);
    const submitted = submit(box, caller, { ...submission, agent_id, intelligence }, { terms, writers });
    if (submitted.ok) {
      box.record({
        message: box.messages.get(id),
        actor: actorOf({ ...caller, agent_id }),
        action: "draft.sent",
        detail: {
          written_by: row.key_id,
          changed_by,
          ...(submission.agent_id !== null && { drafted_for: submission.agent_id }),
        },
      });
    }
    return submitted;
  });
}

function sentBefore(box: MailboxBase, caller: Caller, id: string): Outcome<Submitted> {
  const message = box.messages.find(id);
  if (message?.direction !== "outbound" || outboundOf(message).author.key_id !== caller.key_id) return absent(box, id);
  noteUnchanged(box, caller, "draft.sent", message);
  return accepted({ answer: { ...sendAnswer(box, message), idempotent: true }, held: null });
}
