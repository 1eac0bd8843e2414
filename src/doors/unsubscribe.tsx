import { type Context, Hono } from "hono";
import { Refused } from "../errors.ts";
import { routingNumberOf } from "../ids.ts";
import { parseAddresses } from "../mail/address.ts";
import { readUnsubscribeToken, type UnsubscribeRef } from "../mail/unsubscribe-token.ts";
import { type Html, renderPage } from "../pages/layout.tsx";
import {
  BUTTON,
  NOTICES,
  type Notice,
  NoticePage,
  UnsubscribedPage,
  UnsubscribePage,
} from "../pages/unsubscribe/page.tsx";
import { pageHeaders } from "./approve/headers.ts";
import { readAtMost } from "./bounded-body.ts";
import { limitRate } from "./rate-limit.ts";
import type { AppEnvironment } from "./serve.ts";

/**
 * Unsubscribe links. GET shows, whoever fetches it; POST does it, whether our page's button or a mail program sends it (RFC 8058).
 * The token in the path is all that is asked for: there is no cookie, so a foreign page gains nothing by sending the form.
 */

type Door = Context<AppEnvironment>;

/** An address of 254 octets, each written `%41`, or a multipart form with as much around its one field. */
const LARGEST_FORM = 4 * 1024;

function show(c: Door, status: number, page: Html): Response {
  return new Response(c.req.method === "HEAD" ? null : renderPage(page), {
    status,
    headers: pageHeaders(c.req.url, c.env.PUBLIC_URL),
  });
}

function tell(c: Door, notice: Notice, headers: Record<string, string> = {}): Response {
  const answer = show(c, notice.status, <NoticePage notice={notice} />);
  for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value);
  return answer;
}

/** What a link names, with its mailbox; null for a link that is none of ours. */
function linkOf(c: Door): (UnsubscribeRef & { routing: string }) | null {
  const ref = readUnsubscribeToken(c.env, c.req.param("token") ?? "");
  const routing = ref && routingNumberOf(ref.email_id);
  return ref && routing ? { ...ref, routing } : null;
}

async function openPage(c: Door): Promise<Response> {
  const link = linkOf(c);
  const view = link && (await c.env.MAILBOX.getByName(link.routing).openUnsubscribe(link.email_id, link.position));
  return view ? show(c, 200, <UnsubscribePage {...view} />) : tell(c, NOTICES.unknown);
}

/** @returns the fields of a small form, urlencoded or multipart (RFC 8058 §3.2); null for anything else. */
async function fieldsOf(request: Request): Promise<FormData | null> {
  const body = await readAtMost(request, LARGEST_FORM);
  if (body === null) return null;
  const type = request.headers.get("Content-Type") ?? "";
  try {
    return await new Response(body, { headers: { "Content-Type": type } }).formData();
  } catch {
    // Whoever sends no form asks for nothing; the page says so.
    return null;
  }
}

/** @returns whether a person or their mail program asked for it, and not a program that follows every link. */
function isAsked(fields: FormData): boolean {
  return fields.get("List-Unsubscribe") === "One-Click" || fields.get(BUTTON.name) === BUTTON.value;
}

/** @returns the one address that was typed, or null. */
function typedAddress(fields: FormData): string | null {
  const typed = fields.get("address");
  if (typeof typed !== "string") return null;
  try {
    const [first, ...more] = parseAddresses(typed.trim(), "address");
    return first && more.length === 0 ? first.address : null;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

async function unsubscribe(c: Door): Promise<Response> {
  const link = linkOf(c);
  if (!link) return tell(c, NOTICES.unknown);
  const fields = await fieldsOf(c.req.raw);
  if (fields === null || !isAsked(fields)) return tell(c, NOTICES.not_asked);
  const mailbox = c.env.MAILBOX.getByName(link.routing);
  if (link.position !== null) {
    const done = await mailbox.unsubscribe(link.email_id, link.position);
    return done ? show(c, 200, <UnsubscribedPage typed={false} />) : tell(c, NOTICES.unknown);
  }
  // Only here can somebody try addresses, of those who got the very same message.
  await limitRate(c.env, c.req.raw.headers);
  const address = typedAddress(fields);
  if (address !== null) {
    const done = await mailbox.unsubscribe(link.email_id, address);
    return done ? show(c, 200, <UnsubscribedPage typed={true} />) : tell(c, NOTICES.unknown);
  }
  const view = await mailbox.openUnsubscribe(link.email_id, null);
  if (!view) return tell(c, NOTICES.unknown);
  return show(c, 422, <UnsubscribePage {...view} trouble="This is not an email address." />);
}

/** @returns the routes of unsubscribe links. */
export function unsubscribeRoutes(): Hono<AppEnvironment> {
  const app = new Hono<AppEnvironment>();
  app.get("/v1/unsubscribe/:token", (c) => openPage(c));
  app.post("/v1/unsubscribe/:token", (c) => unsubscribe(c));
  app.all("/v1/unsubscribe/:token", (c) => tell(c, NOTICES.method, { Allow: "GET, HEAD, POST" }));
  app.all("/v1/unsubscribe/*", (c) => tell(c, NOTICES.unknown));
  app.onError((error, c) => {
    if (error instanceof Refused && error.refusal.code === "rate_limited") {
      return tell(c, NOTICES.rate_limited, { "Retry-After": "60" });
    }
    console.error("an unsubscribe link could not be served", error);
    return tell(c, NOTICES.unavailable, { "Retry-After": "30" });
  });
  return app;
}
