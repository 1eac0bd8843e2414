import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiOf, errorCode } from "../../dev/api.ts";
import { MAIL_DOMAIN } from "../../dev/bootstrap.ts";
import { listenOnLoopback } from "../../dev/listen.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import { findWorld, type World } from "../../dev/world-files.ts";
import type { KeyDocument } from "../../src/identity/keys.ts";
import { readIdentityTxtRecord } from "../../src/identity/txt-record.ts";
import { dnsOverHttps } from "../../src/mail/dns-over-https.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import { MODES, type Mode } from "../../src/oversight/modes.ts";
import { killAll, listens, run, whileRunning } from "./processes.ts";
import { SmtpDialogue } from "./smtp-dialogue.ts";

const START = ["dev/node24.js", "dev/start.ts"];
const dirs: string[] = [];

function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "world-"));
  dirs.push(dir);
  return dir;
}

function mailboxIn(world: World, mode: Mode) {
  const mailbox = world.mailboxes.find(({ oversight_mode }) => oversight_mode === mode);
  if (!mailbox) throw new Error(`no mailbox in mode ${mode}`);
  return mailbox;
}

async function inbox(world: World, mode: Mode): Promise<EmailSummary[]> {
  const answer = await apiOf(world, world.keys.agent)(
    "GET",
    `/v1/mailboxes/${mailboxIn(world, mode).id}/emails?direction=inbound&limit=100`,
  );
  return (answer.body as { emails: EmailSummary[] }).emails;
}

async function readEmail(world: World, id: string): Promise<Email> {
  return (await apiOf(world, world.keys.agent)("GET", `/v1/emails/${id}`)).body as Email;
}

async function deliver(world: World, to: string, raw: Uint8Array | string, xclient?: string): Promise<string> {
  const client = await SmtpDialogue.open(world.smtp.inbound_port);
  const reply = await client.send({ from: "stranger@customer.example", to: [to], ...(xclient && { xclient }) }, raw);
  client.close();
  return reply;
}

