import { Hono } from "hono";
import { EXPORT } from "../../pages/console/audit.tsx";
import { AUDIT } from "../../pages/console/frame.tsx";
import { NOTICES } from "../../pages/console/notice.tsx";
import { Unavailable } from "../approve/storage.ts";
import type { AppEnvironment, DoorDependencies } from "../serve.ts";
import { goTo, tell } from "./answers.tsx";
import { auditPage, exportLog } from "./audit.tsx";
import { decideItem, download, itemPage } from "./item.tsx";
import { decideSelected, queuePage } from "./queue.tsx";
import { recordPage } from "./record.tsx";
import type { Door } from "./session.ts";
import { askForLink, enter, enterPage, leave, sentPage, signInPage } from "./sign-in.tsx";

/** The console: where people decide in a session. No API key has any part in it. */

type Handler = (c: Door, now: number) => Promise<Response>;

/** What each path does, by method. GET never decides anything; it also answers HEAD. */
const ROUTES: readonly { path: string; get?: Handler; post?: Handler }[] = [
  { path: "/console", get: signInPage },
  { path: "/console/sign-in", post: askForLink },
  { path: "/console/sent", get: sentPage },
  { path: "/console/enter/:token", get: enterPage, post: enter },
  { path: "/console/sign-out", post: leave },
  { path: "/console/queue", get: queuePage, post: decideSelected },
  { path: "/console/items/:id", get: itemPage, post: decideItem },
  { path: "/console/items/:id/attachments/:index", get: download },
  { path: "/console/emails/:id/record", get: recordPage },
  { path: AUDIT, get: auditPage },
  { path: EXPORT, get: exportLog },
];

/** @returns the console's routes. */
export function consoleRoutes({ now }: DoorDependencies): Hono<AppEnvironment> {
  const app = new Hono<AppEnvironment>();
  for (const { path, get, post } of ROUTES) {
    if (get) app.get(path, (c) => get(c, now()));
    if (post) app.post(path, (c) => post(c, now()));
    const allow = [...(get ? ["GET", "HEAD"] : []), ...(post ? ["POST"] : [])].join(", ");
    app.all(path, (c) => tell(c, NOTICES.method, undefined, { Allow: allow }));
  }
  app.get("/console/", (c) => goTo(c, "/console"));
  app.all("/console/*", (c) => tell(c, NOTICES.unknown));
  app.onError((error, c) => {
    if (!(error instanceof Unavailable)) console.error("console: a mistake of ours", { error: String(error) });
    return tell(c, NOTICES.unavailable);
  });
  return app;
}
