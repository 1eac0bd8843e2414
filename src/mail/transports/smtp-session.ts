import { ignore, SocketStream } from "./socket-stream.ts";

/** `connect` of `cloudflare:sockets`, which resolves the name, and checks a certificate against it. */
export type Connect = (address: SocketAddress, options: SocketOptions) => Socket;

export interface RelayAddress {
  host: string;
  port: number;
  security: "starttls" | "tls" | "none";
  /** What EHLO says (RFC 5321 §4.1.1.1). */
  ehlo_name: string;
}

/** A reply of the relay that ends the session before mail was spoken of. */
export class SmtpReplyError extends Error {
  readonly responseCode: number;
  constructor(step: string, reply: Reply) {
    super(`${step}: ${reply.text}`);
    this.name = "SmtpReplyError";
    this.responseCode = reply.code;
  }
}

interface Reply {
  code: number;
  /** The lines, joined by spaces. */
  text: string;
  lines: string[];
}

/** No reply of a relay is longer, all its lines together; one that does not end may not fill the memory. */
export const MAX_REPLY_OCTETS = 64 * 1024;
const ENDLESS_REPLY = "The relay's reply does not end";
/** RFC 5321 §4.2.1: a hyphen after the code says that another line follows. */
const REPLY_LINE = /^(\d{3})(?:([ -]).*)?$/;

/** Reads replies one by one; what came after the last one read stays in `rest`. */
class ReplyReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  rest = "";

  constructor(readable: ReadableStream<Uint8Array>) {
    this.#reader = readable.getReader();
  }

  async next(): Promise<Reply> {
    const lines: string[] = [];
    let octets = 0;
    for (;;) {
      const line = await this.#line();
      lines.push(line);
      octets += line.length;
      if (octets > MAX_REPLY_OCTETS) throw new Error(ENDLESS_REPLY);
      const match = REPLY_LINE.exec(line);
      if (!match) throw new Error("What answers is not an SMTP server");
      if (match[2] !== "-") return { code: Number(match[1]), text: lines.join(" "), lines };
    }
  }

  release(): void {
    this.#reader.releaseLock();
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.rest.indexOf("\n");
      if (end >= 0) {
        const line = this.rest.slice(0, end).replace(/\r$/, "");
        this.rest = this.rest.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#reader.read();
      if (done) throw new Error("The relay closed the connection");
      this.rest += Buffer.from(value).toString("latin1");
      if (this.rest.length > MAX_REPLY_OCTETS) throw new Error(ENDLESS_REPLY);
    }
  }
}

/** Greeting, EHLO and STARTTLS (RFC 3207) in clear text. @returns when TLS may begin, with nothing said after the 220. */
async function negotiateStartTls(socket: Socket, ehloName: string): Promise<void> {
  const replies = new ReplyReader(socket.readable);
  const writer = socket.writable.getWriter();
  const say = (line: string) => writer.write(Buffer.from(`${line}\r\n`));
  const expect = async (step: string, code: number): Promise<Reply> => {
    const reply = await replies.next();
    if (reply.code !== code) throw new SmtpReplyError(step, reply);
    return reply;
  };
  await expect("greeting", 220);
  await say(`EHLO ${ehloName}`);
  const extensions = await expect("EHLO", 250);
  if (!extensions.lines.some((line) => /^250[ -]STARTTLS\s*$/i.test(line))) {
    throw new Error("The relay does not offer STARTTLS, and nothing is sent unencrypted");
  }
  await say("STARTTLS");
  await expect("STARTTLS", 220);
  // RFC 3207 §4.2 and CVE-2011-0411: whatever follows in clear text was put there by someone in between.
  if (replies.rest !== "") throw new Error("The relay sent more in clear text after accepting STARTTLS");
  replies.release();
  writer.releaseLock();
}

/** The greeting that a relay does not repeat after STARTTLS, said again to a client that waits for one. */
const GREETING = "220 TLS is on\r\n";

/**
 * Opens a connection to the relay by its name, encrypted unless `security` is `none`. TLS is on, with the certificate verified for
 * the name, before anything but EHLO and STARTTLS is said.
 * @returns a stream on which an SMTP session begins with the greeting.
 * @throws whatever went wrong; the socket is closed then.
 */
export async function openRelay(address: RelayAddress, connect: Connect, signal: AbortSignal): Promise<SocketStream> {
  const transport = { starttls: "starttls", tls: "on", none: "off" } as const;
  const socket = connect(
    { hostname: address.host, port: address.port },
    { secureTransport: transport[address.security], allowHalfOpen: false },
  );
  socket.closed.catch(ignore);
  const abandon = () => void socket.close().catch(ignore);
  signal.addEventListener("abort", abandon, { once: true });
  try {
    await Promise.race([socket.opened, abortOf(signal)]);
    if (address.security !== "starttls") return new SocketStream(socket, new Uint8Array());
    await Promise.race([negotiateStartTls(socket, address.ehlo_name), abortOf(signal)]);
    const secured = socket.startTls();
    secured.closed.catch(ignore);
    await Promise.race([secured.opened, abortOf(signal)]);
    return new SocketStream(secured, Buffer.from(GREETING));
  } catch (error) {
    abandon();
    throw error;
  } finally {
    signal.removeEventListener("abort", abandon);
  }
}

/** @returns a promise that rejects when `signal` aborts, and is otherwise never settled. */
export function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
