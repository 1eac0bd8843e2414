import { connect } from "cloudflare:sockets";
import { env } from "cloudflare:workers";
import { describe, expect, inject, it } from "vitest";
import type { Env } from "../../src/env.ts";
import { transportFor } from "../../src/mail/transports/choose.ts";
import { type SmtpRelaySettings, smtpRelay } from "../../src/mail/transports/smtp-relay.ts";

interface Received {
  envelope: { from: string; to: string[] };
  raw: string;
  tls: boolean;
  ehlo: string;
}

const RAW = new TextEncoder().encode("From: a@sender.example\r\nTo: b@x.example\r\nSubject: s\r\n\r\nline\r\n.dot\r\n");

async function receivedFor(recipient: string): Promise<Received[]> {
  const response = await fetch(`${inject("smtpReceivedUrl")}?to=${encodeURIComponent(recipient)}`);
  return response.json();
}

function deliver(settings: Omit<SmtpRelaySettings, "ehlo_name">, to: string[]) {
  const relay = smtpRelay({ ...settings, ehlo_name: "mail.sender.example" }, connect);
  return relay.deliver({ from: "a@sender.example", to }, RAW, new AbortController().signal);
}

const brief = (outcomes: Awaited<ReturnType<typeof deliver>>) =>
  outcomes.map(({ recipient, outcome, code }) => `${recipient.split("@")[0]} ${outcome} ${code}`);

describe("through cloudflare:sockets", () => {
  it.each(["127.0.0.1", "localhost"])("the bytes arrive as they are, without TLS, at %s", async (host) => {
    const recipient = `plain-${host}@x.example`;
    const outcomes = await deliver({ host, port: inject("smtpPort"), security: "none" }, [recipient]);
    expect(outcomes).toMatchObject([{ recipient, outcome: "accepted", code: 250 }]);
    const [mail] = await receivedFor(recipient);
    expect(mail).toMatchObject({ tls: false, ehlo: "mail.sender.example", envelope: { from: "a@sender.example" } });
    expect(atob(mail?.raw ?? "")).toBe(new TextDecoder().decode(RAW));
  });

  it("each recipient has its own outcome", async () => {
    const to = ["refuse-550@x.example", "worker-ok@x.example", "defer-451@x.example"];
    const outcomes = await deliver({ host: "127.0.0.1", port: inject("smtpPort"), security: "none" }, to);
    expect(brief(outcomes)).toEqual(["refuse-550 refused 550", "worker-ok accepted 250", "defer-451 deferred 451"]);
    expect((await receivedFor("worker-ok@x.example"))[0]?.envelope.to).toEqual(["worker-ok@x.example"]);
  });

  it("each recipient can have its own return path, over one connection", async () => {
    const to = ["own-1@x.example", "refuse-550-own@x.example", "own-2@x.example"];
    const settings = {
      host: "localhost",
      port: inject("smtpPort"),
      security: "starttls",
      ehlo_name: "m.example",
    } as const;
    const envelope = { from: (recipient: string) => `bounces+${recipient.split("@")[0]}@sender.example`, to };
    const outcomes = await smtpRelay(settings, connect).deliver(envelope, RAW, new AbortController().signal);
    expect(brief(outcomes)).toEqual(["own-1 accepted 250", "refuse-550-own refused 550", "own-2 accepted 250"]);
    for (const recipient of ["own-1@x.example", "own-2@x.example"]) {
      const [mail] = await receivedFor(recipient);
      expect(mail?.envelope).toEqual({ from: envelope.from(recipient), to: [recipient] });
      expect(mail?.tls).toBe(true);
    }
  });

  it("a connection lost inside DATA is deferred", async () => {
    const outcomes = await deliver({ host: "127.0.0.1", port: inject("smtpPort"), security: "none" }, [
      "drop-data@x.example",
    ]);
    expect(brief(outcomes)).toEqual(["drop-data deferred null"]);
  });

  it("a relay that is not there is deferred", async () => {
    expect(brief(await deliver({ host: "127.0.0.1", port: 1, security: "none" }, ["a@x.example"]))).toEqual([
      "a deferred null",
    ]);
  });

  it("a time limit that ends while a reply is awaited defers", async () => {
    const settings = { host: "127.0.0.1", port: inject("smtpPort"), security: "none", ehlo_name: "m.example" } as const;
    const envelope = { from: "", to: ["hang-rcpt@x.example"] };
    const outcomes = await smtpRelay(settings, connect).deliver(envelope, RAW, AbortSignal.timeout(200));
    expect(brief(outcomes)).toEqual(["hang-rcpt deferred null"]);
  });
});

