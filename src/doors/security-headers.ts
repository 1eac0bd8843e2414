import type { MiddlewareHandler } from "hono";

/** On every answer, unless the answer itself says otherwise (pages have their own policy). */
const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
  "X-Robots-Tag": "noindex",
};

/** What lets pages of any origin read an answer (Fetch Standard, "CORS protocol"). None of these answers depends on a cookie. */
const FOR_PAGES: Readonly<Record<string, string>> = {
  "Access-Control-Allow-Origin": "*",
  "Cross-Origin-Resource-Policy": "cross-origin",
};

/** @returns the answer, refusals included, readable by pages of any origin. */
export function readableByPages(response: Response): Response {
  for (const [name, value] of Object.entries(FOR_PAGES)) response.headers.set(name, value);
  return response;
}

/** Adds them. */
export const securityHeaders: MiddlewareHandler = async (context, next) => {
  await next();
  for (const [name, value] of Object.entries(HEADERS)) {
    if (!context.res.headers.has(name)) context.res.headers.set(name, value);
  }
};
