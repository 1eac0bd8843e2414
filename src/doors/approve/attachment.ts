import { withoutHidden } from "../../pages/misleading/characters.ts";

/** Types that a device may open knowingly; they carry no script that a browser would run for our origin. */
const HARMLESS = new Set([
  "application/pdf",
  "application/zip",
  "application/msword",
  "application/vnd.ms-excel",
  "application/vnd.ms-powerpoint",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  "image/png",
  "image/jpeg",
  "image/gif",
  "image/webp",
  "text/plain",
  "text/csv",
]);
const LONGEST_NAME = 120;

/** @returns a media type that is safe to answer with: the file's own if it is known to be, else that of plain bytes. */
export function harmlessType(contentType: string): string {
  const type = (contentType.split(";")[0] ?? "").trim().toLowerCase();
  return HARMLESS.has(type) ? type : "application/octet-stream";
}

/** @returns a Content-Disposition (RFC 6266) that saves under the file's name without paths, controls and hidden characters. */
export function contentDisposition(name: string): string {
  const plain = withoutHidden(name)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "")
    .replace(/[/\\:*?"<>|]/g, "_")
    .replace(/^[.\s]+|[.\s]+$/g, "");
  const whole = shortenKeepingEnd(plain === "" ? "attachment" : plain);
  const ascii = whole.replace(/[^\x20-\x7e]|%/g, "_");
  const encoded = encodeURIComponent(whole).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

function shortenKeepingEnd(name: string): string {
  const points = [...name];
  return points.length <= LONGEST_NAME
    ? name
    : [...points.slice(0, LONGEST_NAME - 21), "…", ...points.slice(-20)].join("");
}
