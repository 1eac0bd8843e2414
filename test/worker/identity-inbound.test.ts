import { env } from "cloudflare:workers";
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import "../../src/mail/digest-names-in-workerd.ts";
import { dkimSign } from "mailauth/lib/dkim/sign.js";
import { describe, expect, test } from "vitest";
import { receiveEmail } from "../../email-workers/inbound.ts";
import { unwrap } from "../../src/errors.ts";
import { identityHeaders } from "../../src/identity/identity-headers.ts";
import { fingerprintOf } from "../../src/identity/public-keys.ts";
import { identityTxtRecord } from "../../src/identity/txt-record.ts";
import { newId } from "../../src/ids.ts";
import { composeMessage } from "../../src/mail/compose.ts";
import type { Email } from "../../src/operations/shapes/email.ts";
import {
  chainOf,
  EVERYTHING,
  makeMailbox,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** Mail that comes in with identity headers (FORMATS.md §2.6), through the real handler, D1, R2 and mailbox object. */

const DKIM = generateKeyPairSync("rsa", { modulusLength: 2048 });
const DKIM_RECORD = `v=DKIM1; k=rsa; p=${DKIM.publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;

/** A DNS of these records; whatever name is asked for is noted. The far end is not ours: Cloudflare's resolver stands elsewhere. */
function dnsOf(zone: Record<string, string | string[] | "broken">) {
  const asked: string[] = [];
  const fetcher: typeof fetch = async (input) => {
    const name = new URL(String(input)).searchParams.get("name") ?? "";
    if (new URL(String(input)).searchParams.get("type") === "TXT") asked.push(name);
    const records = zone[name];
    if (records === "broken") return new Response("down", { status: 500 });
    if (records === undefined || new URL(String(input)).searchParams.get("type") !== "TXT")
      return Response.json({ Status: 3 });
    return Response.json({
      Status: 0,
      Answer: [records].flat().map((data) => ({ type: 16, data: JSON.stringify(data) })),
    });
  };
  return { fetcher, asked };
}

async function arrive(box: TestMailbox, raw: Uint8Array, fetcher: typeof fetch): Promise<Email> {
  const refuse = () => Promise.reject(new Error("not used"));
  const message: ForwardableEmailMessage = {
    from: "bounce@elsewhere.example",
    to: box.mailbox.address,
    raw: new Response(raw).body as ReadableStream<Uint8Array>,
    rawSize: raw.byteLength,
    headers: new Headers(),
    canBeForwarded: false,
    setReject: (reason) => {
      throw new Error(reason);
    },
    forward: refuse,
    reply: refuse,
  };
  await receiveEmail(message, env, { now: Date.now, fetch: fetcher });
  const { emails } = unwrap(await box.stub.list(box.overseer, { ...EVERYTHING, direction: "inbound", limit: 1 }));
  const options = { mark_read: false, include_html: false };
  return unwrap(await box.stub.read(box.overseer, emails[0]?.id ?? "", options)).email;
}

/** A deployment elsewhere, with a tenant that signs. */
class Elsewhere {
  readonly domain = `d-${crypto.randomUUID()}.example`;
  readonly tenant = newId("ten", Date.now());
  readonly kid = newId("idk", Date.now());
  private readonly pair = generateKeyPairSync("ec", { namedCurve: "P-256" });

  record(key: KeyObject = this.pair.publicKey): string {
    const { x = "", y = "" } = key.export({ format: "jwk" });
    const jwk = { kty: "EC", crv: "P-256", x, y } as const;
    return identityTxtRecord({ ...jwk, kid: this.kid });
  }

  get fingerprint(): string {
    const { x = "", y = "" } = this.pair.publicKey.export({ format: "jwk" });
    return fingerprintOf({ kty: "EC", crv: "P-256", x, y });
  }

  zone(more: Record<string, string | string[]> = {}) {
    return { [`s._domainkey.${this.domain}`]: DKIM_RECORD, [`_multimail.${this.domain}`]: this.record(), ...more };
  }

  /** A message as that deployment delivers it. @param change what stands in it in place of what was signed. */
  async message(to: string, change: { from?: string; text?: string; dkim?: boolean; extra?: [string, string][] } = {}) {
    const from = { name: null, address: `agent@${this.domain}` };
    const id = newId("em", Date.now());
    const date = new Date();
    const content = {
      from,
      reply_to: [],
      to: [{ name: null, address: to }],
      cc: [],
      bcc: [],
      subject: "Invoice 🧾",
      text: "You owe nothing.",
      html: null,
      attachments: [],
      in_reply_to: null,
      references: [],
    };
    const { headers } = identityHeaders({
      claim: {
        agent_id: "billing",
        model_id: "gpt-6",
        model_provider: "openai",
        tenant_id: this.tenant,
        oversight_mode: "monitored",
        ai_disclosure: true,
        mailbox: from.address,
        sent_at: date.toISOString(),
        nonce: randomBytes(12).toString("base64url"),
        email_id: id,
        approval_ref: null,
        approval_kind: null,
      },
      key_id: "key_of_elsewhere",
      key_is_bound: true,
      covered: {
        from: from.address,
        recipients: [to],
        date,
        message_id: `<${id}@${this.domain}>`,
        subject: content.subject,
        text: content.text,
        html: null,
        attachments_sha256: [],
      },
      key: { kid: this.kid, sign: (bytes) => new Uint8Array(sign("sha256", bytes, this.pair.privateKey)) },
      domain_key: null,
      preserves_bytes: true,
    });
    const composed = await composeMessage({
      content: {
        ...content,
        text: change.text ?? content.text,
        from: { ...from, address: change.from ?? from.address },
      },
      attachments: [],
      message_id: `<${id}@${this.domain}>`,
      date,
      extra_headers: [...(change.extra ?? []), ...headers],
    });
    return change.dkim === false ? composed : this.signed(composed);
  }

  async signed(raw: Uint8Array): Promise<Uint8Array> {
    const signature = {
      signingDomain: this.domain,
      selector: "s",
      privateKey: DKIM.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      algorithm: "rsa-sha256",
      canonicalization: "relaxed/relaxed",
    };
    const { signatures } = await dkimSign(Buffer.from(raw), { ...signature, signatureData: [signature] });
    return Buffer.concat([Buffer.from(signatures), raw]);
  }
}

async function outcomes(box: TestMailbox) {
  return (await chainOf(box)).filter(({ action }) => action.startsWith("identity."));
}

describe("mail of this deployment", () => {
  test("is verified with its own keys, without asking the DNS for any", async () => {
    const [sender, box] = [await makeMailbox({ oversight_mode: "autonomous" }), await makeMailbox()];
    const agent = { ...sender.agent, agent_id: "quotes", bound_agent_id: "quotes" };
    const change = { to: [{ name: null, address: box.mailbox.address }], agent_id: "quotes", model_id: "claude" };
    const { id } = unwrap(await sender.stub.submit(agent, submission(sender, change)));
    await runAlarm(sender);
    const [mail] = await receivedFor(box.mailbox.address);
    const { fetcher, asked } = dnsOf({});
    const email = await arrive(box, Buffer.from(mail?.raw ?? "", "latin1"), fetcher);
    expect(email).toMatchObject({
      identity_verified: true,
      agent_metadata: { agent_id: "quotes", model_id: "claude", oversight_mode: "autonomous", ai_disclosure: false },
      agent_id: null,
    });
    expect(email.identity_headers["x-multimail-agent-id"]).toBe("quotes");
    expect(Object.keys(email.identity_headers)).toContain("x-multimail-identity");
    expect(asked.filter((name) => name.startsWith("_multimail"))).toEqual([]);
    expect(await outcomes(box)).toMatchObject([
      { action: "identity.verified", detail: { reasons: [], source: "deployment", nonce_seen: false } },
    ]);
    expect(email.rfc_message_id).toContain(id);
  });

  test("from a tenant's mailbox but signed with another tenant's key is not verified", async () => {
    const [mallory, victim, box] = [
      await makeMailbox({ oversight_mode: "autonomous" }),
      await makeMailbox(),
      await makeMailbox(),
    ];
    const to = [{ name: null, address: box.mailbox.address }];
    unwrap(await mallory.stub.submit(mallory.agent, submission(mallory, { to })));
    await runAlarm(mallory);
    const [mail] = await receivedFor(box.mailbox.address);
    const forged = (mail?.raw ?? "").replaceAll(mallory.mailbox.address, victim.mailbox.address);
    const email = await arrive(box, Buffer.from(forged, "latin1"), dnsOf({}).fetcher);
    expect(email).toMatchObject({ identity_verified: false, agent_metadata: null });
  });
});

describe("mail of another deployment", () => {
  test("is verified with the key that the DKIM-verified From domain publishes", async () => {
    const [there, box] = [new Elsewhere(), await makeMailbox()];
    const { fetcher, asked } = dnsOf(there.zone());
    const email = await arrive(box, await there.message(box.mailbox.address), fetcher);
    expect(email).toMatchObject({
      dkim_result: "pass",
      identity_verified: true,
      agent_metadata: { agent_id: "billing", model_id: "gpt-6", model_provider: "openai", oversight_mode: "monitored" },
    });
    expect(asked.filter((name) => name.startsWith("_multimail"))).toEqual([`_multimail.${there.domain}`]);
    expect(await outcomes(box)).toMatchObject([{ action: "identity.verified", detail: { source: "dns" } }]);
  });

  test("finds its key among several that are published", async () => {
    const [there, box] = [new Elsewhere(), await makeMailbox()];
    const records = [new Elsewhere().record(), "v=something-else", there.record()];
    const { fetcher } = dnsOf(there.zone({ [`_multimail.${there.domain}`]: records }));
    expect((await arrive(box, await there.message(box.mailbox.address), fetcher)).identity_verified).toBe(true);
  });

  const refused: [string, (there: Elsewhere, to: string) => Promise<[Uint8Array, Record<string, unknown>]>, string][] =
    [
      ["without DKIM", async (there, to) => [await there.message(to, { dkim: false }), there.zone()], "key_unknown"],
      [
        "with a DKIM signature that is broken",
        async (there, to) => {
          const raw = Buffer.from(await there.message(to)).toString("latin1");
          return [Buffer.from(raw.replace("You owe nothing.", "You owe 1000 €.."), "latin1"), there.zone()];
        },
        "key_unknown",
      ],
      [
        "whose text was changed before DKIM",
        async (there, to) => [await there.message(to, { text: "You owe 1000." }), there.zone()],
        "body_changed",
      ],
      [
        "under another From",
        async (there, to) => [await there.message(to, { from: `ceo@${there.domain}` }), there.zone()],
        "wrong_sender",
      ],
      [
        "whose domain publishes no key",
        async (there, to) => [await there.message(to), { [`s._domainkey.${there.domain}`]: DKIM_RECORD }],
        "key_unknown",
      ],
      [
        "whose domain publishes another's key",
        async (there, to) => [
          await there.message(to),
          there.zone({ [`_multimail.${there.domain}`]: new Elsewhere().record() }),
        ],
        "key_unknown",
      ],
      [
        "whose domain does not answer",
        async (there, to) => [await there.message(to), { ...there.zone(), [`_multimail.${there.domain}`]: "broken" }],
        "lookup_failed",
      ],
      [
        "that brings its key along",
        async (there, to) => [await there.message(to, { extra: [["X-MultiMail-Jwk", "{}"]] }), there.zone()],
        "key_in_message",
      ],
      [
        "with an identity header twice",
        async (there, to) => [await there.message(to, { extra: [["X-MultiMail-Agent-Id", "ceo"]] }), there.zone()],
        "repeated",
      ],
    ];
  test.each(refused)("is not verified %s", async (_what, make, reason) => {
    const [there, box] = [new Elsewhere(), await makeMailbox()];
    const [raw, zone] = await make(there, box.mailbox.address);
    const email = await arrive(box, raw, dnsOf(zone as never).fetcher);
    expect(email).toMatchObject({ identity_verified: false, agent_metadata: null });
    const [outcome] = await outcomes(box);
    expect(outcome).toMatchObject({ action: "identity.not_verified" });
    expect(outcome?.detail?.reasons).toContain(reason);
  });

  test("no name that the message chooses is looked up but its own From domain, and only once DKIM verified it", async () => {
    const [there, box] = [new Elsewhere(), await makeMailbox()];
    const { fetcher, asked } = dnsOf({});
    await arrive(box, await there.message(box.mailbox.address, { dkim: false }), fetcher);
    expect(asked.filter((name) => name.includes("multimail"))).toEqual([]);
  });
});

test("mail without identity headers has neither verdict nor entry", async () => {
  const box = await makeMailbox();
  const raw = Buffer.from("From: ann@bank.example\r\nSubject: Hello\r\n\r\nHello\r\n");
  expect(await arrive(box, raw, dnsOf({}).fetcher)).toMatchObject({ identity_verified: null, identity_headers: {} });
  expect(await outcomes(box)).toEqual([]);
});

test("the same claim in another message is said to have come before", async () => {
  const [there, box] = [new Elsewhere(), await makeMailbox()];
  const { fetcher } = dnsOf(there.zone());
  const raw = await there.message(box.mailbox.address);
  expect((await arrive(box, raw, fetcher)).flags).not.toContain("identity_nonce_seen");
  const copy = Buffer.concat([Buffer.from("X-List: forwarded\r\n"), raw]);
  expect(await arrive(box, copy, fetcher)).toMatchObject({
    identity_verified: true,
    flags: expect.arrayContaining(["identity_nonce_seen"]),
  });
});

test("a message too large to be read whole is said not to be verified", async () => {
  const [there, box] = [new Elsewhere(), await makeMailbox()];
  const raw = await there.message(box.mailbox.address);
  const large = Buffer.concat([raw, Buffer.alloc(11 * 1024 * 1024, "x\r\n")]);
  const email = await arrive(box, large, dnsOf(there.zone()).fetcher);
  expect(email).toMatchObject({ identity_verified: false });
  expect((await outcomes(box))[0]?.detail?.reasons).toContain("too_large");
});
