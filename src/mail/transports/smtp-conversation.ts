import type { Socket as NodeSocket } from "node:net";
import type { Duplex } from "node:stream";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import { abortOf, type Connect, MAX_REPLY_OCTETS, openRelay, type RelayAddress } from "./smtp-session.ts";
import { ignore, type SocketStream } from "./socket-stream.ts";

export interface RelayAccount extends RelayAddress {
  /** Only ever said over TLS. */
  username?: string;
  password?: string;
}

/** What SMTPConnection tells of a failure. */
export interface SmtpFailure {
  message: string;
  code?: string | undefined;
  command?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
  recipient?: string | undefined;
}

/** One mail transaction (RFC 5321 §3.3). SMTPConnection keeps its books on the envelope that it is given. */
export interface Transaction {
  from: string;
  to: string[];
  /** Octets, for SIZE (RFC 1870). */
  size: number;
  /** Whether BODY=8BITMIME is said (RFC 6152). */
  use8BitMime: boolean;
  /** The recipients that RCPT refused. */
  rejectedErrors?: SmtpFailure[];
}

/** How long the relay may take to say goodbye; by then everything is known. In milliseconds. */
const QUIT_LIMIT = 2_000;

/** Why the relay is gone. It may have said so (RFC 5321 §3.8). */
class ConnectionLost extends Error {
  readonly responseCode: number | undefined;
  readonly response: string | undefined;

  constructor(lastReply: string | false) {
    super("The connection to the relay was lost");
    this.name = "ConnectionLost";
    if (lastReply && /^421[ -]/.test(lastReply)) {
      this.responseCode = 421;
      this.response = lastReply;
    }
  }
}

/**
 * A session with the relay, logged in where there is an account, over which one message can go out in several transactions, one
 * for each return path.
 */
export class SmtpConversation {
  /** Whether the relay takes octets above 127 (RFC 6152). */
  readonly takes_8_bit: boolean;
  readonly #connection: SMTPConnection;
  readonly #stream: SocketStream;
  readonly #signal: AbortSignal;
  /** Rejects when the connection is gone or broken. */
  readonly #broken: Promise<never>;
  #transactions = 0;
  #isOver = false;

  private constructor(connection: SMTPConnection, stream: SocketStream, signal: AbortSignal, broken: Promise<never>) {
    this.#connection = connection;
    this.#stream = stream;
    this.#signal = signal;
    this.#broken = broken;
    this.takes_8_bit = /^250[ -]8BITMIME\s*$/im.test(connection.lastServerResponse || "");
  }

  /**
   * Connects, secures, greets and logs in.
   * @param signal ends whatever is under way, now or in a later transaction.
   * @throws at the first failure; the connection is closed then.
   */
  static async open(settings: RelayAccount, connect: Connect, signal: AbortSignal): Promise<SmtpConversation> {
    signal.throwIfAborted();
    const stream = await openRelay(settings, connect, signal);
    // It uses of a socket what SocketStream has.
    const socket: Duplex = stream;
    const connection = new SMTPConnection({
      connection: socket as NodeSocket,
      host: settings.host,
      port: settings.port,
      name: settings.ehlo_name,
      secure: settings.security !== "none",
      secured: settings.security !== "none",
      ignoreTLS: settings.security === "none",
      maxResponseSize: MAX_REPLY_OCTETS,
      socketCloseTimeout: 0,
    });
    const broken = new Promise<never>((_resolve, reject) => {
      connection.once("error", reject);
      // Where a reply ended it, the transaction that it answers is failed next, and knows more.
      connection.once("end", () => queueMicrotask(() => reject(new ConnectionLost(connection.lastServerResponse))));
    });
    // A session that has ended well ends its connection too, when nobody listens any more.
    broken.catch(ignore);
    try {
      await Promise.race([greet(connection), broken, abortOf(signal)]);
      // Before the login: the last reply is the one to EHLO.
      const conversation = new SmtpConversation(connection, stream, signal, broken);
      await Promise.race([login(connection, settings), broken, abortOf(signal)]);
      return conversation;
    } catch (error) {
      connection.close();
      stream.destroy();
      throw error;
    }
  }

  /** Whether no further transaction is possible. */
  get isOver(): boolean {
    return this.#isOver || this.#connection.destroyed || this.#signal.aborted;
  }

  /**
   * MAIL, RCPT and DATA. A failure leaves the conversation open where the relay does, so that the next transaction can follow.
   * @param transaction is told which recipients were refused.
   * @returns the reply after the final dot.
   * @throws the relay's refusal, or what broke the connection.
   */
  async transmit(transaction: Transaction, raw: Buffer): Promise<string> {
    if (this.#transactions > 0) await this.#forgetLast();
    this.#transactions += 1;
    return this.#unlessBroken(send(this.#connection, transaction, raw));
  }

  /** Says goodbye where someone listens (RFC 5321 §4.1.1.10), and closes. */
  async close(): Promise<void> {
    if (!this.isOver) {
      this.#connection.quit();
      const limit = AbortSignal.any([this.#signal, AbortSignal.timeout(QUIT_LIMIT)]);
      // Every recipient is answered for; how the relay takes its leave changes nothing.
      await Promise.race([this.#broken, abortOf(limit)]).catch(ignore);
    }
    this.#connection.close();
    this.#stream.destroy();
  }

  /** RSET: nothing of a transaction that failed halfway may stand in the next (RFC 5321 §4.1.1.5). */
  async #forgetLast(): Promise<void> {
    const reset = new Promise<void>((resolve, reject) => {
      this.#connection.reset((error) => (error ? reject(error) : resolve()));
    });
    try {
      await this.#unlessBroken(reset);
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
  }

  #unlessBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#broken, abortOf(this.#signal)]);
  }
}

function greet(connection: SMTPConnection): Promise<void> {
  return new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
}

function login(connection: SMTPConnection, { username, password }: RelayAccount): Promise<void> {
  if (username === undefined || password === undefined) return Promise.resolve();
  return new Promise((resolve, reject) => {
    connection.login({ user: username, pass: password }, (error) => (error ? reject(error) : resolve()));
  });
}

function send(connection: SMTPConnection, transaction: Transaction, raw: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    connection.send(transaction, raw, (error, info) => {
      if (error) reject(error);
      else resolve(info?.response ?? "");
    });
  });
}
