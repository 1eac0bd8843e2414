import type { AddressInfo, Socket } from "node:net";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from "smtp-server";
import { testAuthority } from "./test-authority.ts";

/** A message the server took. */
export interface ReceivedMail {
  envelope: { from: string; to: string[] };
  raw: Buffer;
  /** Whether it came over TLS. */
  tls: boolean;
  /** The user who logged in, or null. */
  auth: string | null;
  ehlo: string;
}

export interface SmtpServerOptions {
  /** `starttls` offers it, `implicit` speaks nothing else, `none` does not offer it. `starttls` if left out. */
  tls?: "starttls" | "implicit" | "none";
  /** Which certificate of the test authority it shows; `here` if left out. */
  certificate?: "here" | "elsewhere" | "expired" | "self_signed";
  /** Whether mail is refused (530) before a login. Logins are only offered where there is an account. */
  account?: { username: string; password: string; required: boolean };
  authMethods?: ("PLAIN" | "LOGIN")[];
  /** Announced by SIZE, in octets. */
  size?: number;
  hidePipelining?: boolean;
}

export interface TestSmtpServer {
  port: number;
  received: ReceivedMail[];
  /** Every MAIL command, in order: by whom, and whether over TLS. */
  sessions: { ehlo: string; secure: boolean }[];
  /** Resolves when no session is open any more. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/**
 * What a local part asks for: `refuse-550@…`, `defer-451@…` at MAIL or RCPT, `once-451@…` at the first RCPT only; `data-554@…`, `data-451@…` after the final dot;
 * `drop-data@…` breaks a connection without TLS inside DATA, `drop-rcpt@…` at RCPT, `hang-rcpt@…` never answers RCPT.
 */
const REPLY = /^(?:refuse|defer)-(\d{3})(?:-.*)?@/;
const FIRST_REPLY = /^once-(\d{3})(?:-.*)?@/;
const DATA_REPLY = /^data-(\d{3})(?:-.*)?@/;

class SmtpReply extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, address: string) {
    super(`as ${address} asks`);
    this.responseCode = responseCode;
  }
}

function replyFor(pattern: RegExp, address: string): SmtpReply | null {
  const code = pattern.exec(address)?.[1];
  return code ? new SmtpReply(Number(code), address) : null;
}

async function bytesOf(stream: SMTPServerDataStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Starts a real SMTP server on a free port of 127.0.0.1, whose replies follow from the addresses it is told. */
export async function startSmtpServer(options: SmtpServerOptions = {}): Promise<TestSmtpServer> {
  const tls = options.tls ?? "starttls";
  const { certificate, key } = testAuthority()[options.certificate ?? "here"];
  const received: ReceivedMail[] = [];
  const sessions: TestSmtpServer["sessions"] = [];
  const sockets = new Map<number, Socket>();
  const open = new Set<string>();
  const asked = new Set<string>();
  const waiting: (() => void)[] = [];
  const drop = (session: SMTPServerSession) => sockets.get(session.remotePort)?.destroy();

  const finishData = async (stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> => {
    const to = session.envelope.rcptTo.map(({ address }) => address);
    const { mailFrom } = session.envelope;
    if (to.some((address) => address.startsWith("drop-data"))) {
      stream.once("data", () => drop(session));
      stream.on("error", () => undefined);
      return new Promise(() => undefined);
    }
    const raw = await bytesOf(stream);
    const refusal = to.map((address) => replyFor(DATA_REPLY, address)).find((reply) => reply !== null);
    if (refusal) throw refusal;
    const from = mailFrom ? mailFrom.address : "";
    const auth = session.user ? String(session.user) : null;
    received.push({ envelope: { from, to }, raw, tls: session.secure, auth, ehlo: session.hostNameAppearsAs });
  };

  const server = new SMTPServer({
    secure: tls === "implicit",
    key,
    cert: certificate,
    disabledCommands: [...(tls === "none" ? ["STARTTLS"] : []), ...(options.account ? [] : ["AUTH"])],
    authOptional: !options.account?.required,
    ...(options.authMethods && { authMethods: options.authMethods }),
    ...(options.size !== undefined && { size: options.size }),
    hidePIPELINING: options.hidePipelining ?? false,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    logger: false,
    closeTimeout: 1,
    onConnect(session, done) {
      open.add(session.id);
      done();
    },
    onClose(session) {
      open.delete(session.id);
      if (open.size === 0) for (const resolve of waiting.splice(0)) resolve();
    },
    onAuth(auth, _session, done) {
      const right = auth.username === options.account?.username && auth.password === options.account?.password;
      if (right) done(null, { user: auth.username });
      else done(new Error("Invalid username or password"));
    },
    onMailFrom({ address }, session, done) {
      sessions.push({ ehlo: session.hostNameAppearsAs, secure: session.secure });
      done(replyFor(REPLY, address));
    },
    onRcptTo({ address }, session, done) {
      if (address.startsWith("drop-rcpt")) drop(session);
      else if (!address.startsWith("hang-rcpt")) {
        const first = asked.has(address) ? null : replyFor(FIRST_REPLY, address);
        asked.add(address);
        done(first ?? replyFor(REPLY, address));
      }
    },
    onData(stream, session, done) {
      finishData(stream, session).then(() => done(), done);
    },
  });
  server.on("error", () => undefined);
  server.server.on("connection", (socket: Socket) => {
    const port = socket.remotePort ?? 0;
    sockets.set(port, socket);
    socket.once("close", () => sockets.delete(port));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    sessions,
    idle: () => (open.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
