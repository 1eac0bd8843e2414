/** The member names of a JSON text, which a parser keeps only one of each. */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}:]/gs;

/** @param json valid JSON. @returns each object's member names, decoded, as often as they stand there. */
function memberNames(json: string): string[][] {
  const objects: string[][] = [];
  const open: string[][] = [];
  const tokens = [...json.matchAll(TOKEN)].map(([token]) => token);
  for (const [index, token] of tokens.entries()) {
    if (token === "{") {
      const names: string[] = [];
      objects.push(names);
      open.push(names);
    } else if (token === "}") open.pop();
    else if (token !== ":" && tokens[index + 1] === ":") open.at(-1)?.push(JSON.parse(token));
  }
  return objects;
}

/** @param json valid JSON. @returns whether one of its objects has a name twice: parsers differ in which one they keep. */
export function hasRepeatedMember(json: string): boolean {
  return memberNames(json).some((names) => new Set(names).size < names.length);
}

/** @param json valid JSON. @returns whether one of its objects, however deep, has a member of one of these names. */
export function namesAMember(json: string, wanted: readonly string[]): boolean {
  return memberNames(json).some((names) => names.some((name) => wanted.includes(name)));
}
