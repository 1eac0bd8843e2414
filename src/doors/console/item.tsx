import type { ItemUse, LinkView, PersonDecision } from "../../../durable-objects/mailbox-rpc.ts";
import type { ErrorCode } from "../../errors.ts";
import { asEmailId, isId, type RoutingNumber, routingNumberOf } from "../../ids.ts";
import type { Person } from "../../oversight/caller.ts";
import { attachmentAt } from "../../oversight/item-attachments.ts";
import { Nav, QUEUE } from "../../pages/console/frame.tsx";
import { NOTICES } from "../../pages/console/notice.tsx";
import { DecisionPage, type TypedEdit } from "../../pages/decision.tsx";
import type { KeptWords } from "../../pages/kept.tsx";
import { OutcomePage } from "../../pages/outcome.tsx";
import { findMailboxByRouting } from "../../store/directory.ts";
import { askMailbox } from "../../store/mailbox-client.ts";
import { contentDisposition, harmlessType } from "../approve/attachment.ts";
import { decisionOf } from "../approve/decision.ts";
import { type DecisionForm, keptWords, readDecisionForm } from "../approve/form.ts";
import { ATTACHMENT_POLICY, pageHeaders } from "../approve/headers.ts";
import { attachmentNumber, fetchFile } from "../approve/storage.ts";
import { formOf, forPerson, goTo, show, tell, useOf } from "./answers.tsx";
import type { Door, SignedIn } from "./session.ts";

/** One item in a session: its page, the decision about it, its attachments. */

type OpenView = Extract<LinkView, { state: "open" }>;
type DecidedView = Extract<LinkView, { state: "decided" }>;

/** An item of the person's own tenant. */
interface Place {
  id: string;
  routing: RoutingNumber;
  /** The page's own path. */
  base: `/console/items/${string}`;
}

const BACK = { href: QUEUE, label: "Back to the queue" };

/** @returns the person as mailboxes know them. */
export function voiceOf({ person }: SignedIn): Person {
  return { address: person, via: "console" };
}

/**
 * Finds an item's mailbox. A person may oversee several tenants; a session is for one.
 * @returns null for what is no item, or in another tenant.
 */
export async function placeOf(c: Door, { tenant_id }: SignedIn, id: string): Promise<Place | null> {
  const routing = isId("pend", id) ? routingNumberOf(id) : null;
  if (routing === null || (await findMailboxByRouting(c.env.DB, tenant_id, routing)) === null) return null;
  return { id, routing, base: `/console/items/${id}` };
}

function open(c: Door, person: SignedIn, { id, routing }: Place, use: ItemUse): Promise<LinkView> {
  return askMailbox(c.env, routing, (mailbox) => mailbox.openItem(voiceOf(person), id, use));
}

/** What stands in a page's form again, and why an earlier try to decide was not taken. */
interface Retry {
  note?: string;
  typed?: TypedEdit;
  trouble?: string;
}

function showOpen(
  c: Door,
  status: 200 | 409 | 422,
  person: SignedIn,
  place: Place,
  view: OpenView,
  now: number,
  retry: Retry = {},
): Response {
  const { item, approver, expires_at, approved_at } = view;
  const { csrf } = person;
  const nav = <Nav viewer={person} />;
  return show(
    c,
    status,
    <DecisionPage
      {...{ item, approver, expires_at, approved_at, csrf, now, nav }}
      base={place.base}
      back={BACK}
      {...retry}
    />,
  );
}

/** Where the record of the item's message is; undefined for an item that is no message. */
function recordPathOf(c: Door, kind: DecidedView["outcome"]["kind"]): string | undefined {
  const emailId = asEmailId(c.req.param("id") ?? "");
  return emailId !== null && (kind === "send" || kind === "inbound") ? `/console/emails/${emailId}/record` : undefined;
}

function showDecided(
  c: Door,
  status: 200 | 409,
  person: SignedIn,
  { approver, outcome }: DecidedView,
  kept: KeptWords | null = null,
): Response {
  const late = status === 409;
  const record = recordPathOf(c, outcome.kind);
  const nav = <Nav viewer={person} />;
  return show(c, status, <OutcomePage {...{ approver, outcome, late, kept, record, nav }} back={BACK} />);
}

/** The page of one item. */
export function itemPage(c: Door, now: number): Promise<Response> {
  return forPerson(c, async (person) => {
    const place = await placeOf(c, person, c.req.param("id") ?? "");
    const view = place && (await open(c, person, place, useOf(c)));
    if (place && view?.state === "open") return showOpen(c, 200, person, place, view, now);
    return view?.state === "decided" ? showDecided(c, 200, person, view) : tell(c, NOTICES.unknown, person);
  });
}

