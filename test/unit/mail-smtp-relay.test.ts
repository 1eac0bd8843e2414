import net from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type SmtpRelaySettings, smtpRelay } from "../../src/mail/transports/smtp-relay.ts";
import { nodeConnect } from "../support/node-sockets.ts";
import { type SmtpServerOptions, startSmtpServer, type TestSmtpServer } from "../support/smtp-server.ts";
import { testAuthority } from "../support/test-authority.ts";

const RAW = Buffer.from(
  "From: a@sender.example\r\nTo: b@x.example\r\nSubject: s\r\n\r\nline\r\n.leading dot\r\n..two\r\n",
);
const ACCOUNT = { username: "relay", password: "s3cret pässword", required: true };

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function server(options?: SmtpServerOptions): Promise<TestSmtpServer> {
  const started = await startSmtpServer(options);
  closing.push(started.close);
  return started;
}

/** A server that says `greeting`, then the next of `replies` to each line. */
async function scripted(greeting: string, replies: string[] = []): Promise<number> {
  const sockets = new Set<net.Socket>();
  const listener = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.write(greeting);
    socket.on("data", () => {
      const reply = replies.shift();
      if (reply !== undefined) socket.write(reply);
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => listener.close(() => resolve()));
  });
  return (listener.address() as net.AddressInfo).port;
}

const none = (port: number, rest: Partial<SmtpRelaySettings> = {}): SmtpRelaySettings => ({
  host: "127.0.0.1",
  port,
  security: "none",
  ehlo_name: "mail.sender.example",
  ...rest,
});

const signal = () => new AbortController().signal;
const trusting = () => nodeConnect(testAuthority().authority);

function deliver(settings: SmtpRelaySettings, to: string[], from = "a@sender.example", connect = trusting()) {
  return smtpRelay(settings, connect).deliver({ from, to }, RAW, signal());
}

const brief = (outcomes: Awaited<ReturnType<typeof deliver>>) =>
  outcomes.map(({ recipient, outcome, code }) => `${recipient.split("@")[0]} ${outcome} ${code}`);

describe("what is handed over", () => {
  it.each([true, false])(
    "is the bytes as they are, to every recipient (pipelining hidden: %s)",
    async (hidePipelining) => {
      const relay = await server({ hidePipelining });
      const outcomes = await deliver(none(relay.port), ["b@x.example", "c@y.example"]);
      expect(brief(outcomes)).toEqual(["b accepted 250", "c accepted 250"]);
      expect(relay.received).toHaveLength(1);
      expect(relay.received[0]).toMatchObject({ tls: false, auth: null, ehlo: "mail.sender.example" });
      expect(relay.received[0]?.envelope).toEqual({ from: "a@sender.example", to: ["b@x.example", "c@y.example"] });
      expect(relay.received[0]?.raw.toString("latin1")).toBe(RAW.toString("latin1"));
      await relay.idle();
    },
  );

  it("may have the null sender", async () => {
    const relay = await server();
    expect(brief(await deliver(none(relay.port), ["b@x.example"], ""))).toEqual(["b accepted 250"]);
    expect(relay.received[0]?.envelope.from).toBe("");
  });

  it("may be 10 MiB", async () => {
    const relay = await server();
    const big = Buffer.concat([RAW, Buffer.from(`${"x".repeat(76)}\r\n`.repeat(134_000))]);
    const outcomes = await smtpRelay(none(relay.port), trusting()).deliver(
      { from: "a@sender.example", to: ["b@x.example"] },
      big,
      signal(),
    );
    expect(brief(outcomes)).toEqual(["b accepted 250"]);
    expect(relay.received[0]?.raw.equals(big)).toBe(true);
  });
});

