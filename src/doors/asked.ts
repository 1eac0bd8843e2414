import { createHash } from "node:crypto";

/** What a human is shown of a call that they must allow. An approval is for exactly this. */

/** A file by what tells it from every other: a person does not read base64, and the mailbox does not keep it. */
function shownFile(file: Record<string, unknown>): Record<string, unknown> {
  const { content_base64, ...rest } = file;
  const bytes = Buffer.from(String(content_base64), "base64");
  return { ...rest, size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

function shown(value: unknown, isFiles = false): unknown {
  if (Array.isArray(value)) return value.map((each) => (isFiles ? shownFile(each) : shown(each)));
  if (typeof value !== "object" || value === null) return value;
  // Metadata is the customer's own, whatever its members are called.
  const members = Object.entries(value).map(([name, inner]) => [
    name,
    name === "metadata" ? inner : shown(inner, name === "attachments"),
  ]);
  return Object.fromEntries(members);
}

/**
 * @param input as an operation's schema parsed it.
 * @returns it as plain JSON, without what was left out, and its `attachments` by size and SHA-256 (lower-case hex).
 */
export function shownInput(input: unknown): Record<string, unknown> {
  // Through JSON, which drops what was left out.
  return JSON.parse(JSON.stringify(shown(input)));
}
