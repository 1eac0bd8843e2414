import type { MailAddress, MessageContent } from "../../mail/message.ts";
import { makeVisible, withoutHidden } from "./characters.ts";
import { domainOf, inBothForms, type PlacedAddress } from "./domains.ts";
import {
  isMixedLookalike,
  isStyledLatin,
  isWhollyLookalike,
  latinReading,
  readAsLatin,
  wordsOf,
} from "./lookalikes.ts";
import type { Warning } from "./warning.ts";

const ADDRESS_IN_NAME = /[\p{L}\p{N}._%+-]+@(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}/gu;
const HOST_IN_NAME =
  /(?:[\p{L}\p{N}-]+\.)+(?:com|net|org|io|gov|edu|info|biz|app|dev|bank|example|[a-z]{2})(?![\p{L}\p{N}])/giu;
const MIN_WHOLLY = 4;

/** Finds a display name that claims to be another address: “ceo@bank.example” <x@evil.example>. */
export function judgeName({ name, address, path, label }: PlacedAddress): Warning[] {
  if (name === null) return [];
  const read = withoutHidden(name).normalize("NFKC");
  const claimed = (read.match(ADDRESS_IN_NAME) ?? []).find((other) => other.toLowerCase() !== address.toLowerCase());
  if (claimed !== undefined) {
    return [
      {
        code: "name_is_other_address",
        severity: "danger",
        where: `${path}.name`,
        message: `${label} goes by the name “${makeVisible(name, "line")}”, but the real address is ${inBothForms(address)}.`,
      },
    ];
  }
  const domain = domainOf(address);
  const host = (read.match(HOST_IN_NAME) ?? []).map((h) => h.toLowerCase()).find((h) => !isWithin(domain, h));
  if (host === undefined || read.includes("@")) return [];
  return [
    {
      code: "name_is_other_address",
      severity: "caution",
      where: `${path}.name`,
      message: `${label} has the name of the site ${host}, but the address belongs to ${inBothForms(domain)}.`,
    },
  ];
}

function isWithin(domain: string, host: string): boolean {
  return domain === host || domain.endsWith(`.${host}`) || host.endsWith(`.${domain}`);
}

/**
 * Finds letters in a display name that imitate Latin ones. `foreign`: the message itself is written in another alphabet, so a
 * name wholly in it is a name.
 */
export function judgeNameLetters({ name, path, label }: PlacedAddress, foreign: boolean): Warning[] {
  if (name === null) return [];
  const words = wordsOf(withoutHidden(name));
  const hasLatin = words.some((word) => /^\p{Script=Latin}+$/u.test(word));
  const fake = words.find(
    (word) =>
      isMixedLookalike(word, "name") ||
      isStyledLatin(word) ||
      (hasLatin && word.length >= MIN_WHOLLY && isWhollyLookalike(word, "prose")),
  );
  if (fake !== undefined) {
    return [
      {
        code: "lookalike_word",
        severity: "danger",
        where: `${path}.name`,
        message: `${label} has a name written with letters that only look like a–z: it reads “${readAsLatin(fake)}”, but is spelled otherwise.`,
      },
    ];
  }
  const whole = foreign
    ? undefined
    : words.find((word) => word.length >= MIN_WHOLLY && isWhollyLookalike(word, "prose"));
  if (whole === undefined) return [];
  return [
    {
      code: "lookalike_word",
      severity: "notice",
      where: `${path}.name`,
      message: `${label} has a name in another alphabet that reads like “${readAsLatin(whole)}” in Latin letters.`,
    },
  ];
}

/** @returns which letters of a mixed word are not what they seem: `U+0430 looks like a`. */
function foreignLetters(word: string): string {
  const letters = [...new Set(word)].flatMap((letter) => {
    const reading = latinReading(letter, "prose");
    return reading === null
      ? []
      : [`U+${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")} looks like ${reading}`];
  });
  return letters.length === 0 ? "Latin letters among others" : letters.slice(0, 3).join(", ");
}

/** Finds words in prose or a file name that mix alphabets to read as one. `label` begins the sentence: “The subject”. */
export function judgeWords(text: string, where: string, label: string, severity: Warning["severity"]): Warning[] {
  const fake = wordsOf(withoutHidden(text)).filter((word) => isMixedLookalike(word, "prose"));
  if (fake.length === 0) return [];
  const listed = fake.slice(0, 3).map((word) => `“${word.slice(0, 40)}” (${foreignLetters(word)})`);
  const more = fake.length > 3 ? ` and ${fake.length - 3} more` : "";
  return [
    {
      code: "lookalike_word",
      severity,
      where,
      message: `${label} has words that mix alphabets, with letters that only look alike: ${listed.join(", ")}${more}.`,
    },
  ];
}

/** Finds answers that would go to someone other than the sender. */
export function judgeReplyTo(content: MessageContent): Warning[] {
  const others = content.reply_to.filter(
    (to: MailAddress) => to.address.toLowerCase() !== content.from.address.toLowerCase(),
  );
  if (others.length === 0) return [];
  const away = others.some((to) => domainOf(to.address) !== domainOf(content.from.address));
  const listed = others.slice(0, 3).map((to) => inBothForms(makeVisible(to.address, "strict")));
  const more = others.length > 3 ? ` and ${others.length - 3} more` : "";
  return [
    {
      code: "reply_elsewhere",
      severity: away ? "caution" : "notice",
      where: "reply_to",
      message: `Answers will go to ${listed.join(", ")}${more}, not to the sender ${inBothForms(content.from.address)}.`,
    },
  ];
}
