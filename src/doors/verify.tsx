import { createHash } from "node:crypto";
import { Hono } from "hono";
import { VERIFY_PAGE_SCRIPT } from "../../clients/typescript/dist/verify-page-text.js";
import { renderPage } from "../pages/layout.tsx";
import { PAGE_STYLE, styleSource } from "../pages/style.ts";
import { VerifyPage } from "../pages/verify/page.tsx";
import { VERIFY_STYLE } from "../pages/verify/style.ts";
import { pageHeaders } from "./approve/headers.ts";
import { refusalAnswer } from "./error-answers.ts";
import type { AppEnvironment } from "./serve.ts";

/** The page where anyone checks a message, and its script. Both are the same for everybody; no key has any part in it. */

export const VERIFY_PAGE = "/verify";
const SCRIPT_PATH = `${VERIFY_PAGE}/verifier.js`;
const VERSION = createHash("sha256").update(VERIFY_PAGE_SCRIPT).digest("hex").slice(0, 16);
/** Where keys are published: a tenant's, and a domain's by an agent's name. */
const KEY_PATHS = ["/v1/identity/public-key", "/v1/identity/pubkey/"];

/** An origin that can stand in a policy: a host name may hold what would end a directive. */
const PLAIN_ORIGIN = /^https?:\/\/[a-z0-9.-]+(:\d+)?$|^https?:\/\/\[[0-9a-f:]+\](:\d+)?$/;

/**
 * The page's policy (CSP Level 3). It runs its own script and no other, and reaches nothing but where keys are published. No text
 * can become markup, whatever the script does with it (Trusted Types).
 */
function policyFor(origin: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src ${[PAGE_STYLE, VERIFY_STYLE].map(styleSource).join(" ")}`,
    `connect-src ${PLAIN_ORIGIN.test(origin) ? KEY_PATHS.map((path) => origin + path).join(" ") : "'none'"}`,
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");
}

function pageAnswer(url: URL, publicUrl: string): Response {
  const page = <VerifyPage host={url.host} script={`${SCRIPT_PATH}?${VERSION}`} />;
  const headers = { ...pageHeaders(url.href, publicUrl), "Content-Security-Policy": policyFor(url.origin) };
  return new Response(renderPage(page), { headers });
}

/** @param asked what the address asks for: under its own version the script never changes. */
function scriptAnswer(asked: string): Response {
  const isThis = asked === `?${VERSION}`;
  return new Response(VERIFY_PAGE_SCRIPT, {
    headers: {
      "Content-Type": "text/javascript; charset=utf-8",
      "Cache-Control": isThis ? "public, max-age=31536000, immutable" : "no-cache",
    },
  });
}

/** @returns the page's routes. */
export function verifyRoutes(): Hono<AppEnvironment> {
  const app = new Hono<AppEnvironment>();
  app.get(VERIFY_PAGE, (c) => pageAnswer(new URL(c.req.url), c.env.PUBLIC_URL));
  app.get(SCRIPT_PATH, (c) => scriptAnswer(new URL(c.req.url).search));
  for (const path of [VERIFY_PAGE, SCRIPT_PATH]) {
    app.all(path, (c) =>
      refusalAnswer(
        { code: "method_not_allowed", error: `${c.req.method} is not served here, but GET, HEAD.` },
        { Allow: "GET, HEAD" },
      ),
    );
  }
  return app;
}
