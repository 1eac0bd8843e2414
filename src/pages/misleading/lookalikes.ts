/** Letters of other scripts that read as Latin ones: the part of UTS #39's confusables that is used against people. */

function table(pairs: string): Map<string, string> {
  return new Map(pairs.split(" ").map((pair) => [pair.slice(0, -1), pair.slice(-1)]));
}

/** The same shape in common fonts. */
const SAME = table(
  "аa еe оo рp сc уy хx ѕs іi јj һh ԁd ԛq ԝw ӏl ѵv АA ВB ЕE КK МM НH ОO РP СC ТT УY ХX ЅS ІI ЈJ ԚQ ԜW ӀI ѴV " +
    "οo νv ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX ϲc ϳj " +
    "օo սu հh ոn ցg յj զq ՏS ՕO ՍU " +
    "ᎪA ᏴB ᏟC ᎠD ᎬE ᏀG ᎻH ᎫJ ᏦK ᏞL ᎷM ᏢP ᏚS ᎢT ᏙV ᎳW ᏃZ",
);
/** Similar enough in a domain or a name, where nobody reads letter by letter. */
const SIMILAR = table("кk вb нh тt мm пn гr ьb αa γy ιi κk ρp τt υu ωw ηn χx σo εe");
/** Letters of the Latin script itself that few alphabets use. */
const LATIN_VARIANTS = table("ɑa ɡg ɩi ɪi ʟl ɴn ꜱs ʏy ᴀa ᴄc ᴅd ᴇe ᴊj ᴋk ᴍm ᴏo ᴘp ᴛt ᴜu ᴠv ᴡw ᴢz ꞁl ƖI");

const LATIN = /\p{Script=Latin}/u;
const OTHER_ALPHABET = /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}]/u;
/** Latin letters that read as Cyrillic ones, for words of the other alphabet with a Latin letter slipped in. */
const READS_AS_CYRILLIC = /^[aceopxysijhABCEHKMOPTXYSIJ]$/;
const WORD = /[\p{L}\p{M}]+/gu;
const STYLED_LETTER = /[\u{1D400}-\u{1D7FF}]/u;

/** How freely to judge: prose gets only what has the same shape, names and domains what is similar too. */
type Strictness = "prose" | "name";

/** @returns the Latin letter that `letter` reads as, or null. */
export function latinReading(letter: string, strictness: Strictness): string | null {
  return SAME.get(letter) ?? (strictness === "name" ? (SIMILAR.get(letter) ?? null) : null);
}

/** @returns the word as a Latin reader reads it. */
export function readAsLatin(word: string): string {
  return [...word.normalize("NFKC")]
    .map((letter) => latinReading(letter, "name") ?? LATIN_VARIANTS.get(letter) ?? letter)
    .join("");
}

/** @returns whether one word mixes Latin with another alphabet in a way that reads as a single one. */
export function isMixedLookalike(word: string, strictness: Strictness): boolean {
  const letters = [...word];
  const latin = letters.filter((letter) => LATIN.test(letter));
  const other = letters.filter((letter) => OTHER_ALPHABET.test(letter));
  if (latin.length === 0 || other.length === 0) return false;
  return (
    other.every((letter) => latinReading(letter, strictness) !== null) ||
    (other.every((letter) => /\p{Script=Cyrillic}/u.test(letter)) &&
      latin.every((letter) => READS_AS_CYRILLIC.test(letter)))
  );
}

/** @returns whether every letter is of another alphabet and each reads as Latin: “аррӏе”. */
export function isWhollyLookalike(word: string, strictness: Strictness): boolean {
  const letters = [...word].filter((letter) => /\p{L}/u.test(letter));
  return (
    letters.length > 0 &&
    letters.every((letter) => OTHER_ALPHABET.test(letter) && latinReading(letter, strictness) !== null)
  );
}

/** @returns whether a word uses letters made to look like plain Latin ones: small capitals, mathematical alphabets. */
export function isStyledLatin(word: string): boolean {
  return STYLED_LETTER.test(word) || [...word].some((letter) => LATIN_VARIANTS.has(letter));
}

/** @returns whether some letter of another alphabet does not read as Latin: the writer really writes that alphabet. */
export function writesAnotherAlphabet(text: string): boolean {
  return [...text].some((letter) => OTHER_ALPHABET.test(letter) && latinReading(letter, "name") === null);
}

/** @returns the distinct words of `text`, in order. */
export function wordsOf(text: string): string[] {
  return [...new Set(text.match(WORD) ?? [])];
}

/** @returns what two names have in common for a hasty eye; equal skeletons look alike (UTS #39 §4, and rn/m, vv/w, 0/o, 1/l/i). */
export function skeleton(text: string): string {
  const plain = readAsLatin(text).toLowerCase().normalize("NFD").replace(/\p{M}/gu, "");
  return plain.replace(/rn/g, "m").replace(/vv/g, "w").replace(/cl/g, "d").replace(/0/g, "o").replace(/[1i|]/g, "l");
}
