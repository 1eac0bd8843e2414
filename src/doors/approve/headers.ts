import { STYLE_SOURCES } from "../../pages/style.ts";

/**
 * The page's policy (CSP Level 3). The message's frame inherits it, which is why style attributes are let through: a message may
 * have them, and nothing of ours is built from what a message says. `frame-src 'none'` keeps a link in the frame from navigating.
 */
const PAGE_POLICY = [
  "default-src 'none'",
  `style-src ${STYLE_SOURCES}`,
  `style-src-elem ${STYLE_SOURCES}`,
  "style-src-attr 'unsafe-inline'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

/** For a file that a browser decides to show after all. */
export const ATTACHMENT_POLICY =
  "sandbox; default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const FEATURES = [
  "accelerometer",
  "camera",
  "geolocation",
  "gyroscope",
  "magnetometer",
  "microphone",
  "payment",
  "usb",
];

const HEADERS: Record<string, string> = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy": PAGE_POLICY,
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-store",
  "X-Robots-Tag": "noindex, nofollow, noarchive",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": FEATURES.map((feature) => `${feature}=()`).join(", "),
};

/** @returns the headers of every answer at a decision link. */
export function pageHeaders(requestUrl: string, publicUrl: string): Record<string, string> {
  const secure = requestUrl.startsWith("https:") || publicUrl.startsWith("https:");
  return secure ? { ...HEADERS, "Strict-Transport-Security": "max-age=63072000; includeSubDomains" } : { ...HEADERS };
}
