import { parse } from "tldts";
import { shapeOf } from "../pages/misleading/domains.ts";
import { askableDomain, type Resemblance } from "./domain-facts.ts";

/** Whether a domain resembles one that is known, as those do that are registered to be mistaken for it. */

/** Shorter names are one letter from many others, which mean no harm. */
const MIN_NEAR = 6;
const MIN_OTHER_ENDING = 5;

/** Endings that are mistaken for each other. A company that is itself under two others (`.de`, `.fr`) resembles nobody. */
const MISTAKEN_ENDINGS = new Set(
  "biz cc cm co co.com com info net om online org shop site store top us xyz".split(" "),
);

/** Words that are put beside a name to look like one of its own services. */
const SERVICE_WORDS = new Set(
  "account accounts bank billing help invoice login mail online pay payment payments portal secure security service support verify".split(
    " ",
  ),
);

/** A domain as it is compared. */
export interface Named {
  /** Registrable. */
  domain: string;
  /** The label that is registered. */
  label: string;
  suffix: string;
  /** Two domains of one shape look alike. */
  shape: string;
}

function named(domain: string): Named | null {
  const registrable = askableDomain(domain);
  if (registrable === null) return null;
  const { domainWithoutSuffix, publicSuffix } = parse(registrable, { allowPrivateDomains: false });
  return {
    domain: registrable,
    label: domainWithoutSuffix ?? "",
    suffix: publicSuffix ?? "",
    shape: shapeOf(registrable),
  };
}

/** @returns domains that are written to or owned, ready to be compared with; each registrable one once. */
export function namesOf(domains: readonly string[]): Named[] {
  return [...new Set(domains)].map(named).filter((name) => name !== null);
}

/**
 * @returns whether one edit makes the one of the other: a letter more, less or another, or two neighbours in the other order
 *   (Damerau's, who found four in five misspellings to be one of these).
 */
export function isOneEdit(a: string, b: string): boolean {
  if (a === b || Math.abs(a.length - b.length) > 1) return false;
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  let start = 0;
  while (start < short.length && short[start] === long[start]) start++;
  const rest = short.slice(start);
  if (short.length < long.length) return rest === long.slice(start + 1);
  if (rest.slice(1) === long.slice(start + 1)) return true;
  return rest[0] === long[start + 1] && rest[1] === long[start] && rest.slice(2) === long.slice(start + 2);
}

/** Digits tell the years and branches of one name apart: `shop24` and `shop25` are not misspelt. */
function differsInDigits(a: string, b: string): boolean {
  return a.replace(/\d/g, "") === b.replace(/\d/g, "");
}

/** `acme-support`, `secureacme`: the name with a word of service beside it. */
function isWithServiceWord(label: string, name: string): boolean {
  if (name.length < MIN_OTHER_ENDING || !label.includes(name) || label === name) return false;
  const words = label.split(name).join("-").split("-").filter(Boolean);
  return words.length > 0 && words.every((word) => SERVICE_WORDS.has(word));
}

/** `known.example.other.example`: the known name as the beginning of another. */
function beginsWith(domain: string, known: string): boolean {
  return domain.startsWith(`${known}.`) && known.includes(".");
}

const TESTS: readonly { kind: Resemblance["kind"]; applies(asked: Named, known: Named, whole: string): boolean }[] = [
  {
    kind: "lookalike",
    applies: (asked, known, whole) => asked.shape === known.shape || beginsWith(whole, known.domain),
  },
  {
    kind: "near",
    applies: ({ label }, known) =>
      (label.length >= MIN_NEAR &&
        known.label.length >= MIN_NEAR &&
        isOneEdit(label, known.label) &&
        !differsInDigits(label, known.label)) ||
      isWithServiceWord(label, known.label),
  },
  {
    kind: "ending",
    applies: ({ label, suffix }, known) =>
      label === known.label &&
      label.length >= MIN_OTHER_ENDING &&
      MISTAKEN_ENDINGS.has(suffix) &&
      MISTAKEN_ENDINGS.has(known.suffix),
  },
];

/**
 * Seeks what a domain could be mistaken for. Linear in the number of known domains.
 * @param domain A-labels, lower case.
 * @param known as `namesOf` gives them; the domain itself among them means that it resembles nothing.
 * @returns the gravest resemblance, and the known domain; null if there is none.
 */
export function resemblanceOf(domain: string, known: readonly Named[]): Resemblance | null {
  const asked = named(domain);
  if (asked === null) return null;
  if (known.some((name) => name.domain === asked.domain)) return null;
  for (const { kind, applies } of TESTS) {
    const twin = known.find((name) => applies(asked, name, domain));
    if (twin) return { kind, twin: twin.domain };
  }
  return null;
}
