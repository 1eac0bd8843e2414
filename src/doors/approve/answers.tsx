import type { Context } from "hono";
import type { LinkView } from "../../../durable-objects/mailbox-rpc.ts";
import { hashDecisionToken, routingNumberOfToken } from "../../oversight/decision-links.ts";
import type { KeptWords } from "../../pages/kept.tsx";
import { type Html, renderPage } from "../../pages/layout.tsx";
import { OutcomePage } from "../../pages/outcome.tsx";
import {
  expiredProblem,
  PROBLEMS,
  type Problem,
  ProblemPage,
  refusedProblem,
  revokedProblem,
} from "../../pages/problem.tsx";
import { pageHeaders } from "./headers.ts";
import type { ApproveEnv } from "./storage.ts";

/** How a decision link answers, whatever was asked of it. */

export type Door = Context<{ Bindings: ApproveEnv }>;
export type OpenView = Extract<LinkView, { state: "open" }>;
export type DecidedView = Extract<LinkView, { state: "decided" }>;

/** What a request's path names. `hash` is all of the token that goes any further. */
export interface Link {
  routing: string;
  hash: string;
  /** The page's own path. */
  base: string;
}

/** @returns the link a request is for; null if its token has not the form of one. */
export function linkOf(c: Door): Link | null {
  const token = c.req.param("token") ?? "";
  const routing = routingNumberOfToken(token);
  return routing === null ? null : { routing, hash: hashDecisionToken(token), base: `/v1/approve/${token}` };
}

/** Answers with a page. */
export function show(
  c: Door,
  status: 200 | 422 | Problem["status"],
  page: Html,
  extra: Record<string, string> = {},
): Response {
  return c.body(renderPage(page), status, { ...pageHeaders(c.req.url, c.env.PUBLIC_URL), ...extra });
}

/** Headers that some statuses need (RFC 9110 §10.2.1, §10.2.3). */
const EXTRA_HEADERS: Partial<Record<Problem["status"], Record<string, string>>> = {
  405: { Allow: "GET, HEAD, POST" },
  503: { "Retry-After": "30" },
};

/** Answers why there is nothing to decide. `base`: the page's own path, where opening it again can help. */
export function problem(c: Door, what: Problem, base?: string, kept: KeptWords | null = null): Response {
  return show(c, what.status, <ProblemPage problem={what} base={base} kept={kept} />, EXTRA_HEADERS[what.status]);
}

/** Answers what a link shows that is not open. `kept`: what the person had written when they tried to decide. */
export function showClosed(c: Door, view: Exclude<LinkView, OpenView>, kept: KeptWords | null = null): Response {
  switch (view.state) {
    case "unknown":
      return problem(c, PROBLEMS.unknown);
    case "revoked":
      return problem(c, revokedProblem(view.reason), undefined, kept);
    case "expired":
      return problem(c, expiredProblem(view.expired_at), undefined, kept);
    case "refused":
      return problem(c, refusedProblem(view.error), undefined, kept);
    case "decided":
      return show(c, 200, <OutcomePage approver={view.approver} outcome={view.outcome} late={false} />);
  }
}

/** Answers whoever came second. */
export function showTooLate(c: Door, view: DecidedView, kept: KeptWords | null): Response {
  return show(c, 409, <OutcomePage approver={view.approver} outcome={view.outcome} late={true} kept={kept} />);
}
