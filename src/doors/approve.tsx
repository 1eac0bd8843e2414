import { type Context, Hono } from "hono";
import type { LinkView } from "../../durable-objects/mailbox-rpc.ts";
import { hashDecisionToken, routingNumberOfToken } from "../oversight/decision-links.ts";
import { DecisionPage } from "../pages/decision.tsx";
import { type Html, renderPage } from "../pages/layout.tsx";
import { OutcomePage } from "../pages/outcome.tsx";
import { expiredProblem, PROBLEMS, type Problem, ProblemPage, revokedProblem } from "../pages/problem.tsx";
import { contentDisposition, harmlessType } from "./approve/attachment.ts";
import { csrfSecret, isSameSecret } from "./approve/csrf.ts";
import { isForm, isFromOurPage, readForm } from "./approve/form.ts";
import { ATTACHMENT_POLICY, pageHeaders } from "./approve/headers.ts";
import { type ApproveEnv, askMailbox, fetchFile, Unavailable } from "./approve/storage.ts";

/** Decision links over HTTP (FORMATS.md §7). GET shows, whoever fetches it; only the form's POST decides. */

type Door = Context<{ Bindings: ApproveEnv }>;
type OpenView = Extract<LinkView, { state: "open" }>;
type DecidedView = Extract<LinkView, { state: "decided" }>;

/** What a request's path names. `hash` is all of the token that goes any further. */
interface Link {
  routing: string;
  hash: string;
  /** The page's own path. */
  base: string;
}

function linkOf(c: Door): Link | null {
  const token = c.req.param("token") ?? "";
  const routing = routingNumberOfToken(token);
  return routing === null ? null : { routing, hash: hashDecisionToken(token), base: `/v1/approve/${token}` };
}

function show(c: Door, status: 200 | 409 | 422 | Problem["status"], page: Html, extra: Record<string, string> = {}) {
  return c.body(renderPage(page), status, { ...pageHeaders(c.req.url, c.env.PUBLIC_URL), ...extra });
}

/** Headers that some statuses need (RFC 9110 §10.2.1, §10.2.3). */
const EXTRA_HEADERS: Partial<Record<Problem["status"], Record<string, string>>> = {
  405: { Allow: "GET, HEAD, POST" },
  503: { "Retry-After": "30" },
};

function problem(c: Door, what: Problem, base?: string): Response {
  return show(c, what.status, <ProblemPage problem={what} base={base} />, EXTRA_HEADERS[what.status]);
}

/** What a link that is not open shows. */
function showClosed(c: Door, view: Exclude<LinkView, OpenView>): Response {
  switch (view.state) {
    case "unknown":
      return problem(c, PROBLEMS.unknown);
    case "revoked":
      return problem(c, revokedProblem(view.reason));
    case "expired":
      return problem(c, expiredProblem(view.expired_at));
    case "decided":
      return show(c, 200, <OutcomePage approver={view.approver} outcome={view.outcome} late={false} />);
  }
}

function showTooLate(c: Door, view: DecidedView): Response {
  return show(c, 409, <OutcomePage approver={view.approver} outcome={view.outcome} late={true} />);
}

function decisionPage(
  c: Door,
  link: Link,
  view: OpenView,
  now: number,
  retry: { note?: string; trouble?: string } = {},
) {
  const csrf = csrfSecret(c.env.MASTER_KEY, link.hash, view.item.content_hash);
  const { item, approver, expires_at } = view;
  return <DecisionPage {...{ item, approver, expires_at, csrf, now }} base={link.base} {...retry} />;
}

async function openPage(c: Door, now: number): Promise<Response> {
  const link = linkOf(c);
  if (!link) return problem(c, PROBLEMS.unknown);
  const { value: view } = await askMailbox(c.env, link.routing, (links) => links.openLink(link.hash));
  if (view.state !== "open") return showClosed(c, view);
  return show(c, 200, decisionPage(c, link, view, now));
}

