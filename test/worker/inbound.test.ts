import { env } from "cloudflare:workers";
import { createHash, generateKeyPairSync } from "node:crypto";
import "../../src/mail/digest-names-in-workerd.ts";
import { dkimSign } from "mailauth/lib/dkim/sign.js";
import { beforeEach, describe, expect, test } from "vitest";
import {
  type InboundEnv,
  MAX_MESSAGE_OCTETS,
  MAX_PARSED_OCTETS,
  MAX_TRACE_OCTETS,
  receiveEmail,
} from "../../email-workers/inbound.ts";
import type { ReceivedMessage } from "../../src/mail/message.ts";
import { hashDecisionToken } from "../../src/oversight/decision-links.ts";

const KEY = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PUBLIC = KEY.publicKey.export({ type: "spki", format: "der" }).toString("base64");
const ZONE: Record<string, string> = {
  "s._domainkey.bank.example": `v=DKIM1; k=rsa; p=${PUBLIC}`,
  "bank.example": "v=spf1 ip4:203.0.113.5 -all",
  "_dmarc.bank.example": "v=DMARC1; p=reject",
};
const NOW = Date.UTC(2026, 8, 25, 5, 0, 0);
const ROUTING = "7ZK3Q9AB";
const TENANT = "ten_0001";
const MAILBOX = "mbx_0001";
const RECEIVED =
  "Received: from mx.bank.example (203.0.113.5)\r\n by cloudflare-email.net (cloudflare) id X\r\n for <a@m.example>; Fri, 25 Sep 2026 05:07:50 +0000\r\n";

const text = (body: string, headers = "") =>
  `From: Ann <ann@bank.example>\r\nTo: Agent <agent@m.example>\r\nSubject: Hello\r\nMessage-ID: <1@bank.example>\r\n${headers}\r\n${body}`;

async function signed(mail: string): Promise<string> {
  const signature = {
    signingDomain: "bank.example",
    selector: "s",
    privateKey: KEY.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    algorithm: "rsa-sha256",
    canonicalization: "relaxed/relaxed",
  };
  const { signatures } = await dkimSign(mail, { ...signature, signatureData: [signature] });
  return RECEIVED + signatures + mail;
}

const doh: typeof fetch = async (input) => {
  const name = new URL(String(input)).searchParams.get("name") ?? "";
  const record = ZONE[name];
  const type = new URL(String(input)).searchParams.get("type");
  if (record === undefined || type !== "TXT") return Response.json({ Status: 3 });
  return Response.json({ Status: 0, Answer: [{ type: 16, data: JSON.stringify(record) }] });
};

/** Stands where the mailbox's object would: remembers what it was told, in order. */
class RecordingMailbox {
  readonly names: string[] = [];
  readonly events: string[] = [];
  readonly received: ReceivedMessage[] = [];
  readonly revoked: string[] = [];
  answers: ((message: ReceivedMessage) => { email_id: string; duplicate: boolean; status: "unread" } | null)[] = [];
  revoking: () => void = () => {};

  getByName(routing: string): InboundEnv["MAILBOX"] extends { getByName(name: string): infer T } ? T : never {
    this.names.push(routing);
    return {
      receive: async (message) => {
        this.events.push("receive");
        this.received.push(message);
        const answer = this.answers.shift();
        return answer ? answer(message) : { email_id: message.id, duplicate: false, status: "unread" };
      },
      expectReturned: async () => true,
      takeReturned: async () => "unknown",
      revokeLinks: async (hashes, reason) => {
        this.events.push(`revoke: ${reason}`);
        this.revoking();
        this.revoked.push(...hashes);
        return hashes.length;
      },
    };
  }
}

interface Arrival {
  to?: string;
  chunk?: number;
  size?: number;
  raw?: ReadableStream<Uint8Array>;
  environment?: Partial<InboundEnv>;
}

let mailbox: RecordingMailbox;

function chunked(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
}

