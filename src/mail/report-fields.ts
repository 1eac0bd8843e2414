import type { ParsedMessage } from "./parse.ts";

/** Reading the machine parts of reports: groups of fields, each group ended by an empty line (RFC 3464 §2.1, RFC 5965 §3). */

/** What of a parsed message a reader of reports looks at. */
export type ReportMessage = Pick<ParsedMessage, "headers" | "from" | "subject" | "text" | "attachments">;

/** Of a part so much is read. */
const MAX_PART_OCTETS = 256 * 1024;
const MAX_VALUE_CHARACTERS = 4 * 1024;
const MAX_FIELDS = 100;

function addLine(fields: Map<string, string>, line: string, last: string | null): string | null {
  if (/^[ \t]/.test(line)) {
    if (last !== null) fields.set(last, `${fields.get(last) ?? ""} ${line.trim()}`.slice(0, MAX_VALUE_CHARACTERS));
    return last;
  }
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
  // The first of a repeated field counts, and what is no field is passed over, its continuation too.
  if (!/^[!-9;-~]{1,100}$/.test(name) || fields.has(name) || fields.size >= MAX_FIELDS) return null;
  fields.set(name, line.slice(colon + 1, colon + 1 + MAX_VALUE_CHARACTERS).trim());
  return name;
}

/**
 * @param most how many groups are read at most.
 * @returns each group's fields by lower-case name, and whether there was more than was read.
 */
export function reportBlocks(
  bytes: Uint8Array,
  most: number,
): { blocks: ReadonlyMap<string, string>[]; truncated: boolean } {
  const text = new TextDecoder().decode(bytes.subarray(0, MAX_PART_OCTETS));
  const blocks: Map<string, string>[] = [];
  let fields = new Map<string, string>();
  let last: string | null = null;
  let truncated = bytes.length > MAX_PART_OCTETS;
  const end = () => {
    if (fields.size > 0) blocks.push(fields);
    fields = new Map();
    last = null;
  };
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (blocks.length >= most) {
      truncated = true;
      break;
    }
    if (line.trim() === "") end();
    else last = addLine(fields, line, last);
  }
  // The last group of a part that was cut may be half of one.
  if (!truncated) end();
  return { blocks, truncated };
}
