import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { type SmtpRelaySettings, smtpRelay } from "../../src/mail/transports/smtp-relay.ts";
import { type RecipientOutcome, recipientsBySender } from "../../src/mail/transports/transport.ts";
import { nodeConnect } from "../support/node-sockets.ts";
import { type ScriptedRelay, type ScriptedRelayOptions, startScriptedRelay } from "../support/scripted-relay.ts";
import { type SmtpServerOptions, startSmtpServer, type TestSmtpServer } from "../support/smtp-server.ts";

const RAW = Buffer.from("From: a@sender.example\r\nSubject: s\r\n\r\nline\r\n");
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function server(options?: SmtpServerOptions): Promise<TestSmtpServer> {
  const started = await startSmtpServer(options);
  closing.push(started.close);
  return started;
}

async function scripted(options: ScriptedRelayOptions): Promise<ScriptedRelay> {
  const started = await startScriptedRelay(options);
  closing.push(started.close);
  return started;
}

/** Each recipient's own return path, as bounces come back to. */
const own = (recipient: string) => `bounces+${recipient.split("@")[0]}@sender.example`;

function deliver(
  port: number,
  to: string[],
  from: string | ((recipient: string) => string) = own,
  signal?: AbortSignal,
) {
  const settings: SmtpRelaySettings = { host: "127.0.0.1", port, security: "none", ehlo_name: "mail.sender.example" };
  return smtpRelay(settings, nodeConnect()).deliver({ from, to }, RAW, signal ?? new AbortController().signal);
}

const brief = (outcomes: RecipientOutcome[]) =>
  outcomes.map(({ recipient, outcome, code }) => `${recipient.split("@")[0]} ${outcome} ${code}`);

describe("each recipient's own return path", () => {
  it.each([false, true])("is a transaction of its own, over one connection (pipelining hidden: %s)", async (hide) => {
    const relay = await server({ hidePipelining: hide });
    const to = ["a@x.example", "b@x.example", "c@y.example"];
    expect(brief(await deliver(relay.port, to))).toEqual(["a accepted 250", "b accepted 250", "c accepted 250"]);
    expect(relay.received.map(({ envelope }) => envelope)).toEqual(to.map((each) => ({ from: own(each), to: [each] })));
    for (const { raw } of relay.received) expect(raw.equals(RAW)).toBe(true);
    await relay.idle();
  });

  it("begins with RSET after the first, says all of a transaction at once, and ends with QUIT", async () => {
    const relay = await scripted({});
    await deliver(relay.port, ["a@x.example", "b@x.example"]);
    expect(relay.commands).toEqual([
      "EHLO mail.sender.example",
      ...["MAIL FROM:<bounces+a@sender.example>", "RCPT TO:<a@x.example>", "DATA", ".", "RSET"],
      ...["MAIL FROM:<bounces+b@sender.example>", "RCPT TO:<b@x.example>", "DATA", "."],
      "QUIT",
    ]);
  });

  it("shared by some is one transaction for them", async () => {
    const relay = await server();
    const to = ["a@x.example", "b@y.example", "c@x.example"];
    await deliver(relay.port, to, (recipient) => `${recipient.split("@")[1]?.charAt(0)}@sender.example`);
    expect(relay.received.map(({ envelope }) => envelope)).toEqual([
      { from: "x@sender.example", to: ["a@x.example", "c@x.example"] },
      { from: "y@sender.example", to: ["b@y.example"] },
    ]);
  });

  it("may be the null sender for some", async () => {
    const relay = await server();
    await deliver(relay.port, ["a@x.example", "b@x.example"], (recipient) =>
      recipient.startsWith("a") ? "" : own(recipient),
    );
    expect(relay.received.map(({ envelope }) => envelope.from)).toEqual(["", "bounces+b@sender.example"]);
  });

  it("that cannot be written is a mistake of ours, and nobody is connected to", async () => {
    const connect = () => {
      throw new Error("opened");
    };
    const settings = { host: "127.0.0.1", port: 1, security: "none", ehlo_name: "m.example" } as const;
    const envelope = { from: () => "a@x.example>\r\nRCPT TO:<evil@x.example", to: ["b@x.example"] };
    await expect(smtpRelay(settings, connect).deliver(envelope, RAW, new AbortController().signal)).rejects.toThrow(
      "sender cannot be written",
    );
  });

  it.each(["a@x.example> NOTIFY=NEVER", "ä@x.example", ""])(
    "an address that is another command, %j, spoils no other",
    async (bad) => {
      const relay = await server();
      const outcomes = await deliver(relay.port, [bad, "b@x.example"]);
      expect(outcomes.map(({ recipient, outcome }) => [recipient, outcome])).toEqual([
        [bad, "refused"],
        ["b@x.example", "accepted"],
      ]);
    },
  );
});

