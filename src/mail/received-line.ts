import { isIP } from "node:net";

/** Who handed us a message, as our own mail server wrote it down. */
export interface SmtpClient {
  /** IPv4 or IPv6 address, without brackets or the `IPv6:` tag. */
  ip: string;
  /** What the client called itself (HELO or EHLO). */
  helo: string;
}

// RFC 5321 §4.4, only what a server writes: `from <helo> (<TCP-info>) by <host> …; <date>`. Every gap is fixed and the
// whole line must match, so that a HELO that smuggles in a second `(…) by …` matches nothing.
const RECEIVED =
  /^from (\S+) \(([^()\\"]*)\) by ([A-Za-z0-9.-]+)((?: \([^()\\"]*\)| (?:via|with|id|for) \S+)*) ?; ?[^;]+$/i;

// TCP-info: a bare address (Email Routing), or `[address]`, with the name it reverses to before it.
const TCP_INFO = /^(?:[A-Za-z0-9._-]+ )?(?:\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]|([0-9A-Fa-f:.]+))$/i;

/**
 * Finds SPF's client address. Only the topmost Received line is ever looked at, and only if it says it was written by our own
 * mail server; everything below it is whatever the sender liked to write.
 * @param firstReceivedHeader the value of the first Received field, without its name, or null if there is none.
 * @param writtenBy our mail server's host name; its subdomains count too.
 * @returns the client, or null if the line is missing, someone else's, or not exactly of the expected form.
 */
export function clientOfReceivedLine(firstReceivedHeader: string | null, writtenBy: string): SmtpClient | null {
  if (firstReceivedHeader === null || firstReceivedHeader.length > 2_000) return null;
  const match = RECEIVED.exec(firstReceivedHeader.replace(/[ \t\r\n]+/g, " ").trim());
  if (!match) return null;
  const [, helo, tcpInfo, by] = match as unknown[] as [string, string, string, string];
  const host = by.toLowerCase().replace(/\.$/, "");
  const ours = writtenBy.trim().toLowerCase().replace(/\.$/, "");
  if (ours === "" || (host !== ours && !host.endsWith(`.${ours}`))) return null;
  const info = TCP_INFO.exec(tcpInfo.trim());
  const ip = info?.[1] ?? info?.[2] ?? "";
  return isIP(ip) ? { ip, helo } : null;
}
