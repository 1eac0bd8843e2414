import { Parser } from "htmlparser2";
import { isHidden } from "../../mail/hidden-content.ts";

/** A link as a reader meets it: the words that are underlined, and where they lead. */
export interface HtmlLink {
  text: string;
  href: string;
}

/** What an HTML body says, without its looks. */
export interface HtmlContent {
  /** Its words in reading order, blocks on lines of their own, hidden text left out. */
  text: string;
  links: HtmlLink[];
  /** Texts that no reader sees but a program reads. */
  hidden: string[];
  /** Alternative texts of images: some readers see them. */
  alternatives: string[];
}

const BLOCKS = new Set(
  "address article aside blockquote br caption center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul".split(
    " ",
  ),
);
const NEVER_SHOWN = new Set(["script", "style", "head", "title", "template", "noscript", "object", "iframe", "svg"]);
const VOID = new Set("area base br col embed hr img input link meta source track wbr".split(" "));
interface OpenElement {
  silent: boolean;
  hidden: boolean;
  link: { href: string; words: string[] } | null;
}

/** Collects what the parser meets. Texts are kept in pieces and joined once, so that hostile HTML costs no more than its length. */
class Reader {
  readonly #open: OpenElement[] = [];
  readonly #links: HtmlLink[] = [];
  readonly #openLinks: { href: string; words: string[] }[] = [];
  readonly #alternatives: string[] = [];
  readonly #hidden: string[] = [];
  #words: string[] = [];
  #hiddenWords: string[] = [];
  #atLineStart = true;

  opentag(name: string, attributes: Record<string, string>): void {
    if (BLOCKS.has(name)) this.#breakLine();
    if (name === "img" && attributes.alt) this.#alternatives.push(attributes.alt);
    if (VOID.has(name)) return;
    const parent = this.#open.at(-1);
    const link = name === "a" && attributes.href !== undefined ? { href: attributes.href, words: [] } : null;
    if (link) this.#openLinks.push(link);
    this.#open.push({
      silent: (parent?.silent ?? false) || NEVER_SHOWN.has(name),
      hidden: (parent?.hidden ?? false) || isHidden(attributes),
      link,
    });
  }

  text(text: string): void {
    const parent = this.#open.at(-1);
    if (parent?.silent) return;
    if (parent?.hidden) {
      this.#hiddenWords.push(text);
      return;
    }
    this.#words.push(text);
    this.#openLinks.at(-1)?.words.push(text);
    this.#atLineStart = text.endsWith("\n");
  }

  closetag(name: string): void {
    if (VOID.has(name)) return;
    const closed = this.#open.pop();
    if (closed?.link) {
      this.#openLinks.pop();
      this.#links.push({ href: closed.link.href, text: closed.link.words.join("") });
    }
    if (closed?.hidden && !this.#open.at(-1)?.hidden) this.#endHidden();
    if (BLOCKS.has(name)) this.#breakLine();
  }

  finish(): HtmlContent {
    this.#endHidden();
    return {
      text: this.#words.join(""),
      links: this.#links,
      hidden: this.#hidden,
      alternatives: this.#alternatives,
    };
  }

  #breakLine(): void {
    if (this.#atLineStart || this.#open.at(-1)?.hidden) return;
    this.#words.push("\n");
    this.#openLinks.at(-1)?.words.push(" ");
    this.#atLineStart = true;
  }

  #endHidden(): void {
    const text = this.#hiddenWords.join("").replace(/\s+/g, " ").trim();
    if (text !== "") this.#hidden.push(text);
    this.#hiddenWords = [];
  }
}

/** Reads an HTML body the way its readers would. Never throws: HTML has no errors. */
export function readHtml(html: string): HtmlContent {
  const reader = new Reader();
  const parser = new Parser({
    onopentag: (name, attributes) => reader.opentag(name, attributes),
    ontext: (text) => reader.text(text),
    onclosetag: (name) => reader.closetag(name),
  });
  parser.end(html);
  return reader.finish();
}
