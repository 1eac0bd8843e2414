/** Far beyond any mail's; the parser's time grows with the square of the depth. */
const MAX_OPEN = 512;

const TAG = /<(\/?)([a-zA-Z][^\s/>]*)[^>]*>/g;

/** Elements that never hold others, or that close themselves when the next of their kind begins. */
const NOT_COUNTED = new Set(
  ("area base br col embed hr img input link meta param source track wbr " + "p li dt dd td th tr option").split(" "),
);

/**
 * Takes out the tags of elements nested over 512 deep, leaving their text. It reads tags as a pattern, not as a parser does, and
 * so only prepares HTML for a parser; on anything less deep it changes nothing.
 */
export function limitNesting(html: string): string {
  let open = 0;
  return html.replace(TAG, (tag: string, slash: string, name: string) => {
    if (NOT_COUNTED.has(name.toLowerCase())) return open > MAX_OPEN ? "" : tag;
    if (slash === "") return ++open > MAX_OPEN ? "" : tag;
    const kept = open <= MAX_OPEN;
    open = Math.max(0, open - 1);
    return kept ? tag : "";
  });
}
