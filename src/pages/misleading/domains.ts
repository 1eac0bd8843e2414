import { domainToUnicode } from "node:url";
import type { MessageContent } from "../../mail/message.ts";
import { makeVisible } from "./characters.ts";
import { isMixedLookalike, isStyledLatin, isWhollyLookalike, readAsLatin, skeleton } from "./lookalikes.ts";
import type { Warning } from "./warning.ts";

/** @returns the part after the last @, lower-cased; empty if there is none. */
export function domainOf(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? "" : address.slice(at + 1).toLowerCase();
}

/** @returns a domain as people read it (U-labels, RFC 5890 §2.3.2.1), or null if it has no other form than its own. */
function unicodeDomain(domain: string): string | null {
  if (!/(^|\.)xn--/i.test(domain)) return null;
  const unicode = domainToUnicode(domain);
  return unicode === "" || unicode === domain ? null : unicode;
}

/** A domain's other form: as people read it, or, where that is made to deceive, what it imitates. */
interface OtherForm {
  text: string;
  imitation: boolean;
}

/** @returns the other form of an address's or host's domain, or null if it has only one. */
export function otherFormOf(address: string): OtherForm | null {
  const unicode = unicodeDomain(address.includes("@") ? domainOf(address) : address);
  if (unicode === null) return null;
  // Shown as it is, a domain that imitates another would deceive again.
  if (imitatesLatin(unicode)) return { text: readAsLatin(unicode), imitation: true };
  return { text: unicode, imitation: false };
}

/** @returns an address or host with its domain in both forms where there are two: `info@xn--mnchen-3ya.de (münchen.de)`. */
export function inBothForms(address: string): string {
  const other = otherFormOf(address);
  if (other === null) return address;
  return other.imitation ? `${address} (which imitates ${other.text})` : `${address} (${other.text})`;
}

/** @returns what a domain looks like to a hasty eye; two domains of one shape look alike. */
export function shapeOf(domain: string): string {
  return skeleton(unicodeDomain(domain) ?? domain);
}

/** @returns whether a domain's own letters, as people read them, imitate Latin ones. */
export function isImitation(domain: string): boolean {
  return imitatesLatin(unicodeDomain(domain) ?? domain);
}

function imitatesLatin(domain: string): boolean {
  const labels = domain.split(".");
  const top = labels.at(-1) ?? "";
  return labels.some(
    (label) =>
      isMixedLookalike(label, "name") ||
      isStyledLatin(label) ||
      // A wholly Cyrillic name below a Cyrillic top level is simply Russian; below .com it imitates.
      (isWhollyLookalike(label, "name") && /^[\p{Script=Latin}-]+$/u.test(top)),
  );
}

/** Judges one domain by its own spelling. `label` begins the sentence: “The recipient's domain”. */
export function judgeDomain(domain: string, where: string, label: string): Warning[] {
  const unicode = unicodeDomain(domain) ?? (/[^\p{ASCII}]/u.test(domain) ? domain : null);
  if (unicode === null) {
    if (!/(^|\.)xn--/i.test(domain)) return [];
    return [
      {
        code: "internationalised_domain",
        severity: "caution",
        where,
        message: `${label} ${domain} claims to be written in another script, but cannot be decoded.`,
      },
    ];
  }
  const shown = makeVisible(unicode, "strict");
  if (imitatesLatin(unicode)) {
    return [
      {
        code: "lookalike_domain",
        severity: "danger",
        where,
        message: `${label} is written with letters of another alphabet so that it reads like “${readAsLatin(unicode)}”. It is really ${domain}, a different domain.`,
      },
    ];
  }
  return [
    {
      code: "internationalised_domain",
      severity: "notice",
      where,
      message: `${label} “${shown}” uses letters beyond a–z. Programs write it ${domain}.`,
    },
  ];
}

/** Every address of a message with its path; `label` is how a sentence about it begins. */
export interface PlacedAddress {
  name: string | null;
  address: string;
  path: string;
  label: string;
}

/** @returns the addresses of a message, the sender first. */
export function addressesOf(content: MessageContent): PlacedAddress[] {
  const lists = [
    ["reply_to", "Reply-To", content.reply_to],
    ["to", "recipient", content.to],
    ["cc", "Cc recipient", content.cc],
    ["bcc", "Bcc recipient", content.bcc],
  ] as const;
  return [
    { ...content.from, path: "from", label: "The sender" },
    ...lists.flatMap(([path, label, list]) =>
      list.map((address, i) => ({
        ...address,
        path: `${path}.${i}`,
        label: `The ${label} ${shortAddress(address.address)}`,
      })),
    ),
  ];
}

function shortAddress(address: string): string {
  return makeVisible(address, "strict").slice(0, 120);
}

/** Finds domains among the participants that are different but look alike: acme.example and acrne.example. */
export function findTwins(addresses: readonly PlacedAddress[]): Warning[] {
  const first = new Map<string, string>();
  const reported = new Set<string>();
  return addresses.flatMap(({ address, path }): Warning[] => {
    const domain = domainOf(address);
    if (domain === "") return [];
    const shape = shapeOf(domain);
    const twin = first.get(shape);
    if (twin === undefined) first.set(shape, domain);
    if (twin === undefined || twin === domain || reported.has(domain)) return [];
    reported.add(domain);
    return [
      {
        code: "lookalike_domain",
        severity: "danger",
        where: `${path}.address`,
        message: `${domain} looks like ${twin}, which this message also uses, but it is a different domain.`,
      },
    ];
  });
}