afterAll(async () => {
  await killAll();
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

describe("a local world", () => {
  const dir = temporaryDir();
  let running: RunningWorld;
  let world: World;

  beforeAll(async () => {
    running = await startWorld({ dir, port: 0 });
    world = running.world;
  }, 180_000);
  afterAll(() => running?.stop());

  it("writes world.json with the fields that were promised, for its owner's eyes only", () => {
    const file = join(dir, "world.json");
    const written: World = JSON.parse(readFileSync(file, "utf8"));
    expect(Object.keys(written).sort()).toEqual(
      [
        ...[
          "approver_email",
          "base_url",
          "console_url",
          "doh_url",
          "keys",
          "mailboxes",
          "operator_email",
          "outbox_dir",
        ],
        ...["pid", "smtp", "zones_file"],
      ].sort(),
    );
    expect(Object.keys(written.keys).sort()).toEqual(["admin", "agent", "oversight"]);
    expect(Object.keys(written.smtp).sort()).toEqual(["inbound_port", "outbound_port"]);
    expect(written.mailboxes.map(({ oversight_mode }) => oversight_mode)).toEqual([...MODES]);
    expect(written.mailboxes.every((mailbox) => mailbox.oversight_keys_may_decide)).toBe(true);
    expect(written.approver_email.endsWith(`@${MAIL_DOMAIN}`)).toBe(false);
    expect(written.pid).toBe(process.pid);
    for (const name of ["world.json", "tenant.json", ".dev.vars"]) {
      expect([name, statSync(join(dir, name)).mode & 0o777]).toEqual([name, 0o600]);
    }
  });

  it("is found by its folder", async () => {
    expect((await findWorld(dir))?.base_url).toBe(world.base_url);
    expect(await findWorld(temporaryDir())).toBeNull();
  });

  it("answers /health", async () => {
    const response = await fetch(`${world.base_url}/health`);
    expect(response.status).toBe(200);
    await response.arrayBuffer();
  });

  it("publishes the deployment's DNS records, and answers an edited zones file at once", async () => {
    const resolve = dnsOverHttps(world.doh_url, fetch);
    const zones: Record<string, Record<string, string[]>> = JSON.parse(readFileSync(world.zones_file, "utf8"));
    const dkim = Object.keys(zones).filter((name) => name.endsWith(`._domainkey.${MAIL_DOMAIN}`));
    expect(dkim.length).toBeGreaterThan(0);
    for (const name of dkim) expect([...((await resolve(name, "TXT"))[0] ?? [])].join("")).toContain("v=DKIM1");
    writeFileSync(world.zones_file, JSON.stringify({ ...zones, "added.example": { TXT: ["by hand"] } }));
    expect(await resolve("added.example", "TXT")).toEqual([["by hand"]]);
    writeFileSync(world.zones_file, JSON.stringify(zones));
  });

  it("publishes the tenant's identity key in the DNS, the one that its key document has", async () => {
    const { tenant_id } = mailboxIn(world, "gated_send");
    const answer = await fetch(`${world.base_url}/v1/identity/public-key?tenant_id=${tenant_id}`);
    const { kid, x, y }: KeyDocument = await answer.json();
    const [strings = []] = await dnsOverHttps(world.doh_url, fetch)(`_multimail.${MAIL_DOMAIN}`, "TXT");
    expect(readIdentityTxtRecord([...strings].join(""))).toMatchObject({ kid, x, y });
  });

  it("keeps its own addresses from everyone without the token", async () => {
    for (const headers of [{}, { "x-dev-token": "guess" }]) {
      const response = await fetch(
        `${world.base_url}/__dev/email?from=a@b.example&to=${mailboxIn(world, "autonomous").address}`,
        {
          method: "POST",
          headers,
          body: "Subject: hi\r\n\r\n",
        },
      );
      expect([401, 404, 405]).toContain(response.status);
      await response.arrayBuffer();
    }
  });

  it("refuses an unknown recipient with 550", async () => {
    expect(await deliver(world, `nobody@${MAIL_DOMAIN}`, "From: a@b.example\r\n\r\nx\r\n")).toMatch(/^550/);
  });

  it("takes 25 MiB, our Received line not counted, and refuses one octet more with 552", async () => {
    const sized = (octets: number) => {
      const head = "From: a@b.example\r\nSubject: of 25 MiB\r\n\r\n";
      return `${head.padEnd(octets - 2, `${"x".repeat(98)}\r\n`)}\r\n`;
    };
    const limit = 26_214_400;
    const { address } = mailboxIn(world, "autonomous");
    expect(await deliver(world, address, sized(limit + 1))).toMatch(/^552/);
    expect(await deliver(world, address, sized(limit))).toMatch(/^250/);
    const kept = await until("the message in the inbox", async () =>
      (await inbox(world, "autonomous")).find(({ subject }) => subject === "of 25 MiB"),
    );
    expect(kept.flags).toContain("large");
  });

  const deepMime = Array.from(
    { length: 100 },
    (_, depth) => `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n`,
  );
  it.each<[string, Uint8Array | string, string | null]>([
    ["no From", "Subject: no-from\r\n\r\nx\r\n", "no_from"],
    ["two Froms", "From: a@b.example\r\nFrom: c@d.example\r\nSubject: two\r\n\r\nx\r\n", "multiple_from"],
    ["no Message-ID and no body", "From: a@b.example\r\nSubject: bare\r\n\r\n", null],
    ["nothing but a line end", "\r\n", "no_from"],
    ["10,000 headers", `From: a@b.example\r\n${"X-Many: header\r\n".repeat(10_000)}\r\nx\r\n`, null],
    ["100-deep MIME", `From: a@b.example\r\n${deepMime.join("")}\r\nx\r\n`, null],
    [
      "a charset that is none",
      "From: a@b.example\r\nContent-Type: text/plain; charset=x-nonsense\r\n\r\n\xff\r\n",
      null,
    ],
    [
      "broken base64",
      "From: a@b.example\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!not=base64%%\r\n",
      null,
    ],
    [
      "NUL and 8-bit bytes in headers",
      Buffer.from("From: a@b.example\r\nSubject: \x00\xfe\xff\r\n\r\nx\r\n", "latin1"),
      null,
    ],
  ])("takes mail with %s, keeps it and lists it", async (_what, raw, flag) => {
    const before = new Set((await inbox(world, "autonomous")).map(({ id }) => id));
    expect(await deliver(world, mailboxIn(world, "autonomous").address, raw)).toMatch(/^250/);
    const kept = await until("the message in the inbox", async () =>
      (await inbox(world, "autonomous")).find(({ id }) => !before.has(id)),
    );
    if (flag !== null) expect(kept.flags).toContain(flag);
    expect((await readEmail(world, kept.id)).id).toBe(kept.id);
  });

  it("judges SPF by the address that hands the mail in", async () => {
    for (const [xclient, expected] of [
      ["ADDR=127.0.0.1", "pass"],
      ["ADDR=192.0.2.66", "fail"],
    ] as const) {
      const subject = `spf ${expected}`;
      const raw = `From: stranger@customer.example\r\nSubject: ${subject}\r\n\r\nx\r\n`;
      expect(await deliver(world, mailboxIn(world, "autonomous").address, raw, xclient)).toMatch(/^250/);
      const kept = await until(subject, async () =>
        (await inbox(world, "autonomous")).find((email) => email.subject === subject),
      );
      expect(kept.spf_result).toBe(expected);
    }
  });

  it("takes an agent's mail to another mailbox of the world to its inbox, with its DKIM signature valid", async () => {
    const agent = apiOf(world, world.keys.agent);
    const sent = await agent("POST", `/v1/mailboxes/${mailboxIn(world, "autonomous").id}/send`, {
      to: mailboxIn(world, "gated_send").address,
      subject: "From agent to agent",
      text: "Hello, colleague.",
    });
    expect([200, 202]).toContain(sent.status);
    const arrived = await until("the colleague's mail", async () =>
      (await inbox(world, "gated_send")).find(({ subject }) => subject === "From agent to agent"),
    );
    expect([arrived.dkim_result, arrived.dkim_domain]).toEqual(["pass", MAIL_DOMAIN]);
  });

  it("lets no second process into its folder", async () => {
    const second = run("node", [...START, "--dir", dir, "--port", "0"]);
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain("already runs in");
    expect(await findWorld(dir)).not.toBeNull();
  });

  it("stands beside a second world that knows nothing of it", async () => {
    const second = await startWorld({ dir: temporaryDir(), port: 0 });
    try {
      expect(second.world.keys.agent).not.toBe(world.keys.agent);
      const foreign = await apiOf(second.world, world.keys.agent)("GET", "/v1/mailboxes");
      expect([foreign.status, errorCode(foreign)]).toEqual([401, "invalid_key"]);
    } finally {
      await second.stop();
    }
  }, 180_000);

  it("goes on where it was after a restart, and forgets with --fresh", async () => {
    const before = (await inbox(world, "autonomous")).map(({ id }) => id);
    const { keys } = world;
    await running.stop();
    expect(existsSync(join(dir, "world.json"))).toBe(false);
    running = await startWorld({ dir, port: 0 });
    world = running.world;
    expect(world.keys).toEqual(keys);
    expect((await inbox(world, "autonomous")).map(({ id }) => id)).toEqual(before);
    await running.stop();
    running = await startWorld({ dir, port: 0, fresh: true });
    world = running.world;
    expect(world.keys).not.toEqual(keys);
    expect(await inbox(world, "autonomous")).toEqual([]);
  }, 180_000);
});

describe("a world in a process of its own", () => {
  it.each<[NodeJS.Signals, number]>([
    ["SIGTERM", 1],
    ["SIGINT", 2],
  ])(
    "ends at %s (sent %i times) with 0, leaving no process and no port",
    async (signal, times) => {
      const dir = temporaryDir();
      const program = run("node", [...START, "--dir", dir, "--port", "0"]);
      const world = await whileRunning(program, "the world", () => findWorld(dir));
      const ports = [Number(new URL(world.base_url).port), world.smtp.inbound_port, world.smtp.outbound_port];
      for (const port of ports) expect(await listens(port)).toBe(true);
      for (let sent = 0; sent < times; sent++) process.kill(world.pid, signal);
      expect([await program.ended, await program.gone()]).toEqual([0, true]);
      for (const port of ports) expect(await listens(port)).toBe(false);
      expect(existsSync(join(dir, "world.json")) || existsSync(join(dir, "lock"))).toBe(false);
    },
    60_000,
  );

  it("takes its workerd along when it is killed, and its folder is free for the next", async () => {
    const dir = temporaryDir();
    const killed = run("node", [...START, "--dir", dir, "--port", "0"]);
    const before = await whileRunning(killed, "the world", () => findWorld(dir));
    process.kill(before.pid, "SIGKILL");
    expect([await killed.ended, await killed.gone()]).toEqual(["SIGKILL", true]);
    const next = await startWorld({ dir, port: 0 });
    expect(next.world.keys).toEqual(before.keys);
    await next.stop();
  }, 180_000);

  it("takes its workerd along when it is killed while it starts", async () => {
    const dir = temporaryDir();
    const killed = run("node", [...START, "--dir", dir, "--port", "0"]);
    await whileRunning(killed, "the worker's files", () => existsSync(join(dir, "state")) || null);
    process.kill(killed.child.pid ?? 0, "SIGKILL");
    expect([await killed.ended, await killed.gone()]).toEqual(["SIGKILL", true]);
  }, 60_000);

  it.each([
    [["--port", "http"], "--port takes a number"],
    [["--nonsense"], "nonsense"],
  ])("refuses %j with one sentence", async (args, sentence) => {
    const program = run("node", [...START, "--dir", temporaryDir(), ...args]);
    expect(await program.ended).toBe(1);
    expect(program.output()).toContain(sentence);
    expect(program.output()).not.toContain("    at ");
  });

  it("refuses a port that is taken", async () => {
    const holder = createServer();
    const port = await listenOnLoopback(holder, 0, holder);
    const program = run("node", [...START, "--dir", temporaryDir(), "--port", String(port)]);
    expect([await program.ended, await program.gone()]).toEqual([1, true]);
    expect(program.output()).toContain(`Port ${port} is taken`);
    await new Promise((closed) => holder.close(closed));
  });
});