/** Lets a message arrive. @returns the reason it was rejected with, or null. */
async function arrive(mail: string | Uint8Array, arrival: Arrival = {}): Promise<string | null> {
  const bytes = typeof mail === "string" ? Buffer.from(mail) : mail;
  let rejection: string | null = null;
  const refuse = () => Promise.reject(new Error("not used"));
  const message: ForwardableEmailMessage = {
    from: "ann@bank.example",
    to: arrival.to ?? "agent@m.example",
    raw: arrival.raw ?? chunked(bytes, arrival.chunk ?? 64 * 1024),
    rawSize: arrival.size ?? bytes.byteLength,
    headers: new Headers(),
    canBeForwarded: false,
    setReject: (reason) => {
      rejection = reason;
    },
    forward: refuse,
    reply: refuse,
  };
  const environment: InboundEnv = {
    DB: env.DB,
    STORE: env.STORE,
    DOH_URL: "https://doh.example/dns-query",
    INBOUND_RECEIVED_BY: "cloudflare-email.net",
    MAIL_DOMAIN: "m.example",
    MASTER_KEY: env.MASTER_KEY,
    MAILBOX: mailbox,
    ...arrival.environment,
  };
  await receiveEmail(message, environment, { now: () => NOW, fetch: doh });
  return rejection;
}

async function storedKeys(): Promise<string[]> {
  return (await env.STORE.list()).objects.map(({ key }) => key);
}

async function storedBytes(key: string): Promise<Uint8Array> {
  const object = await env.STORE.get(key);
  if (object === null) throw new Error(`nothing at ${key}`);
  return new Uint8Array(await object.arrayBuffer());
}

function onlyMessage(): ReceivedMessage {
  const [message, ...more] = mailbox.received;
  if (message === undefined || more.length > 0) throw new Error(`${mailbox.received.length} messages were received`);
  return message;
}

/** The bucket, but what `fails` names throws. */
function failingStore(fails: (method: string, key: unknown) => boolean): R2Bucket {
  return new Proxy(env.STORE, {
    get(target, method) {
      const original: unknown = Reflect.get(target, method);
      if (typeof original !== "function") return original;
      return (...parameters: unknown[]) => {
        if (fails(String(method), parameters[0])) throw new Error(`R2 ${String(method)} failed`);
        return Reflect.apply(original, target, parameters);
      };
    },
  });
}

beforeEach(async () => {
  mailbox = new RecordingMailbox();
  await env.STORE.delete(await storedKeys());
  await env.DB.prepare("DELETE FROM mailboxes").run();
  const insert = env.DB.prepare("INSERT INTO mailboxes VALUES (?1, ?2, ?3, ?4, ?5, 1)");
  await env.DB.batch([
    insert.bind(MAILBOX, TENANT, "agent@m.example", ROUTING, JSON.stringify({ is_active: true })),
    insert.bind("mbx_0002", TENANT, "agent+vip@m.example", "00000002", JSON.stringify({})),
    insert.bind("mbx_0003", TENANT, "closed@m.example", "00000003", JSON.stringify({ is_active: false })),
    insert.bind("mbx_0004", TENANT, "agent@xn--bcher-kva.example", "00000004", JSON.stringify({})),
  ]);
});

describe("the recipient", () => {
  test.each([
    ["agent@m.example", ROUTING],
    ["Agent@M.Example", ROUTING],
    ["agent+news@m.example", ROUTING],
    ["agent+vip@m.example", "00000002"],
    ["agent@bücher.example", "00000004"],
  ])("%s is found", async (to, routing) => {
    expect(await arrive(text("x"), { to })).toBeNull();
    expect(mailbox.names).toEqual([routing]);
    expect(onlyMessage().envelope_to).toBe(to);
  });

  test.each([
    "nobody@m.example",
    "closed@m.example",
    "+agent@m.example",
    "agent",
    "",
    "a'; DROP TABLE mailboxes; --@m.example",
  ])("%j is refused for good, and nothing is stored", async (to) => {
    expect(await arrive(text("x"), { to })).toBe("550 5.1.1 There is no such mailbox here.");
    expect(await storedKeys()).toEqual([]);
    expect(mailbox.names).toEqual([]);
  });

  test("of a message over 25 MiB, not counting our server's trace fields, is told so", async () => {
    const size = MAX_MESSAGE_OCTETS + MAX_TRACE_OCTETS + 1;
    expect(await arrive("", { size })).toBe("552 5.3.4 The message is larger than 25 MiB.");
    expect(await storedKeys()).toEqual([]);
  });

  test.each([
    ["our server's Received line", RECEIVED.length],
    ["the most trace fields", MAX_TRACE_OCTETS],
  ])("of 25 MiB below %s gets the message", async (_what, trace) => {
    const size = MAX_MESSAGE_OCTETS + trace;
    const mail = Buffer.alloc(size, "One line of many.\r\n");
    mail.write(RECEIVED + text("The beginning.\r\n"));
    expect(await arrive(mail)).toBeNull();
    const { raw_key, raw_size, flags, subject } = onlyMessage();
    expect({ raw_size, flags, subject }).toEqual({ raw_size: size, flags: ["large"], subject: "Hello" });
    expect((await env.STORE.head(raw_key))?.size).toBe(size);
  });
});

