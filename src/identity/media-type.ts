/**
 * Content-Type and Content-Disposition as all readers take them (RFC 2045 §5.1, RFC 2183 §2): no comments, no parameter twice, no
 * parameter of ours in pieces (RFC 2231).
 */

export interface Parameterized {
  /** Lower-case. */
  value: string;
  /** By lower-case name. */
  parameters: ReadonlyMap<string, string>;
}

const VALUE = /^([\w!#$&^.+-]+(?:\/[\w!#$&^.+-]+)?)[ \t]*/;
const PARAMETER = /;[ \t]*([\w!#$%&'*+.^`{|}~-]+)=("(?:[^"\\]|\\.)*"|[\w!#$%&'*+.^`{|}~-]+)[ \t]*/y;
/** What decides how a body is read may not come in another spelling. */
const PLAIN_ONLY = /^(?:charset|boundary|format|delsp|start)\*/;

/** @returns what the field says; null where two readers may differ. */
export function readParameterized(field: string): Parameterized | null {
  const [start, value] = VALUE.exec(field) ?? [];
  if (start === undefined || value === undefined) return null;
  const parameters = new Map<string, string>();
  PARAMETER.lastIndex = start.length;
  while (PARAMETER.lastIndex < field.length) {
    if (/^;[ \t]*$/.test(field.slice(PARAMETER.lastIndex))) break;
    const [, written, given = ""] = PARAMETER.exec(field) ?? [];
    const name = written?.toLowerCase();
    if (name === undefined || parameters.has(name) || PLAIN_ONLY.test(name)) return null;
    parameters.set(name, given.startsWith('"') ? given.slice(1, -1).replace(/\\(.)/g, "$1") : given);
  }
  return { value: value.toLowerCase(), parameters };
}
