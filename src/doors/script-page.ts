import { createHash } from "node:crypto";
import { Hono } from "hono";
import { renderPage } from "../pages/layout.tsx";
import { PAGE_STYLE, styleSource } from "../pages/style.ts";
import { pageHeaders } from "./approve/headers.ts";
import { refusalAnswer } from "./error-answers.ts";
import type { AppEnvironment } from "./serve.ts";

/** Pages whose work is done by a script of ours in the visitor's browser. Both are the same for everybody. */

/** Such a page. */
export interface ScriptPage {
  /** Where it is; the script is below it, as `verifier.js`. */
  path: string;
  script: string;
  /** Its style beyond every page's. */
  style: string;
  /** Paths that the script may read from, of this deployment alone. */
  reads: readonly string[];
  /** @param host of this deployment. @param script where the script is. */
  render: (host: string, script: string) => Parameters<typeof renderPage>[0];
}

/** An origin that can stand in a policy: a host name may hold what would end a directive. */
const PLAIN_ORIGIN = /^https?:\/\/[a-z0-9.-]+(:\d+)?$|^https?:\/\/\[[0-9a-f:]+\](:\d+)?$/;

/**
 * The page's policy (CSP Level 3). It runs its own script and no other, and reaches nothing but what it may read. No text can
 * become markup, whatever the script does with it (Trusted Types).
 * @param forms where its forms may go.
 */
export function policyFor(
  origin: string,
  { style, reads }: Pick<ScriptPage, "style" | "reads">,
  forms: "'none'" | "'self'" = "'none'",
): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src ${[PAGE_STYLE, style].map(styleSource).join(" ")}`,
    `connect-src ${PLAIN_ORIGIN.test(origin) ? reads.map((path) => origin + path).join(" ") : "'none'"}`,
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
    `form-action ${forms}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");
}

/** Under its own version a script never changes. */
function versionOf({ script }: ScriptPage): string {
  return createHash("sha256").update(script).digest("hex").slice(0, 16);
}

function scriptPathOf({ path }: ScriptPage): string {
  return `${path}/verifier.js`;
}

/** @returns where the script of the page is, for this page and any other of ours that runs it. */
export function scriptAddress(page: ScriptPage): string {
  return `${scriptPathOf(page)}?${versionOf(page)}`;
}

/** @returns the routes of the page and its script. */
export function scriptPageRoutes(page: ScriptPage): Hono<AppEnvironment> {
  const scriptPath = scriptPathOf(page);
  const app = new Hono<AppEnvironment>();
  app.get(page.path, (c) => {
    const url = new URL(c.req.url);
    const headers = {
      ...pageHeaders(url.href, c.env.PUBLIC_URL),
      "Content-Security-Policy": policyFor(url.origin, page),
    };
    return new Response(renderPage(page.render(url.host, scriptAddress(page))), { headers });
  });
  app.get(scriptPath, (c) => {
    const isThis = new URL(c.req.url).search === `?${versionOf(page)}`;
    return new Response(page.script, {
      headers: {
        "Content-Type": "text/javascript; charset=utf-8",
        "Cache-Control": isThis ? "public, max-age=31536000, immutable" : "no-cache",
      },
    });
  });
  for (const path of [page.path, scriptPath]) {
    app.all(path, (c) =>
      refusalAnswer(
        { code: "method_not_allowed", error: `${c.req.method} is not served here, but GET, HEAD.` },
        { Allow: "GET, HEAD" },
      ),
    );
  }
  return app;
}
