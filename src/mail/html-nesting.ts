/** Far beyond any mail's; the parser's time grows with the square of the depth. */
const MAX_OPEN = 512;

/** What follows the `<` of a tag. */
const TAG_NAME = /(\/?)([a-zA-Z][^\s/>]*)/y;

/** Elements that never hold others. */
const VOID = new Set("area base br col embed hr img input link meta param source track wbr".split(" "));

/** Which elements end where the next of a kind begins, if nothing else is open in them; all of it is what the parser does. */
const ENDS: Readonly<Record<string, ReadonlySet<string>>> = {
  p: new Set(["p"]),
  li: new Set(["li"]),
  dt: new Set(["dt", "dd"]),
  dd: new Set(["dt", "dd"]),
  tr: new Set(["tr", "th", "td"]),
  th: new Set(["th"]),
  td: new Set(["th", "td"]),
  option: new Set(["option"]),
};

/** The elements open at a place, as a parser keeps them: a closing tag that closes nothing changes nothing. */
class OpenElements {
  private readonly names: string[] = [];
  private readonly counts = new Map<string, number>();

  get depth(): number {
    return this.names.length;
  }

  open(name: string): void {
    const ends = Object.hasOwn(ENDS, name) ? ENDS[name] : undefined;
    while (ends?.has(this.names.at(-1) ?? "")) this.pop();
    this.names.push(name);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  close(name: string): void {
    const wanted = (this.counts.get(name) ?? 0) - 1;
    while (wanted >= 0 && this.counts.get(name) !== wanted) this.pop();
  }

  private pop(): void {
    const name = this.names.pop() as string;
    this.counts.set(name, (this.counts.get(name) as number) - 1);
  }
}

interface Tag {
  /** Where its `<` stands, and the index after its `>`. */
  start: number;
  end: number;
  name: string;
  closing: boolean;
}

function isLetter(code: number): boolean {
  return (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
}

/** @returns the tags of `html`, each up to the first `>`. It looks at each character a fixed number of times. */
function* tagsOf(html: string): Generator<Tag> {
  for (let start = html.indexOf("<"); start >= 0; ) {
    const afterSlash = html[start + 1] === "/" ? start + 2 : start + 1;
    if (!isLetter(html.charCodeAt(afterSlash))) {
      start = html.indexOf("<", start + 1);
      continue;
    }
    const close = html.indexOf(">", afterSlash);
    if (close < 0) return;
    TAG_NAME.lastIndex = start + 1;
    const match = TAG_NAME.exec(html);
    if (match) yield { start, end: close + 1, name: (match[2] as string).toLowerCase(), closing: match[1] === "/" };
    start = html.indexOf("<", close + 1);
  }
}

/**
 * Takes out the tags of elements nested over 512 deep, leaving their text. It reads tags as far as the next `>`, not as a parser
 * does, and so only prepares HTML for a parser; on anything less deep it changes nothing. Its time is linear.
 */
export function limitNesting(html: string): string {
  const elements = new OpenElements();
  let limited = "";
  let copied = 0;
  for (const { start, end, name, closing } of tagsOf(html)) {
    const counted = !VOID.has(name);
    if (counted && !closing) elements.open(name);
    if (elements.depth > MAX_OPEN) {
      limited += html.slice(copied, start);
      copied = end;
    }
    if (counted && closing) elements.close(name);
  }
  return limited + html.slice(copied);
}
