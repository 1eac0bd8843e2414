import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SMTPServer } from "smtp-server";
import { LOOPBACK, listenOnLoopback } from "./listen.ts";
import { closeSmtp, collect, type SmtpPort } from "./smtp-inbound.ts";

/**
 * The relay the worker delivers to. It keeps what it takes: the exact bytes as `<time>-<n>.eml` and the envelope beside it
 * as `<time>-<n>.json`. Nothing leaves the machine.
 */

/** The relay offers more than the worker's own 10 MiB limit, so that the limit tested is the worker's. */
const MAX_OUTBOUND_BYTES = 32 * 1024 * 1024;

/** What stands in the `.json` file beside each message. */
export interface KeptEnvelope {
  /** Empty for the null sender. */
  from: string;
  to: string[];
  /** ISO 8601. */
  received_at: string;
}

export interface OutboundOptions {
  port: number;
  outboxDir: string;
  /** Mail for a mailbox of this world goes on to the inbound side, after it was acknowledged. */
  isLocal(recipient: string): boolean;
  passOn(message: { from: string; to: string; raw: Uint8Array; helo: string }): Promise<void>;
  /** Hears one sentence about mail that could not be passed on; it stays in the outbox. */
  complain(sentence: string): void;
  now(): number;
}

/** Recipients that a test can make the relay answer with a given code: `refuse-550@…`, `defer-451@…`. */
const PROGRAMMED = /^(?:refuse-(5\d\d)|defer-(4\d\d))(?:[+.-][^@]*)?@/i;

/** @returns the reply code that a recipient asks for by its local part, or null. */
export function programmedReply(recipient: string): number | null {
  const match = PROGRAMMED.exec(recipient);
  return match ? Number(match[1] ?? match[2]) : null;
}

function failure(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** Keeps one message; returned means both files are complete under their names. @returns the `.eml` file's path. */
async function keep(outboxDir: string, name: string, raw: Uint8Array, envelope: KeptEnvelope): Promise<string> {
  const file = join(outboxDir, name);
  await writeFile(`${file}.json`, `${JSON.stringify(envelope, null, 2)}\n`);
  // Whoever watches the folder for `.eml` files sees only whole ones, each with its envelope already there.
  await writeFile(`${file}.part`, raw);
  await rename(`${file}.part`, `${file}.eml`);
  return `${file}.eml`;
}

export interface OutboundPort extends SmtpPort {
  /** Resolves when no mail is on its way to mailboxes of this world. */
  settled(): Promise<void>;
}

/** Starts the relay. */
export async function startOutboundSmtp(options: OutboundOptions): Promise<OutboundPort> {
  let count = 0;
  const passing = new Set<Promise<void>>();
  function passOn(message: Parameters<OutboundOptions["passOn"]>[0]): void {
    const passed = options
      .passOn(message)
      .catch((error: unknown) => options.complain(`Mail for ${message.to} did not arrive: ${String(error)}`))
      .finally(() => passing.delete(passed));
    passing.add(passed);
  }
  const server = new SMTPServer({
    name: "relay.local",
    banner: "MultiMail local world, mail out",
    size: MAX_OUTBOUND_BYTES,
    rejectOversized: true,
    disabledCommands: ["AUTH", "STARTTLS"],
    disableReverseLookup: true,
    useXClient: [LOOPBACK],
    logger: false,
    onRcptTo({ address }, _session, answer) {
      const code = programmedReply(address);
      answer(code === null ? null : failure(code, `${code < 500 ? "4" : "5"}.0.0 As the address asked for`));
    },
    onData(stream, session, answer) {
      const { mailFrom, rcptTo } = session.envelope;
      const from = mailFrom === false ? "" : mailFrom.address;
      const to = rcptTo.map((recipient) => recipient.address);
      const take = async (): Promise<void> => {
        const raw = await collect(stream, MAX_OUTBOUND_BYTES);
        if (stream.sizeExceeded) return;
        const received_at = new Date(options.now()).toISOString();
        const name = `${received_at.replace(/[-:.]/g, "")}-${String(++count).padStart(4, "0")}`;
        await keep(options.outboxDir, name, raw, { from, to, received_at });
        const helo = session.hostNameAppearsAs;
        for (const recipient of to.filter(options.isLocal)) passOn({ from, to: recipient, raw, helo });
      };
      take().then(
        () => answer(null),
        (error: unknown) => answer(failure(451, `4.3.0 ${String(error)}`)),
      );
    },
  });
  const port = await listenOnLoopback(server, options.port, server.server);
  server.on("error", () => {
    // A client that goes away mid-transaction concerns that client only; its message was not acknowledged.
  });
  return {
    port,
    close: () => closeSmtp(server),
    settled: async () => {
      await Promise.all(passing);
    },
  };
}
