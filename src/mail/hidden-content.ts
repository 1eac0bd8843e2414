/**
 * Which elements their author meant nobody to see. Their text is taken out, since a reader without style sheets would see it,
 * and a program reading the mail would too. It need not be complete: no style leaves this service, so what is missed becomes
 * visible to approver and recipient alike.
 */

/** `12px`, `.5em`, `-9999px`, `100%`; anything else is no length. */
const LENGTH = /^([+-]?(?:\d+\.?\d*|\.\d+))(px|pt|em|rem|ex|ch|in|cm|mm|pc|q|vw|vh|vmin|vmax|%)?$/;
/** Further out than this many pixels (or other units, all of which are larger but for %) is off-screen. */
const OFF_SCREEN = -200;
/** Letters this small cannot be read. */
const SMALLEST_FONT: Readonly<Record<string, number>> = { px: 3, pt: 2, em: 0.2, rem: 0.2, "%": 20 };
/** A style attribute longer than this is read only so far, which bounds the time the rules take. */
const MAX_STYLE = 4096;
const LOWEST_OPACITY = 0.1;

function decodeEscapes(css: string): string {
  return css
    .replace(/\/\*[\s\S]*?(?:\*\/|$)/g, "")
    .replace(/\\([0-9a-f]{1,6})\s?|\\(.)/gi, (_all, hex: string | undefined, character: string | undefined) => {
      if (hex === undefined) return character ?? "";
      const point = Number.parseInt(hex, 16);
      return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : "";
    });
}

/** @returns the declarations of a style attribute, lower-cased; the last of a name wins, as in CSS without `!important`. */
function declarationsOf(style: string): Map<string, string> {
  const declarations = new Map<string, string>();
  for (const part of decodeEscapes(style).toLowerCase().split(";")) {
    const colon = part.indexOf(":");
    if (colon < 0) continue;
    const value = part.slice(colon + 1).replace(/!\s*important\s*$/, "");
    declarations.set(part.slice(0, colon).trim(), value.trim().replace(/\s+/g, " "));
  }
  return declarations;
}

function lengthOf(value: string | undefined): { number: number; unit: string } | null {
  const match = LENGTH.exec(value?.trim() ?? "");
  return match ? { number: Number(match[1]), unit: match[2] ?? "" } : null;
}

function isZero(value: string | undefined): boolean {
  return lengthOf(value)?.number === 0;
}

function isFarOut(value: string | undefined): boolean {
  const length = lengthOf(value);
  return length !== null && (length.unit === "%" ? length.number <= -100 : length.number <= OFF_SCREEN);
}

const COLOR_NAMES: Readonly<Record<string, string>> = { white: "#ffffff", black: "#000000" };

/** @returns a colour in one form, so that `#FFF`, `white` and `rgb(255,255,255)` compare as equal. */
function colorOf(value: string | undefined): string | null {
  if (!value) return null;
  const name = COLOR_NAMES[value] ?? value;
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/.exec(name);
  if (short)
    return `#${short
      .slice(1)
      .map((digit) => digit + digit)
      .join("")}`;
  const rgb = /^rgba?\( ?(\d{1,3})[ ,]+(\d{1,3})[ ,]+(\d{1,3})/.exec(name);
  if (rgb)
    return `#${rgb
      .slice(1, 4)
      .map((part) => Number(part).toString(16).padStart(2, "0"))
      .join("")}`;
  return /^#[0-9a-f]{6}$|^[a-z]+$/.test(name) ? name : null;
}

function isTinyFont(css: ReadonlyMap<string, string>): boolean {
  const shorthand = /(?:^| )([^ /]+)(?:\/[^ ]+)? [^ ]/.exec(css.get("font") ?? "")?.[1];
  const size = lengthOf(css.get("font-size")) ?? (shorthand === undefined ? null : lengthOf(shorthand));
  if (size === null) return false;
  return size.number === 0 || size.number < (SMALLEST_FONT[size.unit] ?? 0);
}

function isTransparent(value: string | undefined): boolean {
  return value === "transparent" || /^(?:rgba|hsla)\(.*[ ,/]0?\.?0*%? ?\)$/.test(value ?? "");
}

type Rule = (css: ReadonlyMap<string, string>) => boolean;

const RULES: readonly Rule[] = [
  (css) => css.get("display") === "none",
  (css) => ["hidden", "collapse"].includes(css.get("visibility") ?? ""),
  (css) => css.get("content-visibility") === "hidden",
  (css) => css.get("mso-hide") === "all",
  (css) => {
    const opacity = lengthOf(css.get("opacity"));
    return opacity !== null && (opacity.unit === "%" ? opacity.number / 100 : opacity.number) < LOWEST_OPACITY;
  },
  isTinyFont,
  (css) => ["width", "height", "max-width", "max-height"].some((name) => isZero(css.get(name))),
  (css) => isFarOut(css.get("text-indent")),
  (css) => ["left", "right", "top", "bottom", "inset"].some((name) => isFarOut(css.get(name))),
  (css) =>
    ["margin-left", "margin-top", "margin-right", "margin"].some((name) => isFarOut(css.get(name)?.split(" ").at(-1))),
  (css) => isFarOut(css.get("margin")?.split(" ")[0]),
  (css) =>
    /^rect\( ?(?:0|1px)\D/.test(css.get("clip") ?? "") ||
    /^(?:inset\( ?(?:50|100)%|circle\( ?0)/.test(css.get("clip-path") ?? ""),
  (css) => /\bscale[xy]?\( ?0(?:\.0\d*)? ?[,)]/.test(css.get("transform") ?? ""),
  (css) => /\btranslate[xy]?\( ?(?:[^,()]*, ?)?-(?:[2-9]\d\d|\d{4,})/.test(css.get("transform") ?? ""),
  (css) => isTransparent(css.get("color")) || isTransparent(css.get("-webkit-text-fill-color")),
];

/** @returns a shorthand's value up to its first space outside of parentheses. */
function firstPart(value: string | undefined): string | undefined {
  let open = 0;
  for (let at = 0; value !== undefined && at < value.length; at++) {
    if (value[at] === "(") open++;
    else if (value[at] === ")") open--;
    else if (value[at] === " " && open <= 0) return value.slice(0, at);
  }
  return value;
}

function sameColors(css: ReadonlyMap<string, string>, attributes: Readonly<Record<string, string>>): boolean {
  const text = colorOf(css.get("color") ?? attributes.color?.toLowerCase());
  const background = css.get("background-color") ?? firstPart(css.get("background"));
  return text !== null && text === colorOf(background ?? attributes.bgcolor?.toLowerCase());
}

/**
 * @param attributes an element's attributes, names in lower case.
 * @returns whether the element is hidden from a reader by its own attributes: `hidden`, or an inline style that hides it, makes
 *   it too small or transparent, moves it off the screen, or gives its text the colour of its background. `aria-hidden` does not
 *   count: it hides from screen readers only.
 */
export function isHidden(attributes: Readonly<Record<string, string>>): boolean {
  if (attributes.hidden !== undefined) return true;
  const css = declarationsOf((attributes.style ?? "").slice(0, MAX_STYLE));
  return RULES.some((rule) => rule(css)) || sameColors(css, attributes);
}