/** Takes the form of an item's page. */
export function decideItem(c: Door, now: number): Promise<Response> {
  return formOf(
    c,
    readDecisionForm,
    ({ csrf }) => csrf,
    async (person, form) => {
      const place = await placeOf(c, person, c.req.param("id") ?? "");
      return place ? takeForm(c, person, place, form, now) : tell(c, NOTICES.unknown, person);
    },
  );
}

const CHANGED =
  "The content was changed after you opened this page. It says now what stands here. Nothing was decided.";
const COUNTED = "Your approval counts already. Nothing more was decided.";

async function takeForm(c: Door, person: SignedIn, place: Place, form: DecisionForm, now: number): Promise<Response> {
  const view = await open(c, person, place, "decide");
  if (view.state !== "open") return showNotOpen(c, person, view, form);
  const refuse = (code: ErrorCode) =>
    askMailbox(c.env, place.routing, (mailbox) => mailbox.noteRefusedInSession(voiceOf(person), place.id, code));
  const { note, typed } = form;
  if (view.approved_at !== null) {
    await refuse("already_decided");
    return showAgain(c, 409, person, place, form, now, { trouble: COUNTED });
  }
  if (form.content_hash !== view.item.content_hash) {
    await refuse("content_changed");
    return showAgain(c, 409, person, place, form, now, { note, typed, trouble: CHANGED });
  }
  const { decision, trouble } = decisionOf(form, view.item);
  if (decision === null) return showAgain(c, 422, person, place, form, now, { note, typed, trouble });
  return takeDecision(c, person, place, form, decision, now);
}

/** The page as it stands now, which the person thereby reads once more. */
async function showAgain(
  c: Door,
  status: 409 | 422,
  person: SignedIn,
  place: Place,
  form: DecisionForm,
  now: number,
  retry: Retry,
): Promise<Response> {
  const view = await open(c, person, place, "show");
  return view.state === "open"
    ? showOpen(c, status, person, place, view, now, retry)
    : showNotOpen(c, person, view, form);
}

function showNotOpen(c: Door, person: SignedIn, view: LinkView, form: DecisionForm): Response {
  return view.state === "decided"
    ? showDecided(c, 409, person, view, keptWords(form))
    : tell(c, NOTICES.unknown, person);
}

/** @returns whether the outcome is what this very person decided, in this request or in one whose answer was lost. */
export function isOwn(person: SignedIn, { outcome }: DecidedView, decision: PersonDecision["decision"]): boolean {
  if (outcome.just_now) return true;
  const made = decision === "approve" ? ["approved", "approved_partly"] : ["rejected"];
  return outcome.decided_by === person.person && made.includes(outcome.decision);
}

async function takeDecision(
  c: Door,
  person: SignedIn,
  place: Place,
  form: DecisionForm,
  decision: PersonDecision,
  now: number,
): Promise<Response> {
  const taken = await askMailbox(c.env, place.routing, (mailbox) =>
    mailbox.decideInSession(voiceOf(person), place.id, form.content_hash, decision),
  );
  if (taken.state === "decided") {
    // A phone that reloads the page, or comes back to it, must not send the form again.
    if (isOwn(person, taken, decision.decision)) return goTo(c, place.base);
    return showDecided(c, 409, person, taken, keptWords(form));
  }
  if (taken.state !== "refused") return tell(c, NOTICES.unknown, person);
  const { note, typed } = form;
  return showAgain(c, 409, person, place, form, now, { note, typed, trouble: `${taken.error} Nothing was decided.` });
}

/** A file of an item that waits. */
export function download(c: Door): Promise<Response> {
  return forPerson(c, async (person) => {
    const place = await placeOf(c, person, c.req.param("id") ?? "");
    const number = attachmentNumber(c.req.param("index"));
    const isHead = c.req.method === "HEAD";
    const view = place && (await open(c, person, place, isHead || number === undefined ? "ask" : { file: number }));
    if (view?.state === "decided") return tell(c, NOTICES.decided, person);
    if (view?.state !== "open") return tell(c, NOTICES.unknown, person);
    const file = attachmentAt(view.item, number);
    if (!file) return tell(c, NOTICES.attachment_missing, person);
    const stored = await fetchFile(c.env, file.key, isHead);
    const headers = {
      ...pageHeaders(c.req.url, c.env.PUBLIC_URL),
      "Content-Security-Policy": ATTACHMENT_POLICY,
      "Content-Type": harmlessType(file.content_type),
      "Content-Disposition": contentDisposition(file.name),
      "Content-Length": String(stored.size),
    };
    return new Response(stored.body, { headers });
  });
}