/** A message without the Received line that our own server wrote at its top. */
function withoutOurLine(mail: string): string {
  return mail.replace(/^Received: from [^\n]*\n(?:[ \t][^\n]*\n)*/, "");
}

test("a redelivery has the same fingerprint, though our server writes its Received line anew; another's line counts", async () => {
  const mail = await signed(text("Please pay.\r\n"));
  const fingerprints: string[] = [];
  const again = mail.replace(/^(Received: [\s\S]*?); [^;\r\n]*\r\n(?![ \t])/, "$1; Tue, 1 Dec 2026 10:00:00 +0000\r\n");
  for (const raw of [
    mail,
    again,
    mail.replace(/^/, "Received: from x (192.0.2.1) by elsewhere.example; Tue, 1 Dec 2026 10:00:00 +0000\r\n"),
  ]) {
    await arrive(raw, { chunk: 100 });
    fingerprints.push(mailbox.received.at(-1)?.fingerprint ?? "");
  }
  expect(again).not.toBe(mail);
  expect(fingerprints[1]).toBe(fingerprints[0]);
  expect(fingerprints[2]).not.toBe(fingerprints[0]);
});

describe("a signed message", () => {
  test.each([1, 7, 1_000, 1_000_000])("is stored exactly and handed over, in chunks of %i", async (chunk) => {
    const mail = await signed(text("Please pay.\r\n"));
    expect(await arrive(mail, { chunk })).toBeNull();
    const message = onlyMessage();
    expect(message).toMatchObject({
      id: expect.stringMatching(/^em_[0-9A-HJKMNP-TV-Z]{18}7ZK3Q9AB$/),
      raw_key: `raw/${TENANT}/${MAILBOX}/${message.id}.eml`,
      raw_size: mail.length,
      fingerprint: createHash("sha256")
        .update(`${withoutOurLine(mail)}\0ann@bank.example\0agent@m.example`)
        .digest("hex"),
      envelope_from: "ann@bank.example",
      rfc_message_id: "<1@bank.example>",
      from: [{ name: "Ann", address: "ann@bank.example" }],
      subject: "Hello",
      markdown: "Please pay.",
      bodies_key: null,
      flags: [],
      authentication: {
        dkim_result: "pass",
        dkim_domain: "bank.example",
        spf_result: "pass",
        dmarc_result: "pass",
        arc_result: "none",
      },
    });
    expect(Buffer.from(await storedBytes(message.raw_key)).toString()).toBe(mail);
    expect(await storedKeys()).toEqual([message.raw_key]);
  });

  test("that was changed reads fail", async () => {
    await arrive((await signed(text("Please pay 5.\r\n"))).replace("pay 5", "pay 5000"));
    expect(onlyMessage().authentication).toMatchObject({ dkim_result: "fail", spf_result: "pass" });
  });

  test("over 10 MiB keeps raw bytes, headers and text, and its signature is still checked", async () => {
    const mail = await signed(
      text(`The beginning.\r\n${"A line of a long message, again and again.\r\n".repeat(250_000)}`),
    );
    expect(mail.length).toBeGreaterThan(MAX_PARSED_OCTETS);
    await arrive(mail);
    const message = onlyMessage();
    expect(message).toMatchObject({
      subject: "Hello",
      flags: ["large"],
      attachments: [],
      authentication: { dkim_result: "pass" },
    });
    expect(message.text).toMatch(/^The beginning\./);
    expect((await env.STORE.head(message.raw_key))?.size).toBe(mail.length);
  });
});

