import { BLANKED_TOKEN, blankDecisionTokens } from "../oversight/decision-links.ts";

/** Cuts decision tokens out of text together with whatever mail programs wrapped around and inside them, in linear time. */

/** What may stand between two characters of a token; it is looked for at one place only. */
const BREAKS = [
  "=[ \\t]{0,100}\\r?\\n",
  "[ \\t]?\\r?\\n[ \\t>]{0,100}",
  "[\\0\\u00ad\\u200b-\\u200f\\u2060\\ufeff]",
  "\\xe2\\x80[\\x8b-\\x8f]|\\xe2\\x81\\xa0|\\xef\\xbb\\xbf|\\xc2\\xad",
  "&(?:shy|ZeroWidthSpace);?",
];
const TAG = "<[^<>]{0,4000}>";
/** Another writing of one character: its code in hexadecimal, in decimal, or its name. */
const PERCENT = "%(?:25)?([0-9A-Fa-f]{2})";
const PERCENT_OR_EQUALS = "(?:%(?:25)?|=)([0-9A-Fa-f]{2})";
const ENTITIES = "&#[xX]0*([0-9A-Fa-f]{1,6});?|&#0*(\\d{1,7});?|&(hyphen|dash|lowbar|UnderBar);?";
const NAMED: Readonly<Record<string, string>> = { hyphen: "-", dash: "-", lowbar: "_", UnderBar: "_" };

interface Wrapping {
  gap: RegExp;
  character: RegExp;
}

function wrapping(gaps: string[], hexadecimal: string): Wrapping {
  return { gap: new RegExp(gaps.join("|"), "y"), character: new RegExp(`${hexadecimal}|${ENTITIES}`, "y") };
}

/** Tried one after the other: `=AB` is two digits to quoted-printable and a link's parameter elsewhere, and a tag may hold a link. */
const WRAPPINGS = [
  wrapping(BREAKS, PERCENT),
  wrapping(BREAKS, PERCENT_OR_EQUALS),
  wrapping([TAG, ...BREAKS], PERCENT),
  wrapping([TAG, ...BREAKS], PERCENT_OR_EQUALS),
];

/** With what a wrapping begins; elsewhere no pattern is tried. */
const BEGINS = new Set([..."\0\t\n\r %&<=\u00ad\u00c2\u00e2\u00ef\u2060\ufeff\u200b\u200c\u200d\u200e\u200f"]);

const TOKEN_LENGTH = 52;
/** From a token's end, its hyphen is the 44th character. */
const AFTER_HYPHEN = 44;
/** A power of two, at least a token's length. */
const WINDOW = 64;

function codes(characters: string): Uint8Array {
  const table = new Uint8Array(128);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

const IN_ROUTING = codes("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
const IN_TOKEN = codes("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_");
const HYPHEN = 45;

/** The last characters read, with the wrapping undone, and where each begins in the text. */
class Window {
  private readonly characters = new Uint32Array(WINDOW);
  private readonly starts = new Int32Array(WINDOW);
  private count = 0;
  /** How many of the last characters are all characters of tokens. */
  private run = 0;

  /** @returns where a token begins whose last character this is, or -1. */
  push(code: number, start: number): number {
    const index = this.count++ % WINDOW;
    this.characters[index] = code;
    this.starts[index] = start;
    this.run = IN_TOKEN[code] === 1 ? this.run + 1 : 0;
    if (this.run < TOKEN_LENGTH || this.characters[(this.count - AFTER_HYPHEN) % WINDOW] !== HYPHEN) return -1;
    const first = this.count - TOKEN_LENGTH;
    for (let n = first; n < this.count - AFTER_HYPHEN; n++) {
      if (IN_ROUTING[this.characters[n % WINDOW] as number] !== 1) return -1;
    }
    this.run = 0;
    return this.starts[first % WINDOW] as number;
  }
}

function codeOf([, hexadecimal, hexadecimalEntity, decimal, name]: RegExpExecArray): number {
  if (name !== undefined) return (NAMED[name] as string).charCodeAt(0);
  if (decimal !== undefined) return Number(decimal);
  return Number.parseInt(hexadecimal ?? hexadecimalEntity ?? "", 16);
}

function blankOneWrapping(text: string, { gap, character }: Wrapping): string {
  const window = new Window();
  let blanked = "";
  let copied = 0;
  for (let at = 0; at < text.length; ) {
    let code = text.charCodeAt(at);
    let end = at + 1;
    if (BEGINS.has(text.charAt(at))) {
      gap.lastIndex = at;
      if (gap.test(text)) {
        at = gap.lastIndex;
        continue;
      }
      character.lastIndex = at;
      const match = character.exec(text);
      if (match) {
        code = codeOf(match);
        end = character.lastIndex;
      }
    }
    const start = window.push(code, at);
    if (start >= 0) {
      blanked += text.slice(copied, start) + BLANKED_TOKEN;
      copied = end;
    }
    at = end;
  }
  return blanked + text.slice(copied);
}

/** @returns `text` without the tokens in it that stand plainly, or wrapped so that they can be cut out; others may remain. */
export function cutOutTokens(text: string): string {
  return WRAPPINGS.reduce(blankOneWrapping, blankDecisionTokens(text));
}
