import { Hono } from "hono";
import { attachmentAt } from "../oversight/item-attachments.ts";
import { PROBLEMS } from "../pages/problem.tsx";
import { type Door, linkOf, problem, show, showClosed } from "./approve/answers.tsx";
import { contentDisposition, harmlessType } from "./approve/attachment.ts";
import { decide, decisionPage } from "./approve/decide.tsx";
import { ATTACHMENT_POLICY, pageHeaders } from "./approve/headers.ts";
import { type ApproveEnv, askMailbox, attachmentNumber, fetchFile, Unavailable } from "./approve/storage.ts";

/** Decision links over HTTP (FORMATS.md §7). GET shows, whoever fetches it; only the form's POST decides. */

async function openPage(c: Door, now: number): Promise<Response> {
  const link = linkOf(c);
  if (!link) return problem(c, PROBLEMS.unknown);
  const { value: view } = await askMailbox(c.env, link.routing, (links) => links.openLink(link.hash));
  if (view.state !== "open") return showClosed(c, view);
  return show(c, 200, decisionPage(c, link, view, now));
}

async function download(c: Door): Promise<Response> {
  const link = linkOf(c);
  if (!link) return problem(c, PROBLEMS.unknown);
  const number = attachmentNumber(c.req.param("index"));
  const use = c.req.method === "HEAD" || number === undefined ? "ask" : { file: number };
  const { value: view } = await askMailbox(c.env, link.routing, (links) => links.openLink(link.hash, use));
  if (view.state === "decided") return problem(c, PROBLEMS.decided, link.base);
  if (view.state !== "open") return showClosed(c, view);
  const file = attachmentAt(view.item, number);
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
