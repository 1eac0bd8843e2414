import { makeVisible } from "../../../../src/pages/misleading/characters.ts";

/** What may reach a terminal. A stranger wrote the mail, and a terminal obeys what it is sent (ECMA-48). */

/** More of one value tells a person nothing. */
const SHOWN_CHARACTERS = 300;

/** @returns a text from outside as one line: control characters, and those that cannot be seen or reorder, are spelled out. */
export function shown(text: string): string {
  const cut = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return makeVisible(cut.toWellFormed(), "strict");
}

/** @returns a value as one line of JSON (RFC 8259) in printable ASCII. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