describe("parts", () => {
  const MULTIPART = "Content-Type: multipart/mixed; boundary=b\r\n";
  const attachment = (name: string, content: string) =>
    `--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=${name}\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(content).toString("base64")}\r\n`;

  test("attachments lie beside their message", async () => {
    await arrive(
      text(`--b\r\n\r\nsee files\r\n${attachment("a.bin", "one")}${attachment("a.bin", "two")}--b--\r\n`, MULTIPART),
    );
    const { id, attachments } = onlyMessage();
    expect(attachments.map(({ name, key, size }) => ({ name, key, size }))).toEqual([
      { name: "a.bin", key: `att/${TENANT}/${MAILBOX}/${id}/0`, size: 3 },
      { name: "a (2).bin", key: `att/${TENANT}/${MAILBOX}/${id}/1`, size: 3 },
    ]);
    for (const [n, content] of ["one", "two"].entries()) {
      const bytes = await storedBytes(attachments[n]?.key ?? "");
      expect(Buffer.from(bytes).toString()).toBe(content);
      expect(attachments[n]?.sha256).toBe(createHash("sha256").update(content).digest("hex"));
    }
  });

  test("bodies over 64 KiB lie in R2, their beginnings are handed over", async () => {
    const body = "0123456789\n".repeat(10_000);
    await arrive(text(body.replaceAll("\n", "\r\n")));
    const message = onlyMessage();
    expect(message.bodies_key).toBe(`body/${TENANT}/${MAILBOX}/${message.id}.json`);
    const bodies: unknown = await (await env.STORE.get(message.bodies_key ?? ""))?.json();
    expect(bodies).toEqual({ markdown: body.trimEnd(), quoted: null, text: body, html: null });
    expect(body.startsWith(message.text)).toBe(true);
    expect(JSON.stringify(message).length).toBeLessThan(64 * 1024);
  });

  test.each([
    ["garbage", Buffer.from(Array.from({ length: 3_000 }, (_, n) => (n * 7919) % 256))],
    ["nothing", Buffer.alloc(0)],
    ["NULs", Buffer.alloc(1_000)],
  ])("%s is kept, listed and flagged", async (_what, bytes) => {
    expect(await arrive(bytes)).toBeNull();
    const message = onlyMessage();
    expect(message.flags).toContain("no_from");
    expect(Buffer.from(await storedBytes(message.raw_key)).equals(bytes)).toBe(true);
  });

  test("a decision link is withdrawn before anything is handed over, and only the raw bytes keep it", async () => {
    const token = `${ROUTING}-abcDEF_ghi-JKL0123456789mnopqrstuvwxyzABCDE`;
    const body = `--b\r\n\r\nhttps://mail.test/v1/approve/${token}\r\n${attachment("fwd.eml", `Open https://mail.test/v1/approve/${token} now`)}--b--\r\n`;
    await arrive(text(body, `${MULTIPART}X-Link: ${token}\r\n`));
    expect(mailbox.events).toEqual(["revoke: it arrived in inbound mail", "receive"]);
    expect(mailbox.revoked).toEqual([hashDecisionToken(token)]);
    const message = onlyMessage();
    expect(message.flags).toEqual(["link_removed"]);
    expect(JSON.stringify(message)).not.toContain(token.slice(9));
    expect(Buffer.from(await storedBytes(message.attachments[0]?.key ?? "")).toString()).toContain("was removed");
    expect(Buffer.from(await storedBytes(message.raw_key)).toString()).toContain(token);
  });
});

test("tokens of mailboxes that do not exist wake no object, and are blanked all the same", async () => {
  const tokens = ["00000009", "0000000A", ROUTING].map(
    (routing) => `${routing}-abcDEF_ghi-JKL0123456789mnopqrstuvwxyzABCDE`,
  );
  await arrive(text(tokens.join("\r\n")));
  expect(mailbox.revoked).toEqual([hashDecisionToken(tokens[2] ?? "")]);
  expect(JSON.stringify(onlyMessage())).not.toContain("abcDEF_ghi");
});