const UNTRUSTED = {
  starttls: { elsewhere: "smtpElsewherePort", expired: "smtpExpiredPort", "self-signed": "smtpSelfSignedPort" },
  tls: { elsewhere: "smtpTlsElsewherePort", expired: "smtpTlsExpiredPort", "self-signed": "smtpTlsSelfSignedPort" },
} as const;

describe.each([
  ["starttls", "smtpPort"],
  ["tls", "smtpTlsPort"],
] as const)("%s", (security, port) => {
  it("sends over TLS with a certificate that is trusted", async () => {
    const recipient = `trusted-${security}@x.example`;
    const outcomes = await deliver({ host: "localhost", port: inject(port), security }, [recipient]);
    expect(outcomes).toMatchObject([{ recipient, outcome: "accepted", code: 250 }]);
    expect((await receivedFor(recipient))[0]).toMatchObject({ tls: true });
  });

  it.each(["elsewhere", "expired", "self-signed"] as const)(
    "defers where the certificate is %s, having said nothing",
    async (what) => {
      const recipient = `${what}-${security}@x.example`;
      const untrusted = inject(UNTRUSTED[security][what]);
      const outcomes = await deliver({ host: "localhost", port: untrusted, security }, [recipient]);
      expect(outcomes).toMatchObject([{ recipient, outcome: "deferred", code: null }]);
      expect(await receivedFor(recipient)).toEqual([]);
    },
  );
});

describe("the way out that the settings name", () => {
  const settings = (own: Partial<Env>): Env => ({ ...env, TRANSPORT: "smtp", SMTP_HOST: "relay.example", ...own });

  it("is the sandbox for test keys, whatever they say", () => {
    expect(transportFor(settings({ TRANSPORT: "cloudflare" }), { test: true }).name).toBe("sandbox");
  });

  it.each<[Partial<Env>, string]>([
    [{}, "smtp"],
    [{ SMTP_PORT: "465", SMTP_SECURITY: "tls", SMTP_USERNAME: "u", SMTP_PASSWORD: "p" }, "smtp"],
    [{ TRANSPORT: "cloudflare", EMAIL: { send: async () => ({ messageId: "x" }) } }, "cloudflare"],
  ])("%j", (own, name) => {
    expect(transportFor(settings(own), { test: false }).name).toBe(name);
  });

  it.each<[Partial<Env>, string]>([
    [{ SMTP_HOST: "" }, "SMTP_HOST"],
    [{ SMTP_PORT: "x" }, "SMTP_PORT"],
    [{ SMTP_PORT: "70000" }, "SMTP_PORT"],
    [{ SMTP_PORT: "25" }, "SMTP_PORT"],
    [{ SMTP_USERNAME: "u" }, "SMTP_PASSWORD"],
    [{ SMTP_SECURITY: "none", SMTP_USERNAME: "u", SMTP_PASSWORD: "p" }, "SMTP_SECURITY"],
    [{ TRANSPORT: "cloudflare" }, "EMAIL"],
  ])("%j is a clear error about %s", (own, setting) => {
    expect(() => transportFor(settings(own), { test: false })).toThrow(setting);
  });
});
