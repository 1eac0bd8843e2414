import type { LinkView } from "../../durable-objects/mailbox-rpc.ts";
import { csrfSecret } from "../../src/doors/approve/csrf.ts";
import { approveRoutes } from "../../src/doors/approve.tsx";
import { hashDecisionToken } from "../../src/oversight/decision-links.ts";
import {
  decidedView,
  decisionItem,
  NOW,
  openView,
  type RecordedEnv,
  TEST_MASTER_KEY,
  tokenFor,
} from "./decision-page-fixtures.ts";

/** Requests at the decision door, as a browser makes them. */

export const ORIGIN = "https://mail.example.com";
export const TOKEN = tokenFor("one");
export const app = approveRoutes(() => NOW);

export function path(token = TOKEN): string {
  return `${ORIGIN}/v1/approve/${token}`;
}

export function secret(token = TOKEN, contentHash = decisionItem().content_hash): string {
  return csrfSecret({ MASTER_KEY: TEST_MASTER_KEY }, hashDecisionToken(token), contentHash);
}

export function post(
  env: RecordedEnv,
  fields: Record<string, string> | string | URLSearchParams,
  headers: Record<string, string> = {},
  token = TOKEN,
): Promise<Response> {
  const body = typeof fields === "string" ? fields : new URLSearchParams(fields).toString();
  const type = { "Content-Type": "application/x-www-form-urlencoded" };
  return Promise.resolve(app.request(path(token), { method: "POST", body, headers: { ...type, ...headers } }, env));
}

export function get(env: RecordedEnv, token = TOKEN, rest = "", method = "GET"): Promise<Response> {
  return Promise.resolve(app.request(path(token) + rest, { method }, env));
}

export function decisions(env: RecordedEnv) {
  return env.calls.filter((call) => call.method === "decideByLink");
}

/** Every state of a link: what GET and POST answer, and words on its page. */
export const STATES: [name: string, view: LinkView, get: number, post: number, words: RegExp][] = [
  ["open", openView(), 200, 303, /Send this email\?/],
  ["decided", decidedView(), 200, 409, /Approved by .*anna@acme\.example/],
  ["unknown", { state: "unknown" }, 404, 404, /leads nowhere/],
  [
    "revoked",
    { state: "revoked", reason: "it arrived in inbound mail" },
    410,
    410,
    /because it arrived in inbound mail/,
  ],
  ["expired", { state: "expired", expired_at: "2026-11-20T08:00:00.000Z" }, 410, 410, /Fri, 20 Nov 2026, 08:00 UTC/],
];
