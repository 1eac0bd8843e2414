import { decodeCharset, isReadCharset } from "./charset.ts";
import { fromBase64 } from "./encoding.ts";
import { type Read, read, unread } from "./header-form.ts";

/** The values of covered header fields, unfolded (RFC 5322 §2.2.3), in the one way in which all readers take them. */

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DATE = new RegExp(
  `^(?:(${DAYS.join("|")}), +)?(\\d{1,2}) +(${MONTHS.join("|")}) +(\\d{4}) +(\\d\\d):(\\d\\d)(?::(\\d\\d))? +` +
    "(?:([+-])(\\d\\d)(\\d\\d)|GMT|UT|UTC)(?: +\\([A-Za-z ]{1,40}\\))?$",
);

/** Reads Date (RFC 5322 §3.3). @returns the time; a fault for another form, a day that is not, or the wrong day of the week. */
export function readDate(value: string): Read<Date> {
  const fault = unread("malformed", "Date is not written as RFC 5322 writes it.");
  const [matched, weekday, day, month = "", year, hour, minute, second = "0", sign, east = "0", past = "0"] =
    DATE.exec(value.replace(/\t/g, " ")) ?? [];
  if (matched === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return fault;
  if (Number(east) > 23 || Number(past) > 59) return fault;
  const local = new Date(
    Date.UTC(Number(year), MONTHS.indexOf(month), Number(day), Number(hour), Number(minute), Number(second)),
  );
  const exists = local.getUTCDate() === Number(day) && local.getUTCFullYear() === Number(year);
  if (!exists || Number(year) < 1970 || (weekday && DAYS[local.getUTCDay()] !== weekday)) return fault;
  const offset = (Number(east) * 60 + Number(past)) * 60_000;
  return read(new Date(local.getTime() - (sign === "-" ? -offset : offset)));
}

/** Reads Message-ID (RFC 5322 §3.6.4). @returns it with its angle brackets. */
export function readMessageId(value: string): Read<string> {
  if (/^<[\x21-\x3b\x3d\x3f-\x7e]{1,900}>$/.test(value)) return read(value);
  return unread("malformed", "Message-ID is not one id in angle brackets.");
}

/** RFC 2047 §2, with the language of RFC 2231 §5. */
const ENCODED_WORD = /=\?([^?\s*]*)(?:\*[^?\s]*)?\?([^?\s]*)\?([^?]*)\?=/g;
/** What is between two encoded words only parts them (RFC 2047 §6.2). */
const ENCODED_WORDS = new RegExp(`${ENCODED_WORD.source}(?: *${ENCODED_WORD.source})*`, "g");
/** Characters; RFC 5322 §2.1.1 leaves room for 998 octets a line, and encoded words for a few dozen lines. */
const MAX_SUBJECT = 16 * 1024;

/** RFC 2047 §4. @returns the octets of an encoded word; null for another encoding, or one that is not valid. */
function octetsOf(encoding: string, text: string): Uint8Array | null {
  if (/^b$/i.test(encoding)) return fromBase64(text);
  if (!/^q$/i.test(encoding) || !/^(?:[ -<>-~]|=[0-9A-Fa-f]{2})*$/.test(text)) return null;
  const octets = text
    .replace(/_/g, " ")
    .replace(/=(..)/g, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Uint8Array.from(octets, (octet) => octet.charCodeAt(0));
}

/**
 * Decodes encoded words that follow one another. Octets of the same charset are put together first, since some writers split within
 * a character. A byte order mark stays: what readers see, or do not see, is signed.
 */
function decodedWords(words: string): string | null {
  let text = "";
  let charset = "";
  let octets: number[] = [];
  const decoded = () => (octets.length === 0 ? "" : decodeCharset(Uint8Array.from(octets), charset));
  for (const [, of = "", encoding = "", encoded = ""] of words.matchAll(ENCODED_WORD)) {
    const found = isReadCharset(of) ? octetsOf(encoding, encoded) : null;
    const before = of.toLowerCase() === charset ? "" : decoded();
    if (!found || before === null) return null;
    text += before;
    octets = of.toLowerCase() === charset ? [...octets, ...found] : [...found];
    charset = of.toLowerCase();
  }
  const last = decoded();
  return last === null ? null : text + last;
}

/**
 * Reads Subject.
 * @returns it decoded. Tabs outside of encoded words are spaces, since some relays fold with them.
 */
export function readSubject(value: string): Read<string> {
  const fault = unread("malformed", "Subject is not written so that all readers read it alike.");
  if (value.length > MAX_SUBJECT || value.includes("\uFFFD")) return fault;
  let isValid = true;
  const text = value.replace(/\t/g, " ").replace(ENCODED_WORDS, (words) => {
    const found = decodedWords(words);
    isValid &&= found !== null;
    return found ?? "";
  });
  return isValid ? read(text) : fault;
}