describe("one failure does not spoil the next", () => {
  it.each<[name: string, to: string[], expected: string[]]>([
    ["refused at RCPT", ["refuse-550@x.example", "b@x.example"], ["refuse-550 refused 550", "b accepted 250"]],
    ["deferred at RCPT", ["defer-451@x.example", "b@x.example"], ["defer-451 deferred 451", "b accepted 250"]],
    ["refused after the dot", ["data-554@x.example", "b@x.example"], ["data-554 refused 554", "b accepted 250"]],
    ["deferred after the dot", ["data-451@x.example", "b@x.example"], ["data-451 deferred 451", "b accepted 250"]],
    [
      "the last of three",
      ["a@x.example", "b@x.example", "refuse-553@x.example"],
      ["a accepted 250", "b accepted 250", "refuse-553 refused 553"],
    ],
  ])("%s", async (_name, to, expected) => {
    for (const hidePipelining of [false, true]) {
      const relay = await server({ hidePipelining });
      expect(brief(await deliver(relay.port, to))).toEqual(expected);
      await relay.idle();
    }
  });

  it.each([
    ["503 no sender", "b accepted 250"],
    ["354 go on", "b deferred null"],
  ])("a refused sender, where DATA is then answered %s", async (afterwards, next) => {
    const first: Record<string, string> = { MAIL: "550 not you", RCPT: "503 no sender", DATA: afterwards };
    const relay = await scripted({ reply: (line, nth) => (nth === 1 ? first[line.slice(0, 4)] : undefined) });
    expect(brief(await deliver(relay.port, ["a@x.example", "b@x.example"]))).toEqual(["a refused 550", next]);
    // No empty message was sent to whoever took DATA all the same.
    expect(relay.data).toHaveLength(next === "b accepted 250" ? 1 : 0);
  });

  it("greylisted at first, taken when it is tried again", async () => {
    const relay = await server();
    expect(brief(await deliver(relay.port, ["once-451@x.example", "b@x.example"]))).toEqual([
      "once-451 deferred 451",
      "b accepted 250",
    ]);
    expect(brief(await deliver(relay.port, ["once-451@x.example"]))).toEqual(["once-451 accepted 250"]);
  });
});

describe("a connection that ends in the middle", () => {
  const TO = ["a@x.example", "b@x.example", "c@x.example"];

  it("leaves those accepted accepted, and defers those not answered", async () => {
    const relay = await scripted({ reply: (line, nth) => (line.startsWith("MAIL") && nth === 2 ? null : undefined) });
    const outcomes = await deliver(relay.port, TO);
    expect(brief(outcomes)).toEqual(["a accepted 250", "b deferred null", "c deferred null"]);
    expect(outcomes[2]?.response).toContain("before this recipient's turn");
  });

  it("after the final dot defers whom it was for: nobody knows", async () => {
    const relay = await scripted({ reply: (line, nth) => (line === "." && nth === 2 ? null : undefined) });
    expect(brief(await deliver(relay.port, TO))).toEqual(["a accepted 250", "b deferred null", "c deferred null"]);
  });

  it.each(["EHLO", "MAIL", "RCPT", "DATA", ".", "RSET"])("by 421 to the first %s: nobody is refused", async (verb) => {
    for (const extensions of [["PIPELINING"], []]) {
      const relay = await scripted({
        extensions,
        reply: (line, nth) => (line.startsWith(verb) && nth === 1 ? "421 going down" : undefined),
      });
      const outcomes = await deliver(relay.port, TO);
      const isTaken = verb === "RSET";
      expect(outcomes.map(({ outcome }) => outcome)).toEqual([
        isTaken ? "accepted" : "deferred",
        "deferred",
        "deferred",
      ]);
      expect(outcomes.slice(1).map(({ code }) => code)).toEqual([421, 421]);
    }
  });

  it("by an RSET that is refused: nothing of one transaction goes into another", async () => {
    const relay = await scripted({ reply: (line) => (line === "RSET" ? "502 never heard of it" : undefined) });
    expect(brief(await deliver(relay.port, TO))).toEqual(["a accepted 250", "b deferred 502", "c deferred 502"]);
    expect(relay.commands.filter((line) => line.startsWith("MAIL"))).toHaveLength(1);
  });

  it("by the attempt's limit: what was answered stands", async () => {
    const relay = await scripted({ reply: (line, nth) => (line === "." && nth === 2 ? "wait" : undefined) });
    const abort = new AbortController();
    const delivery = deliver(relay.port, TO, own, abort.signal);
    await relay.heard("RSET");
    while (relay.data.length < 2) await new Promise((resolve) => setImmediate(resolve));
    abort.abort(new Error("no time left"));
    expect(brief(await delivery)).toEqual(["a accepted 250", "b deferred null", "c deferred null"]);
  });

  it("by a relay that never says goodbye, holds nobody up", async () => {
    const relay = await scripted({ reply: (line) => (line === "QUIT" ? "wait" : undefined) });
    expect(brief(await deliver(relay.port, ["a@x.example"]))).toEqual(["a accepted 250"]);
  });
});

describe("the recipients by their return path", () => {
  it("are all there, once as often as in the envelope, in its order", () => {
    const addresses = fc.array(fc.constantFrom("a@x", "b@x", "c@y", "d@z"), { maxLength: 20 });
    fc.assert(
      fc.property(addresses, fc.func(fc.constantFrom("", "s1", "s2")), (to, from) => {
        const groups = recipientsBySender({ from, to });
        expect([...groups.values()].flat().sort()).toEqual([...to].sort());
        for (const [sender, group] of groups) {
          expect(group).toEqual(to.filter((recipient) => from(recipient) === sender));
        }
      }),
    );
  });
});
