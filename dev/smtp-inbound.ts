import { SMTPServer, type SMTPServerSession } from "smtp-server";
import { LOOPBACK, listenOnLoopback } from "./listen.ts";

/**
 * The world's mail server for mail from outside. It stands where Cloudflare's Email Routing stands: it writes the topmost
 * Received line, hands each recipient's copy to the worker's email handler, and answers the sender with what came of it.
 */

/** Email Routing takes at most 25 MiB; API.md's limit for inbound mail. */
export const MAX_INBOUND_BYTES = 25 * 1024 * 1024;

/** What the worker's email handler did with one copy. */
export type HandOver = { outcome: "accepted" } | { outcome: "rejected" | "failed"; reason: string };

/** One copy for one recipient: `raw` begins with our Received line. `from` is empty for the null sender. */
export interface InboundCopy {
  from: string;
  to: string;
  raw: Uint8Array;
}

/** Who handed a message in. */
export interface SmtpPeer {
  ip: string;
  helo: string;
  protocol: string;
  id: string;
}

export interface InboundOptions {
  port: number;
  /** The host name in our Received line. */
  receivedBy: string;
  handOver(copy: InboundCopy): Promise<HandOver>;
  now(): number;
}

/** An SMTP reply that is not 250. */
class Reply extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, text: string) {
    // A reply line has no line breaks and at most 512 octets (RFC 5321 §4.5.3.1.5).
    super(text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 400));
    this.responseCode = responseCode;
  }
}

function smtpDate(now: number): string {
  return new Date(now).toUTCString().replace("GMT", "+0000");
}

/** @returns `raw` with the trace line that the receiving server writes on top (RFC 5321 §4.4), ending in CRLF. */
export function withReceivedLine(
  raw: Uint8Array,
  peer: SmtpPeer,
  recipient: string,
  options: Pick<InboundOptions, "receivedBy" | "now">,
): Uint8Array {
  const helo = /^[\x21-\x7e]{1,255}$/.test(peer.helo) ? peer.helo : "unknown";
  const ip = peer.ip.includes(":") ? `IPv6:${peer.ip}` : peer.ip;
  // A quoted local part may hold what would break the line for its readers.
  const recipientClause = /^[^\s;()<>"\\]+$/.test(recipient) ? ` for <${recipient}>` : "";
  const line =
    `Received: from ${helo} ([${ip}])\r\n by ${options.receivedBy} with ${peer.protocol} id ${peer.id}` +
    `${recipientClause};\r\n ${smtpDate(options.now())}\r\n`;
  return Buffer.concat([Buffer.from(line), raw]);
}

/**
 * One answer for all recipients of a transaction. A copy that failed asks for the whole message again, which is safe since
 * the worker recognises what it has; otherwise one accepted copy is enough, as the sender cannot be told two things.
 */
function replyFor(results: HandOver[]): Reply | null {
  for (const result of results) {
    if (result.outcome === "failed") return new Reply(451, `4.3.0 Try again later: ${result.reason}`);
  }
  const first = results[0];
  if (first?.outcome === "rejected" && results.every((result) => result.outcome === "rejected")) {
    // A reason that begins with a reply code of its own keeps it.
    const [, code = "550", text = first.reason] = /^(5\d\d) (.+)$/s.exec(first.reason) ?? [];
    return new Reply(Number(code), text);
  }
  return null;
}

function peerOf(session: SMTPServerSession): SmtpPeer {
  return {
    ip: session.remoteAddress,
    helo: session.hostNameAppearsAs,
    protocol: session.transmissionType,
    id: session.id,
  };
}

export interface SmtpPort {
  port: number;
  close(): Promise<void>;
}

/**
 * Collects a message. The memory it takes is bounded: what exceeds `limit` is read and dropped.
 * @throws Error if the connection ended before the message did.
 */
export async function collect(stream: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size <= limit) parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Closes an SMTP server together with its connections. */
export function closeSmtp(server: SMTPServer): Promise<void> {
  return new Promise((closed) => {
    server.close(() => closed());
    for (const connection of server.connections) connection.close();
  });
}

/** Starts the inbound mail server. XCLIENT lets a test say which address it comes from; only loopback can reach it. */
export async function startInboundSmtp(options: InboundOptions): Promise<SmtpPort> {
  const server = new SMTPServer({
    name: options.receivedBy,
    banner: "MultiMail local world, mail in",
    size: MAX_INBOUND_BYTES,
    rejectOversized: true,
    disabledCommands: ["AUTH", "STARTTLS"],
    disableReverseLookup: true,
    useXClient: [LOOPBACK],
    logger: false,
    onData(stream, session, answer) {
      const receive = async (): Promise<Reply | null> => {
        const { mailFrom, rcptTo } = session.envelope;
        const from = mailFrom === false ? "" : mailFrom.address;
        const peer = peerOf(session);
        const raw = await collect(stream, MAX_INBOUND_BYTES);
        if (stream.sizeExceeded) return null;
        const results: HandOver[] = [];
        for (const { address: to } of rcptTo) {
          results.push(await options.handOver({ from, to, raw: withReceivedLine(raw, peer, to, options) }));
        }
        return replyFor(results);
      };
      receive().then(answer, (error: unknown) => answer(new Reply(451, `4.3.0 Try again later: ${String(error)}`)));
    },
  });
  const port = await listenOnLoopback(server, options.port, server.server);
  server.on("error", () => {
    // A client that goes away mid-transaction concerns that client only; its message was not acknowledged.
  });
  return { port, close: () => closeSmtp(server) };
}
