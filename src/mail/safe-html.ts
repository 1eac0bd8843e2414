import sanitizeHtml from "sanitize-html";
import { isHidden } from "./hidden-content.ts";
import { limitNesting } from "./html-nesting.ts";

/**
 * The one subset of HTML that leaves this service. Its bytes are shown to the approver, hashed and sent. No attribute in it can
 * hide, move or restyle text, and nothing in it is fetched, so what an approver sees is all that a recipient can see. Tags that
 * make text smaller (small, sub, sup, h5, h6) are not in it: nested, they make it vanish.
 */
const TAGS = [
  ...["p", "div", "br", "hr", "h1", "h2", "h3", "h4", "blockquote", "pre", "center", "address"],
  ...["ul", "ol", "li", "dl", "dt", "dd"],
  ...["table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"],
  ...["a", "b", "strong", "i", "em", "u", "s", "del", "ins", "mark", "code", "kbd", "samp", "var", "q", "cite", "span"],
];

/** Elements whose content is not for reading: it goes with the tag. */
const WITHOUT_CONTENT = [
  ...["script", "style", "head", "title", "template", "noscript", "xmp", "noembed", "noframes", "plaintext"],
  ...["svg", "math", "object", "applet", "audio", "video", "canvas", "map"],
  ...["select", "option", "optgroup", "datalist", "textarea", "button"],
];

/** The name hidden elements are given, so that they fall away with their content. */
const HIDDEN = "hidden-content";

/** Mail's layout tables nest deep; beyond this the tags fall away and their text stays. */
const MAX_DEPTH = 64;
const MAX_PASSES = 8;
/** Beyond this a number in a table or list is no layout any more. */
const SMALL_NUMBER = /^[0-9]{1,3}$/;
const DIRECTIONS = new Set(["ltr", "rtl", "auto"]);

const NUMERIC_ATTRIBUTES = new Set(["colspan", "rowspan", "start", "value"]);

/** Renamed to the nearest tag of the subset. */
const SUBSTITUTES: Readonly<Record<string, string>> = { h5: "h4", h6: "h4", strike: "s", tt: "code" };

function keptAttributes(attributes: sanitizeHtml.Attributes): sanitizeHtml.Attributes {
  const kept: sanitizeHtml.Attributes = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (NUMERIC_ATTRIBUTES.has(name) ? SMALL_NUMBER.test(value) : true) kept[name] = value;
  }
  const direction = kept.dir?.toLowerCase();
  if (direction !== undefined && DIRECTIONS.has(direction)) kept.dir = direction;
  else delete kept.dir;
  return kept;
}

function transformAny(tag: string, attributes: sanitizeHtml.Attributes): sanitizeHtml.Tag {
  if (isHidden(attributes)) return { tagName: HIDDEN, attribs: {} };
  return { tagName: SUBSTITUTES[tag] ?? tag, attribs: keptAttributes(attributes) };
}

/** sanitize-html loses what follows a text put in place of a tag it discards, so the text gets a tag of the subset. */
function asText(tag: string, text: string): sanitizeHtml.Tag {
  return text === "" ? { tagName: tag, attribs: {} } : { tagName: "span", attribs: {}, text };
}

function transformImage(tag: string, attributes: sanitizeHtml.Attributes): sanitizeHtml.Tag {
  if (isHidden(attributes)) return { tagName: HIDDEN, attribs: {} };
  return asText(tag, attributes.alt?.trim() ?? "");
}

/** Task lists in markdown are checkboxes; form controls are not in the subset. */
function transformInput(tag: string, attributes: sanitizeHtml.Attributes): sanitizeHtml.Tag {
  if (isHidden(attributes)) return { tagName: HIDDEN, attribs: {} };
  if (attributes.type?.toLowerCase() !== "checkbox") return { tagName: tag, attribs: {} };
  return asText(tag, attributes.checked === undefined ? "[ ]" : "[x]");
}

const OPTIONS: sanitizeHtml.IOptions = {
  allowedTags: TAGS,
  nonTextTags: [...WITHOUT_CONTENT, HIDDEN],
  disallowedTagsMode: "discard",
  nestingLimit: MAX_DEPTH,
  allowedAttributes: {
    "*": ["dir"],
    a: ["href"],
    ol: ["start"],
    li: ["value"],
    th: ["colspan", "rowspan"],
    td: ["colspan", "rowspan"],
  },
  allowedSchemes: ["http", "https", "mailto"],
  allowedSchemesAppliedToAttributes: ["href"],
  allowProtocolRelative: false,
  parseStyleAttributes: false,
  transformTags: { "*": transformAny, img: transformImage, input: transformInput },
};

/**
 * Reduces HTML to the fixed safe subset: text, structure, tables, lists and links to http, https and mailto. Hidden and
 * off-screen content goes with its text; an image becomes its alternative text; everything else a tag may be falls away and
 * leaves its text. Links get no `rel`: mail clients set their own, and our pages show mail in a sandbox without referrer.
 * @returns HTML with LF line ends, nested at most 64 deep. Reducing it again changes nothing.
 */
export function reduceHtml(html: string): string {
  // Where a tag fell away, its neighbours may nest differently when read again, so the result is read again until it holds.
  // Two passes settle mail as people write it; the limit is for what is made to unsettle parsers.
  let reduced = limitNesting(html.replace(/\r\n?/g, "\n").replaceAll("\0", ""));
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const next = sanitizeHtml(reduced, OPTIONS);
    if (next === reduced) break;
    reduced = next;
  }
  return reduced;
}
