import type { Socket as NodeSocket } from "node:net";
import type { Duplex } from "node:stream";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import { abortOf, type Connect, openRelay, type RelayAddress } from "./smtp-session.ts";
import type { Envelope, RecipientOutcome, Transport } from "./transport.ts";

export interface SmtpRelaySettings extends RelayAddress {
  username?: string;
  password?: string;
}

/** What SMTPConnection tells of a failure. */
interface SmtpFailure {
  message: string;
  code?: string | undefined;
  command?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
  recipient?: string | undefined;
}

/** SMTPConnection keeps its books on the envelope that it is given. */
interface EnvelopeBooks {
  from: string;
  to: string[];
  size: number;
  rejectedErrors?: SmtpFailure[];
}

/** The commands whose refusal can be final. A greeting of 554, a refused EHLO or a failed login says nothing of the message. */
const ABOUT_THE_MESSAGE: ReadonlySet<string> = new Set(["MAIL FROM", "RCPT TO", "DATA"]);
/**
 * 5xx replies that speak of our session or our account, not of the message (RFC 5321 §4.2.2, RFC 4954 §6): an operator mends
 * them, and the message goes out then.
 */
const ABOUT_THE_SESSION: ReadonlySet<number> = new Set([500, 502, 503, 530, 534, 535, 538]);
/** Printable ASCII without what ends a path; anything else would be another command, or need SMTPUTF8. */
const PATH = /^[\x20-\x3b\x3d\x3f-\x7e]+$/;
const MAX_RESPONSE = 500;

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, MAX_RESPONSE);
}

function isFinal(failure: SmtpFailure): boolean {
  const code = failure.responseCode;
  if (!ABOUT_THE_MESSAGE.has(failure.command ?? "")) return false;
  // Refused on our side, since the relay announced a smaller limit (RFC 1870 §6.1): no retry makes the message smaller.
  if (code === undefined) return failure.code === "EMESSAGE";
  return code >= 500 && code < 600 && !ABOUT_THE_SESSION.has(code);
}

function outcomeOf(failure: SmtpFailure): Omit<RecipientOutcome, "recipient"> {
  const code = failure.responseCode ?? null;
  const final = isFinal(failure);
  return { outcome: final ? "refused" : "deferred", code, response: oneLine(failure.response ?? failure.message) };
}

function failureOf(error: unknown): SmtpFailure {
  return error instanceof Error ? error : { message: String(error) };
}

function login(connection: SMTPConnection, settings: SmtpRelaySettings): Promise<void> {
  const { username, password } = settings;
  if (username === undefined || password === undefined) return Promise.resolve();
  return new Promise((resolve, reject) => {
    connection.login({ user: username, pass: password }, (error) => (error ? reject(error) : resolve()));
  });
}

function send(connection: SMTPConnection, envelope: EnvelopeBooks, raw: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    connection.send(envelope, Buffer.from(raw), (error, info) => {
      if (error) reject(error);
      else resolve(info?.response ?? "");
    });
  });
}

/** One session: from the connection to the reply after the final dot. @returns that reply. @throws at the first failure. */
async function transmit(
  settings: SmtpRelaySettings,
  connect: Connect,
  envelope: EnvelopeBooks,
  raw: Uint8Array,
  signal: AbortSignal,
): Promise<string> {
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
    socketCloseTimeout: 0,
  });
  const broken = new Promise<never>((_resolve, reject) => {
    connection.once("error", reject);
    connection.once("end", () => reject(new Error("The connection to the relay was lost")));
  });
  // A session that has ended well ends its connection too, when nobody listens any more.
  broken.catch(() => undefined);
  const session = async () => {
    await new Promise<void>((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
    await login(connection, settings);
    return send(connection, envelope, raw);
  };
  try {
    return await Promise.race([session(), broken, abortOf(signal)]);
  } finally {
    connection.close();
    stream.destroy();
  }
}

/** What each recipient is told: its own refusal if RCPT had one, else what became of the message. */
function outcomes(
  recipients: readonly string[],
  envelope: EnvelopeBooks,
  rest: Omit<RecipientOutcome, "recipient">,
): RecipientOutcome[] {
  const own = new Map((envelope.rejectedErrors ?? []).map((failure) => [failure.recipient, outcomeOf(failure)]));
  return recipients.map((recipient) => {
    if (!PATH.test(recipient)) {
      return { recipient, outcome: "refused", code: null, response: "This address cannot be written in SMTP" };
    }
    return { recipient, ...(own.get(recipient) ?? rest) };
  });
}

/**
 * An SMTP relay (RFC 5321, submission on 587 or 465), which gets our bytes as they are.
 *
 * Read from its replies: 5xx to RCPT refuses that recipient and 4xx defers it; a failure at MAIL or after DATA applies to all that
 * were not answered for themselves. Deferred, whatever the code: a failed login, a missing STARTTLS, an untrusted certificate, a
 * greeting that is not 220 and commands out of order, since they speak of our configuration; a lost connection and an abort, since
 * nobody knows. `starttls` and `tls` say nothing of the message before TLS is on and the certificate verified.
 * @param connect `connect` of `cloudflare:sockets`.
 */
export function smtpRelay(settings: SmtpRelaySettings, connect: Connect): Transport {
  return {
    name: "smtp",
    preserves_bytes: true,
    async deliver({ from, to }: Envelope, raw: Uint8Array, signal: AbortSignal): Promise<RecipientOutcome[]> {
      if (from !== "" && !PATH.test(from)) throw new Error("The envelope's sender cannot be written in SMTP");
      const writable = to.filter((recipient) => PATH.test(recipient));
      const envelope: EnvelopeBooks = { from, to: writable, size: raw.length };
      if (writable.length === 0) return outcomes(to, envelope, outcomeOf({ message: "No recipient" }));
      try {
        const reply = await transmit(settings, connect, envelope, raw, signal);
        const code = Number(/^\d{3}/.exec(reply)?.[0] ?? 250);
        return outcomes(to, envelope, { outcome: "accepted", code, response: oneLine(reply) });
      } catch (error) {
        const failure = failureOf(error);
        // With PIPELINING, RCPT was answered too, but only with “no sender yet”.
        if (failure.command === "MAIL FROM") envelope.rejectedErrors = [];
        return outcomes(to, envelope, outcomeOf(failure));
      }
    },
  };
}