describe("what comes back from the mailbox", () => {
  const WITH_FILE = text(
    "--b\r\n\r\nx\r\n--b\r\nContent-Disposition: attachment; filename=f\r\n\r\ny\r\n--b--\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
  );

  test("a duplicate's objects are deleted", async () => {
    mailbox.answers = [() => ({ email_id: "em_earlier", duplicate: true, status: "unread" })];
    expect(await arrive(WITH_FILE)).toBeNull();
    expect(await storedKeys()).toEqual([]);
  });

  test("a duplicate that is this very message keeps its objects", async () => {
    mailbox.answers = [({ id }) => ({ email_id: id, duplicate: true, status: "unread" })];
    await arrive(WITH_FILE);
    expect(await storedKeys()).toHaveLength(2);
  });

  test("no mailbox: refused for good, and nothing stays", async () => {
    mailbox.answers = [() => null];
    expect(await arrive(WITH_FILE)).toMatch(/^550 5\.1\.1 /);
    expect(await storedKeys()).toEqual([]);
  });

  const reset = () => {
    throw new Error("the object was reset");
  };

  test("an object that was reset is asked again, with the same message", async () => {
    mailbox.answers = [reset];
    expect(await arrive(WITH_FILE)).toBeNull();
    expect(mailbox.received.map(({ id }) => id)).toEqual([mailbox.received[0]?.id, mailbox.received[0]?.id]);
    expect(await storedKeys()).toHaveLength(2);
  });

  test("an object that fails for good: no 250, and what it may have committed keeps its bytes", async () => {
    mailbox.answers = [reset, reset];
    await expect(arrive(WITH_FILE)).rejects.toThrow("reset");
    expect(await storedKeys()).toHaveLength(2);
  });
});

describe("a breakdown of ours is a throw, so that the sender tries again, and leaves nothing behind", () => {
  const broken = new Error("lost");
  const MAIL = text(
    "--b\r\nContent-Disposition: attachment; filename=f\r\n\r\ny\r\n--b--\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
  );

  test.each<[string, () => Arrival]>([
    [
      "D1",
      () => ({
        environment: {
          DB: new Proxy(env.DB, {
            get: () => () => {
              throw broken;
            },
          }),
        },
      }),
    ],
    [
      "R2 for the raw bytes",
      () => ({
        environment: { STORE: failingStore((method, key) => method === "put" && String(key).startsWith("raw/")) },
      }),
    ],
    [
      "R2 for an attachment",
      () => ({
        environment: { STORE: failingStore((method, key) => method === "put" && String(key).startsWith("att/")) },
      }),
    ],
    [
      "a stream that breaks off",
      () => ({ raw: new ReadableStream({ pull: (controller) => controller.error(broken) }) }),
    ],
    ["a stream shorter than announced", () => ({ size: MAIL.length + 1 })],
    ["a stream longer than announced", () => ({ size: MAIL.length - 1 })],
  ])("%s", async (_what, arrival) => {
    await expect(arrive(MAIL, arrival())).rejects.toThrow();
    expect(await storedKeys()).toEqual([]);
    expect(mailbox.received).toEqual([]);
  });

  test("a link that cannot be withdrawn", async () => {
    mailbox.revoking = () => {
      throw broken;
    };
    const token = `${ROUTING}-abcDEF_ghi-JKL0123456789mnopqrstuvwxyzABCDE`;
    await expect(arrive(text(token))).rejects.toThrow("lost");
    expect(await storedKeys()).toEqual([]);
    expect(mailbox.received).toEqual([]);
  });

  test("DNS is none of them: the verdict is temperror, and the mail is stored", async () => {
    const mail = await signed(text("x"));
    const silent: typeof fetch = async () => {
      throw new TypeError("no connection");
    };
    const bytes = Buffer.from(mail);
    await receiveEmail(
      {
        ...{ from: "ann@bank.example", to: "agent@m.example", raw: chunked(bytes, 100), rawSize: bytes.length },
        ...{ headers: new Headers(), canBeForwarded: false, setReject: () => {} },
        ...{ forward: () => Promise.reject(broken), reply: () => Promise.reject(broken) },
      },
      { ...env, INBOUND_RECEIVED_BY: "cloudflare-email.net", MAILBOX: mailbox },
      { now: () => NOW, fetch: silent },
    );
    expect(onlyMessage().authentication).toMatchObject({
      dkim_result: "temperror",
      spf_result: "temperror",
      dmarc_result: "temperror",
    });
  });
});
