import { routePath } from "hono/route";
import { NOTICES, type Notice, NoticePage } from "../../pages/console/notice.tsx";
import { type Html, renderPage } from "../../pages/layout.tsx";
import { callTenant } from "../../store/mailbox-client.ts";
import { isForm, isFromOurPage } from "../approve/form.ts";
import { pageHeaders } from "../approve/headers.ts";
import { namedIn } from "../record.ts";
import { type Door, forgetSession, isFormOf, type SignedIn, whoIsThere } from "./session.ts";

/** How the console answers, and what each of its forms must prove before it does anything. */

type Status = 200 | 409 | 422 | Notice["status"];

/** Headers that some statuses need (RFC 9110 §10.2.1, §10.2.3). */
const EXTRA_HEADERS: Partial<Record<Status, Record<string, string>>> = { 503: { "Retry-After": "30" } };

/** Answers with a page. */
export function show(c: Door, status: Status, page: Html, extra: Record<string, string> = {}): Response {
  const headers = { ...pageHeaders(c.req.url, c.env.PUBLIC_URL), ...EXTRA_HEADERS[status], ...extra };
  return c.body(renderPage(page), status, headers);
}

/** Answers why something is not done. */
export function tell(c: Door, notice: Notice, viewer?: SignedIn, extra: Record<string, string> = {}): Response {
  return show(c, notice.status, <NoticePage notice={notice} viewer={viewer} />, extra);
}

/** Sends the browser to another page of the console. @param path one of ours, never what a request said. */
export function goTo(c: Door, path: `/console${string}`): Response {
  return c.body(null, 303, { ...pageHeaders(c.req.url, c.env.PUBLIC_URL), Location: path });
}

/**
 * Records in the person's account that there was nothing for them where they looked. Decisions that are refused are recorded by
 * their mailbox, and what another site has the browser ask for (403) is not the person's try.
 * @returns the answer.
 */
async function refusalRecorded(c: Door, person: SignedIn, answer: Response): Promise<Response> {
  if (answer.status === 404) await recordUnknown(c, person, [c.req.param(), c.req.query()]);
  return answer;
}

/** @param sources what the person asked for, by the names of its fields. */
export async function recordUnknown(c: Door, { tenant_id, hash }: SignedIn, sources: readonly object[]): Promise<void> {
  const operation = `${c.req.method} ${routePath(c)}`;
  const attempt = { operation, code: "not_found" as const, asked: namedIn(sources) };
  await callTenant(c.env, tenant_id, (tenant) => tenant.recordRefusalInSession(hash, attempt));
}

/** What a page is asked for: HEAD shows nothing, and lets nobody decide on what they never saw. */
export function useOf({ req }: Door): "show" | "ask" {
  return req.method === "HEAD" ? "ask" : "show";
}

/** Shows a page to whoever is signed in; everybody else is asked to sign in. */
export async function forPerson(c: Door, page: (person: SignedIn) => Promise<Response>): Promise<Response> {
  const person = await whoIsThere(c);
  if (person) return refusalRecorded(c, person, await page(person));
  forgetSession(c);
  return goTo(c, "/console");
}

/** @returns why a request is not a form that a page of ours sent, as far as its headers tell; null if it may be one. */
export function notOurForm(c: Door): Response | null {
  if (!isForm(c.req.header("Content-Type"))) return tell(c, NOTICES.form_type);
  return isFromOurPage(c.req.raw, c.env.PUBLIC_URL) ? null : tell(c, NOTICES.csrf);
}

/**
 * Takes a form from whoever is signed in: from our own page, in the right encoding and size, with the session's own secret.
 * @param read gives null for a form that is too large.
 */
export async function formOf<Form>(
  c: Door,
  read: (request: Request) => Promise<Form | null>,
  secretIn: (form: Form) => string,
  take: (person: SignedIn, form: Form) => Promise<Response>,
): Promise<Response> {
  const foreign = notOurForm(c);
  if (foreign) return foreign;
  const person = await whoIsThere(c);
  if (!person) {
    forgetSession(c);
    return tell(c, NOTICES.signed_out);
  }
  const form = await read(c.req.raw);
  if (form === null) return tell(c, NOTICES.too_large, person);
  const answer = isFormOf(c, person, secretIn(form)) ? await take(person, form) : tell(c, NOTICES.csrf, person);
  return refusalRecorded(c, person, answer);
}
