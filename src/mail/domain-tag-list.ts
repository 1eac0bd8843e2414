/** `tag=value; tag=value`, as DKIM, DMARC and their relatives write records (RFC 6376 §3.2). */

const TAG = /^\s*([A-Za-z][A-Za-z0-9_]*)\s*=(.*)$/s;

/** @returns the tags in order, values trimmed, or a sentence on what is wrong: a part that is no tag, a tag that occurs twice. */
export function readTagList(text: string): { tags: Map<string, string> } | { problem: string } {
  const tags = new Map<string, string>();
  for (const part of text.replace(/;\s*$/, "").split(";")) {
    const [, name, value] = TAG.exec(part) ?? [];
    if (name === undefined || value === undefined) {
      return { problem: `“${part.trim().slice(0, 60)}” in it is no “tag=value”` };
    }
    if (tags.has(name)) return { problem: `it says “${name}=” twice` };
    tags.set(name, value.trim());
  }
  return { tags };
}
