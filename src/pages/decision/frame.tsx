import type { FC } from "hono/jsx";
import { readHtml } from "../misleading/html-content.ts";
import { MESSAGE_STYLE } from "../style.ts";

/** Within this, a frame is as high as its content probably is; beyond it, it scrolls. In rem. */
const LOWEST = 9;
const HIGHEST = 44;
const LINE = 1.55;

/** Without a script a frame cannot grow with its content, so its height is guessed from the text. @returns rem. */
export function guessHeight(text: string, charactersPerLine: number): number {
  const lines = text.split("\n").reduce((sum, line) => sum + Math.ceil(line.trim().length / charactersPerLine), 0);
  const paragraphs = text.split("\n").filter((line) => line.trim() !== "").length;
  return Math.round(Math.min(HIGHEST, Math.max(LOWEST, 4 + lines * LINE + paragraphs * 0.9)));
}

/** The document inside the frame. Its policy adds to the page's, which it inherits: nothing is fetched, nothing runs. */
function frameDocument(html: string): string {
  return [
    '<!doctype html><html><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; form-action 'none'">`,
    '<meta name="referrer" content="no-referrer">',
    `<title>Message</title><style>${MESSAGE_STYLE}</style></head><body dir="auto">${html}</body></html>`,
  ].join("");
}

/** A message's HTML in a frame without scripts, forms, popups or remote content; it has no origin and cannot reach this page. */
export const MessageFrame: FC<{ html: string; title: string }> = ({ html, title }) => {
  const { text } = readHtml(html);
  const height = `--narrow:${guessHeight(text, 38)}rem;--wide:${guessHeight(text, 78)}rem`;
  return <iframe title={title} sandbox="" referrerpolicy="no-referrer" srcdoc={frameDocument(html)} style={height} />;
};