describe("each recipient's own outcome", () => {
  const cases: [name: string, to: string[], outcomes: string[], taken: string[]][] = [
    [
      "all accepted",
      ["a@x.example", "b@x.example"],
      ["a accepted 250", "b accepted 250"],
      ["a@x.example", "b@x.example"],
    ],
    [
      "one refused at RCPT",
      ["refuse-550@x.example", "b@x.example"],
      ["refuse-550 refused 550", "b accepted 250"],
      ["b@x.example"],
    ],
    [
      "one deferred at RCPT",
      ["a@x.example", "defer-451@x.example"],
      ["a accepted 250", "defer-451 deferred 451"],
      ["a@x.example"],
    ],
    [
      "one of each",
      ["refuse-553@x.example", "a@x.example", "defer-452@x.example"],
      ["refuse-553 refused 553", "a accepted 250", "defer-452 deferred 452"],
      ["a@x.example"],
    ],
    [
      "all refused, differently",
      ["refuse-550@x.example", "defer-450@x.example"],
      ["refuse-550 refused 550", "defer-450 deferred 450"],
      [],
    ],
    [
      "refused after the final dot",
      ["a@x.example", "data-554@x.example"],
      ["a refused 554", "data-554 refused 554"],
      [],
    ],
    [
      "deferred after the final dot",
      ["a@x.example", "data-451@x.example"],
      ["a deferred 451", "data-451 deferred 451"],
      [],
    ],
    [
      "refused at RCPT, the rest deferred after the dot",
      ["refuse-550@x.example", "data-451@x.example"],
      ["refuse-550 refused 550", "data-451 deferred 451"],
      [],
    ],
    [
      "the connection lost inside DATA",
      ["refuse-550@x.example", "drop-data@x.example"],
      ["refuse-550 refused 550", "drop-data deferred null"],
      [],
    ],
    [
      "the connection lost at RCPT",
      ["a@x.example", "drop-rcpt@x.example"],
      ["a deferred null", "drop-rcpt deferred null"],
      [],
    ],
    ["a 421 at RCPT", ["defer-421@x.example"], ["defer-421 deferred 421"], []],
    ["commands out of order are ours to mend", ["refuse-503@x.example"], ["refuse-503 deferred 503"], []],
  ];
  for (const hidePipelining of [false, true]) {
    it.each(cases)(`%s (pipelining hidden: ${hidePipelining})`, async (_name, to, expected, taken) => {
      const relay = await server({ hidePipelining });
      expect(brief(await deliver(none(relay.port), to))).toEqual(expected);
      expect(relay.received.flatMap(({ envelope }) => envelope.to)).toEqual(taken);
      await relay.idle();
    });
  }

  it.each([
    ["refuse-550@sender.example", "refused 550"],
    ["defer-451@sender.example", "deferred 451"],
    ["refuse-530@sender.example", "deferred 530"],
  ])("a sender %s is every recipient's: %s", async (from, expected) => {
    const relay = await server();
    const outcomes = await deliver(none(relay.port), ["a@x.example", "b@x.example"], from);
    expect(brief(outcomes)).toEqual([`a ${expected}`, `b ${expected}`]);
  });

  it("a message over the announced SIZE is refused, with nothing sent", async () => {
    const relay = await server({ size: 20 });
    expect(brief(await deliver(none(relay.port), ["a@x.example"]))).toEqual(["a refused null"]);
    expect(relay.received).toEqual([]);
  });

  it.each(["a@x.example> NOTIFY=NEVER", "a@x.example\r\nRCPT TO:<b@x.example", "ä@x.example", ""])(
    "an address that is another command is refused alone: %j",
    async (hostile) => {
      const relay = await server();
      const outcomes = await deliver(none(relay.port), [hostile, "b@x.example"]);
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(["refused", "accepted"]);
      expect(relay.received[0]?.envelope.to).toEqual(["b@x.example"]);
    },
  );
});

describe("login", () => {
  it.each(["PLAIN", "LOGIN"] as const)("by %s", async (method) => {
    const relay = await server({ account: ACCOUNT, authMethods: [method] });
    const settings = none(relay.port, { host: "localhost", security: "starttls", ...ACCOUNT });
    expect(brief(await deliver(settings, ["a@x.example"]))).toEqual(["a accepted 250"]);
    expect(relay.received[0]).toMatchObject({ auth: "relay", tls: true });
  });

  it("failed is deferred, whatever its code: an operator mends it", async () => {
    const relay = await server({ account: ACCOUNT });
    const outcomes = await deliver(
      none(relay.port, { host: "localhost", security: "starttls", ...ACCOUNT, password: "wrong" }),
      ["a@x.example"],
    );
    expect(brief(outcomes)).toEqual(["a deferred 535"]);
    expect(outcomes[0]?.response).not.toContain("wrong");
  });

  it("missing where the relay wants one is deferred", async () => {
    const relay = await server({ account: ACCOUNT });
    expect(brief(await deliver(none(relay.port), ["a@x.example"]))).toEqual(["a deferred 530"]);
  });
});

