/**
 * What Cloudflare's Email Service takes, so that what it would refuse is told before it is sent
 * (developers.cloudflare.com/email-service: platform/limits and reference/headers, read in November 2026).
 */

/** The whole message, attachments encoded. It takes 25 MiB for addresses that the account has verified, which we cannot know. */
export const CLOUDFLARE_MESSAGE_OCTETS = 5 * 1024 * 1024;
const MAX_HEADER_NAME_OCTETS = 100;
const MAX_HEADER_VALUE_OCTETS = 2_048;
/** The sum of name, `: `, value and CRLF of every header that is neither of the two kinds below. */
const MAX_HEADERS_OCTETS = 16 * 1024;
/** Of those without `X-`. */
const MAX_LISTED_HEADERS = 20;

/** Written anew by the service, or with a meaning of their own there: what we wrote is of no account. */
const NOT_CUSTOM: ReadonlySet<string> = new Set([
  ...["date", "message-id", "mime-version", "content-type", "content-transfer-encoding", "feedback-id"],
  ...["from", "to", "cc", "subject", "reply-to"],
]);
const LISTED: ReadonlySet<string> = new Set([
  ...["in-reply-to", "references", "auto-submitted", "precedence"],
  ...["list-unsubscribe", "list-unsubscribe-post", "list-id", "list-archive", "list-help", "list-owner", "list-post"],
  ...["list-subscribe", "content-language", "keywords", "comments", "importance", "priority", "sensitivity"],
  ...["organization", "require-recipient-valid-since", "expires", "reply-by", "archived-at"],
]);
const CUSTOM_NAME = /^x-[a-z0-9_-]+$/;

/** A header as it stands in a message, its folds undone (RFC 5322 §2.2.3). */
interface HeaderField {
  name: string;
  value: string;
}

function headerFields(text: string): HeaderField[] {
  const [head = ""] = text.split("\r\n\r\n", 1);
  const lines = head.replace(/\r\n(?=[ \t])/g, "").split("\r\n");
  return lines.map((line) => {
    const colon = line.indexOf(":");
    return { name: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() };
  });
}

function fieldProblem({ name, value }: HeaderField): string | null {
  const key = name.toLowerCase();
  if (!LISTED.has(key) && !CUSTOM_NAME.test(key)) return `does not take the header ${name}`;
  if (Buffer.byteLength(name) > MAX_HEADER_NAME_OCTETS) return `takes header names of ${MAX_HEADER_NAME_OCTETS} octets`;
  if (value === "") return `takes no empty header, and ${name} is one`;
  if (Buffer.byteLength(value) > MAX_HEADER_VALUE_OCTETS) {
    return `takes headers of at most ${MAX_HEADER_VALUE_OCTETS} octets, and ${name} is longer`;
  }
  return null;
}

function headersProblem(custom: readonly HeaderField[]): string | null {
  const names = new Set<string>();
  for (const { name } of custom) {
    if (names.has(name.toLowerCase())) return `takes each header once, and ${name} is there twice`;
    names.add(name.toLowerCase());
  }
  const octets = custom.reduce((sum, { name, value }) => sum + Buffer.byteLength(`${name}: ${value}\r\n`), 0);
  if (octets > MAX_HEADERS_OCTETS) return `takes at most ${MAX_HEADERS_OCTETS} octets of headers`;
  if (custom.filter(({ name }) => LISTED.has(name.toLowerCase())).length > MAX_LISTED_HEADERS) {
    return `takes at most ${MAX_LISTED_HEADERS} headers besides those with X-`;
  }
  return null;
}

/**
 * @param raw a message with CRLF line ends.
 * @returns why the service would refuse it whoever it is for, in one sentence; null where nothing speaks against it.
 */
export function cloudflareProblem(raw: Uint8Array): string | null {
  const sentence = (problem: string | null | undefined) => (problem ? `Cloudflare's Email Service ${problem}` : null);
  if (raw.byteLength > CLOUDFLARE_MESSAGE_OCTETS) return sentence("takes messages of at most 5 MiB");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return sentence("takes text, and this message has octets that are not UTF-8");
  }
  const custom = headerFields(text).filter(({ name }) => !NOT_CUSTOM.has(name.toLowerCase()));
  const problems = custom.map(fieldProblem).filter((problem) => problem !== null);
  return sentence(problems[0] ?? headersProblem(custom));
}