async function decide(c: Door, now: number): Promise<Response> {
  const link = linkOf(c);
  if (!link) return problem(c, PROBLEMS.unknown);
  if (!isForm(c.req.header("Content-Type"))) return problem(c, PROBLEMS.form_type, link.base);
  if (!isFromOurPage(c.req.raw, c.env.PUBLIC_URL)) return problem(c, PROBLEMS.csrf, link.base);
  const form = await readForm(c.req.raw);
  if (form === null) return problem(c, PROBLEMS.too_large, link.base);
  const { value: view } = await askMailbox(c.env, link.routing, (links) => links.openLink(link.hash));
  if (view.state === "decided") return showTooLate(c, view);
  if (view.state !== "open") return showClosed(c, view);
  const expected = csrfSecret(c.env.MASTER_KEY, link.hash, view.item.content_hash);
  if (!isSameSecret(form.csrf, expected)) return problem(c, PROBLEMS.csrf, link.base);
  if (form.trouble !== null) {
    return show(c, 422, decisionPage(c, link, view, now, { note: form.note, trouble: form.trouble }));
  }
  return takeDecision(c, link, form, now);
}

/** What a decision makes of an item, where it is the one that counts. */
const MAKES = { approve: "approved", reject: "rejected" } as const;
const NOT_TAKEN = "Your decision could not be taken. Please try again.";

async function takeDecision(
  c: Door,
  link: Link,
  { decision, note }: { decision: "approve" | "reject"; note: string },
  now: number,
): Promise<Response> {
  const { value: view, retried } = await askMailbox(c.env, link.routing, (links) =>
    links.decideByLink(link.hash, decision, note === "" ? null : note),
  );
  if (view.state === "open") return show(c, 409, decisionPage(c, link, view, now, { note, trouble: NOT_TAKEN }));
  if (view.state !== "decided") return showClosed(c, view);
  const { outcome, approver } = view;
  // A first try whose answer was lost may have decided; the second then meets its own decision.
  const ownUnheard = retried && outcome.decided_by === approver && outcome.decision === MAKES[decision];
  if (!outcome.just_now && !ownUnheard) return showTooLate(c, view);
  // A phone that reloads the page, or comes back to it, must not send the form again.
  return c.body(null, 303, { ...pageHeaders(c.req.url, c.env.PUBLIC_URL), Location: link.base });
}

async function download(c: Door): Promise<Response> {
  const link = linkOf(c);
  if (!link) return problem(c, PROBLEMS.unknown);
  const { value: view } = await askMailbox(c.env, link.routing, (links) => links.openLink(link.hash));
  if (view.state === "decided") return problem(c, PROBLEMS.decided, link.base);
  if (view.state !== "open") return showClosed(c, view);
  const index = c.req.param("index") ?? "";
  const file = /^(?:0|[1-9]\d{0,3})$/.test(index) ? view.item.content.attachments[Number(index)] : undefined;
  if (!file) return problem(c, PROBLEMS.attachment_missing, link.base);
  const stored = await fetchFile(c.env, file.key, c.req.method === "HEAD");
  const headers = {
    ...pageHeaders(c.req.url, c.env.PUBLIC_URL),
    "Content-Security-Policy": ATTACHMENT_POLICY,
    "Content-Type": harmlessType(file.content_type),
    "Content-Disposition": contentDisposition(file.name),
    "Content-Length": String(stored.size),
  };
  return new Response(stored.body, { headers });
}

/**
 * The routes of decision links: the page, the form's target, and the attachments of an item that waits.
 * @param now milliseconds since the epoch; says how long a link still works.
 */
export function approveRoutes(now: () => number = Date.now): Hono<{ Bindings: ApproveEnv }> {
  const app = new Hono<{ Bindings: ApproveEnv }>();
  app.get("/v1/approve/:token", (c) => openPage(c, now()));
  app.post("/v1/approve/:token", (c) => decide(c, now()));
  app.get("/v1/approve/:token/attachments/:index", (c) => download(c));
  app.all("/v1/approve/:token", (c) => problem(c, PROBLEMS.method, linkOf(c)?.base));
  app.all("/v1/approve/:token/attachments/:index", (c) => problem(c, PROBLEMS.method, linkOf(c)?.base));
  app.all("/v1/approve/*", (c) => problem(c, PROBLEMS.unknown));
  app.onError((error, c) => {
    if (!(error instanceof Unavailable)) console.error("decision page: a mistake of ours", { error: String(error) });
    return problem(c, PROBLEMS.unavailable, linkOf(c)?.base);
  });
  return app;
}
