/** What the visitor gave and the page cannot use; the message is one sentence for people. */
export class NotUsable extends Error {
  override name = "NotUsable";
}

function domainOf(word: string): string {
  const address = URL.canParse(`https://${word}`) ? new URL(`https://${word}`) : null;
  // A browser's own reading gives A-labels; what it takes for more than a host is no domain.
  if (address === null || address.href !== `https://${address.hostname}/` || !address.hostname.includes("."))
    throw new NotUsable(`${word} is no domain. Write them like this: example.com, example.org`);
  return address.hostname;
}

/** @returns the domains in a text, as lower-case A-labels; null where there is none. @throws {NotUsable} for a word that is no domain. */
export function domainsIn(text: string): string[] | null {
  const words = text.split(/[\s,;]+/).filter((word) => word !== "");
  return words.length === 0 ? null : words.map(domainOf);
}