describe("encryption", () => {
  it.each([
    ["starttls", "starttls"],
    ["tls", "implicit"],
  ] as const)("%s sends over TLS", async (security, tls) => {
    const relay = await server({ tls });
    const outcomes = await deliver(none(relay.port, { host: "localhost", security }), ["a@x.example"]);
    expect(brief(outcomes)).toEqual(["a accepted 250"]);
    expect(relay.received[0]?.tls).toBe(true);
    expect(relay.received[0]?.raw.toString()).toBe(RAW.toString());
    await relay.idle();
  });

  it.each([
    ["starttls", "starttls"],
    ["tls", "implicit"],
  ] as const)("%s with a certificate nobody vouches for is deferred, with nothing said", async (security, tls) => {
    const relay = await server({ tls });
    const outcomes = await deliver(
      none(relay.port, { host: "localhost", security }),
      ["a@x.example"],
      undefined,
      nodeConnect(),
    );
    expect(brief(outcomes)).toEqual(["a deferred null"]);
    expect(relay.sessions).toEqual([]);
  });

  it.each([
    ["starttls", "starttls"],
    ["tls", "implicit"],
  ] as const)("%s with a certificate for another name is deferred, with nothing said", async (security, tls) => {
    const relay = await server({ tls, certificate: "elsewhere" });
    const outcomes = await deliver(none(relay.port, { host: "localhost", security }), ["a@x.example"]);
    expect(brief(outcomes)).toEqual(["a deferred null"]);
    expect(relay.sessions).toEqual([]);
  });

  it("starttls where the relay does not offer it is deferred, with nothing said", async () => {
    const relay = await server({ tls: "none" });
    const outcomes = await deliver(none(relay.port, { host: "localhost", security: "starttls" }), ["a@x.example"]);
    expect(outcomes[0]).toMatchObject({ outcome: "deferred", code: null });
    expect(outcomes[0]?.response).toContain("does not offer STARTTLS");
    expect(relay.sessions).toEqual([]);
  });

  it("clear text after STARTTLS was accepted ends the session", async () => {
    const port = await scripted("220 hi\r\n", ["250-x\r\n250 STARTTLS\r\n", "220 go\r\n250 AUTH PLAIN\r\n"]);
    const outcomes = await deliver(none(port, { security: "starttls" }), ["a@x.example"]);
    expect(outcomes[0]).toMatchObject({ outcome: "deferred", code: null });
    expect(outcomes[0]?.response).toContain("clear text");
  });
});

describe("a relay that is not one", () => {
  it.each([
    ["refuses everybody", "554 go away\r\n"],
    ["is busy", "421 later\r\n"],
    ["speaks another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ])("%s: deferred", async (_name, greeting) => {
    const port = await scripted(greeting);
    for (const security of ["none", "starttls"] as const) {
      const outcomes = await deliver(none(port, { security }), ["a@x.example", "b@x.example"]);
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(["deferred", "deferred"]);
    }
  });

  it("is not there: deferred", async () => {
    const relay = await startSmtpServer();
    await relay.close();
    expect(brief(await deliver(none(relay.port), ["a@x.example"]))).toEqual(["a deferred null"]);
  });
});

describe("an abort", () => {
  it.each(["none", "starttls"] as const)("before the greeting defers and closes (%s)", async (security) => {
    const port = await scripted("");
    const abort = new AbortController();
    const delivery = smtpRelay(none(port, { security }), trusting()).deliver(
      { from: "a@sender.example", to: ["a@x.example"] },
      RAW,
      abort.signal,
    );
    abort.abort(new Error("no time left"));
    expect(brief(await delivery)).toEqual(["a deferred null"]);
  });

  it("while RCPT waits defers what has no answer, and closes the connection", async () => {
    const relay = await server({ hidePipelining: true });
    const abort = new AbortController();
    const delivery = smtpRelay(none(relay.port), trusting()).deliver(
      { from: "a@sender.example", to: ["refuse-550@x.example", "hang-rcpt@x.example"] },
      RAW,
      abort.signal,
    );
    while (relay.sessions.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    const outcomes = await delivery;
    expect(outcomes[1]).toMatchObject({ outcome: "deferred", code: null });
    await relay.idle();
  });

  it("beforehand opens nothing", async () => {
    const connect = () => {
      throw new Error("opened");
    };
    const outcomes = await smtpRelay(none(1), connect).deliver(
      { from: "", to: ["a@x.example"] },
      RAW,
      AbortSignal.abort(),
    );
    expect(outcomes[0]).toMatchObject({ outcome: "deferred", code: null });
    expect(outcomes[0]?.response).not.toContain("opened");
  });
});
