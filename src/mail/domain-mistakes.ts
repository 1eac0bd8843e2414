import type { LookUps } from "./domain-look-ups.ts";
import { registrableDomain } from "./domain-name.ts";
import type { WantedRecord } from "./domain-plan.ts";

/** How people get a record nearly right: each mistake is recognised by undoing it, and told with the way out. */

/** Whether a text would do as the record that is wanted. */
export type Fits = (text: string) => boolean;

/** A set of TXT records is rarely larger; the ways to order more are too many. */
const MOST_PIECES = 4;
/** No record that is wanted is longer than this. */
const MOST_CHARACTERS = 4_000;

function inEveryOrder(pieces: readonly string[]): string[] {
  if (pieces.length <= 1) return [pieces.join("")];
  return pieces.flatMap((piece, at) => inEveryOrder(pieces.toSpliced(at, 1)).map((rest) => piece + rest));
}

/** Mistakes in the value, by what undoes them. */
const VALUE_MISTAKES: readonly { undo(text: string, name: string): string; sentence: string }[] = [
  {
    undo: (text) => text.trim(),
    sentence: "There are spaces around the value: remove them.",
  },
  {
    // Typographic quotation marks come as their UTF-8 octets, one character each.
    undo: (text) => text.replace(/["'`\\]|\u00e2\u0080[\u0098-\u009f]/g, "").trim(),
    sentence: "The quotation marks or backslashes were pasted into the value: enter it without them.",
  },
  {
    undo: (text) => text.replace(/"\s*"/g, "").replace(/["\\]/g, "").trim(),
    sentence: "The pieces in quotation marks were pasted as one text: enter the value without the marks, as one line.",
  },
  {
    undo: (text, name) => {
      const start = text.search(/v\s*=/i);
      const before = text.slice(0, Math.max(start, 0));
      return start > 0 && (before.includes("TXT") || before.includes(name.split(".")[0] as string))
        ? text.slice(start)
        : text;
    },
    sentence: "The value begins with the record's name or type: enter only what comes after it.",
  },
  {
    undo: (text) => text.replace(/\s+/g, " ").trim(),
    sentence: "There are line breaks or double spaces in the value: enter it as one line.",
  },
];

/** @returns one sentence if some common mistake turned the wanted value into what was found at the name; null otherwise. */
export function valueMistake(name: string, found: readonly string[], fits: Fits): string | null {
  const texts = found.filter((text) => text.length <= MOST_CHARACTERS);
  for (const { undo, sentence } of VALUE_MISTAKES) {
    if (texts.some((text) => undo(text, name) !== text && fits(undo(text, name)))) return sentence;
  }
  const pieces = texts.length >= 2 && texts.length <= MOST_PIECES && !texts.some(fits);
  if (pieces && inEveryOrder(texts).some((text) => fits(text) || fits(text.replace(/["\\]/g, "")))) {
    return `The value was split into ${texts.length} records: enter it as one record, which may have several strings.`;
  }
  return null;
}

/** @returns what people enter as the name in the panel of a zone: the part before it. */
function entered(name: string, zone: string): string {
  return name === zone ? "@" : name.endsWith(`.${zone}`) ? name.slice(0, -zone.length - 1) : name;
}

interface Place {
  name: string;
  sentence: string;
}

/** Names at which a record ends up when it is entered wrongly. */
function wrongPlaces(name: string, domain: string): Place[] {
  const zone = registrableDomain(domain);
  const doubled = [...new Set([domain, zone])].map((appended) => ({
    name: `${name}.${appended}`,
    sentence: `It stands at ${name}.${appended}: the panel adds the zone by itself, so enter “${entered(name, appended)}” as the name.`,
  }));
  const plain = name.replace(/(^|\.)_/g, "$1");
  const bare =
    plain === name ? [] : [{ name: plain, sentence: `It stands at ${plain}: the underscore is missing in its name.` }];
  const prefix = entered(name, domain);
  const above =
    zone === domain || prefix === "@"
      ? []
      : [
          {
            name: `${prefix}.${zone}`,
            sentence: `It stands at ${prefix}.${zone}, which is not for ${domain}: its name ends in ${domain}.`,
          },
        ];
  const apex =
    prefix === "@"
      ? []
      : [{ name: domain, sentence: `It stands at ${domain} itself: its name begins with “${prefix}”.` }];
  return [...doubled, ...bare, ...above, ...apex].filter((place) => place.name !== name && place.name.length <= 253);
}

async function standsAt(place: Place, wanted: WantedRecord, look: LookUps, fits: Fits): Promise<boolean> {
  if (wanted.type === "MX") {
    const found = await look.mx(place.name);
    return found.state === "found" && found.values.some(({ priority, exchange }) => fits(`${priority} ${exchange}`));
  }
  const found = await look.txt(place.name);
  return found.state === "found" && found.values.some(fits);
}

/**
 * Seeks a record that does not stand where it is to stand.
 * @param wanted of type TXT or MX.
 * @param look asked at most six times.
 * @returns one sentence with where it stands, or which alias is in the way; null if it is nowhere near.
 */
export async function placeMistake(
  wanted: WantedRecord,
  domain: string,
  look: LookUps,
  fits: Fits,
): Promise<string | null> {
  const places = wrongPlaces(wanted.name, domain);
  const [alias, stands] = await Promise.all([
    look.cname(wanted.name),
    Promise.all(places.map((place) => standsAt(place, wanted, look, fits))),
  ]);
  const place = places[stands.indexOf(true)];
  if (place) return place.sentence;
  if (alias.state !== "found") return null;
  const [target = ""] = alias.values;
  return `An alias (CNAME) leads from ${wanted.name} to ${target.slice(0, 253)}, so only what stands there counts: remove the alias, or publish the record there.`;
}
