import type { LinkView, PersonDecision } from "../../../durable-objects/mailbox-rpc.ts";
import type { ErrorCode } from "../../errors.ts";
import { DecisionPage, type TypedEdit } from "../../pages/decision.tsx";
import type { KeptWords } from "../../pages/kept.tsx";
import { PROBLEMS } from "../../pages/problem.tsx";
import { type Door, type Link, linkOf, type OpenView, problem, show, showClosed, showTooLate } from "./answers.tsx";
import { csrfSecret, isCsrfSecret } from "./csrf.ts";
import { decisionOf } from "./decision.ts";
import { type DecisionForm, isForm, isFromOurPage, keptWords, readDecisionForm } from "./form.ts";
import { pageHeaders } from "./headers.ts";
import { askMailbox } from "./storage.ts";

/** What stands in a page's form again, and why an earlier try to decide was not taken. */
interface Retry {
  note?: string;
  typed?: TypedEdit;
  trouble?: string;
}

/** The page of an open item. */
export function decisionPage(c: Door, link: Link, view: OpenView, now: number, retry: Retry = {}) {
  const { item, approver, expires_at, approved_at } = view;
  const csrf = csrfSecret(c.env, link.hash, item.content_hash);
  return <DecisionPage {...{ item, approver, expires_at, approved_at, csrf, now }} base={link.base} {...retry} />;
}

/** Whether a form carries this link's own secret for the content that it says it showed. */
function isOurs(c: Door, link: Link, form: DecisionForm, shown: string): boolean {
  return isCsrfSecret(form.csrf, c.env, link.hash, shown);
}

/** Takes the form of a decision page. */
export async function decide(c: Door, now: number): Promise<Response> {
  const link = linkOf(c);
  if (!link) return problem(c, PROBLEMS.unknown);
  if (!isForm(c.req.header("Content-Type"))) return problem(c, PROBLEMS.form_type, link.base);
  if (!isFromOurPage(c.req.raw, c.env.PUBLIC_URL)) return problem(c, PROBLEMS.csrf, link.base);
  const form = await readDecisionForm(c.req.raw);
  if (form === null) return problem(c, PROBLEMS.too_large, link.base);
  const { value: view } = await askMailbox(c.env, link.routing, (links) => links.openLink(link.hash, "decide"));
  if (view.state !== "open") {
    // Words that did not come from our own page are not shown on it.
    const kept = isOurs(c, link, form, form.content_hash) ? keptWords(form) : null;
    return showNotOpen(c, view, kept);
  }
  if (!isOurs(c, link, form, form.content_hash || view.item.content_hash)) return problem(c, PROBLEMS.csrf, link.base);
  return takeForm(c, link, view, form, now);
}

function showNotOpen(c: Door, view: Exclude<LinkView, OpenView>, kept: KeptWords | null): Response {
  return view.state === "decided" ? showTooLate(c, view, kept) : showClosed(c, view, kept);
}

const CHANGED =
  "The content was changed after you opened this page. It says now what stands here. Nothing was decided.";
const COUNTED = "Your approval counts already. Nothing more was decided.";
const NOT_TAKEN = "Your decision could not be taken. Please try again.";

async function takeForm(c: Door, link: Link, view: OpenView, form: DecisionForm, now: number): Promise<Response> {
  const { note, typed, content_hash } = form;
  const refuse = (code: ErrorCode) =>
    askMailbox(c.env, link.routing, (links) => links.noteRefusedByLink(link.hash, code));
  if (view.approved_at !== null) {
    await refuse("already_decided");
    return show(c, 409, decisionPage(c, link, view, now, { trouble: COUNTED }));
  }
  if (content_hash !== "" && content_hash !== view.item.content_hash) {
    await refuse("content_changed");
    return show(c, 409, decisionPage(c, link, view, now, { note, typed, trouble: CHANGED }));
  }
  const { decision, trouble } = decisionOf(form, view.item);
  if (decision === null) return show(c, 422, decisionPage(c, link, view, now, { note, typed, trouble }));
  return takeDecision(c, link, form, decision, now);
}

/** What a decision makes of an item, where it is the one that counts. */
const MAKES = { approve: "approved", reject: "rejected" } as const;

async function takeDecision(
  c: Door,
  link: Link,
  form: DecisionForm,
  decision: PersonDecision,
  now: number,
): Promise<Response> {
  const { value: view, retried } = await askMailbox(c.env, link.routing, (links) =>
    links.decideByLink(link.hash, decision),
  );
  if (view.state === "refused") return showNotTaken(c, link, form, `${view.error} Nothing was decided.`, now);
  if (view.state === "open") return showNotTaken(c, link, form, NOT_TAKEN, now);
  if (view.state !== "decided") return showClosed(c, view, keptWords(form));
  const { outcome, approver } = view;
  // A first try whose answer was lost may have decided; the second then meets its own decision.
  const ownUnheard = retried && outcome.decided_by === approver && outcome.decision === MAKES[decision.decision];
  return outcome.just_now || ownUnheard ? backToPage(c, link) : showTooLate(c, view, keptWords(form));
}

/** A phone that reloads the page, or comes back to it, must not send the form again. */
function backToPage(c: Door, link: Link): Response {
  return c.body(null, 303, { ...pageHeaders(c.req.url, c.env.PUBLIC_URL), Location: link.base });
}

/** The mailbox did not take it: the page as it stands now, with the reason and what was typed. */
async function showNotTaken(c: Door, link: Link, form: DecisionForm, trouble: string, now: number): Promise<Response> {
  const { note, typed, choice } = form;
  const { value: view } = await askMailbox(c.env, link.routing, (links) => links.openLink(link.hash));
  if (view.state !== "open") return showNotOpen(c, view, keptWords(form));
  // One of several approvals whose first answer was lost: it counts.
  if (view.approved_at !== null && choice !== "reject") return backToPage(c, link);
  return show(c, 409, decisionPage(c, link, view, now, { note, typed, trouble }));
}
