import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compactVerify, createLocalJWKSet } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { auditLogOf } from "../../dev/audit-log.ts";
import { multimailVerify } from "../../dev/multimail-command.ts";
import type { KeptMail } from "../../dev/outbox.ts";
import { CUSTOMER_DOMAIN, type Sender, sign } from "../../dev/senders.ts";
import { until } from "../../dev/until.ts";
import { worldPaths } from "../../dev/world-files.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import { AGENT_ID, IdentityWorld, MODEL, reasonsOf } from "./identity-world.ts";

/** An agent's identity from its first mail to whoever checks it: over HTTP, SMTP and DNS, and with the command line. */

const ALICE = `alice@${CUSTOMER_DOMAIN}`;
const MESSAGE = {
  to: ALICE,
  subject: "Invoice 100",
  markdown: "Dear Alice,\n\nyou owe **100** euros.",
  attachments: [{ name: "invoice.pdf", content_base64: Buffer.from("100 euros in all").toString("base64") }],
};

let world: IdentityWorld;
/** Sent by an agent alone, and one that was approved. */
const mails: Partial<Record<"autonomous" | "gated_send", KeptMail & { id: string }>> = {};

function mailFrom(mode: "autonomous" | "gated_send"): KeptMail & { id: string } {
  const mail = mails[mode];
  if (!mail) throw new Error(`nothing was sent from ${mode}`);
  return mail;
}

beforeAll(async () => {
  world = await IdentityWorld.start();
  for (const mode of ["autonomous", "gated_send"] as const) {
    const id = await world.send(mode, MESSAGE);
    if (mode === "gated_send") await world.decide(id, "approve");
    mails[mode] = { id, ...(await world.delivered(id, ALICE)) };
  }
}, 240_000);

afterAll(() => world?.stop());

const domain = () => world.mailbox("autonomous").address.split("@")[1] ?? "";
const keyPath = () => `/v1/identity/public-key?tenant_id=${world.tenantId}`;

/** The key that the world's DNS publishes for the mail domain, as SPKI PEM. */
function keyInDns(): { pem: string; fingerprint: string | undefined } {
  const zones: Record<string, { TXT: string[] }> = JSON.parse(readFileSync(world.world.zones_file, "utf8"));
  const tags = new Map(
    (zones[`_multimail.${domain()}`]?.TXT[0] ?? "").split("; ").map((tag) => {
      const [name = "", ...value] = tag.split("=");
      return [name, value.join("=")];
    }),
  );
  const pem = `-----BEGIN PUBLIC KEY-----\n${tags.get("p")}\n-----END PUBLIC KEY-----\n`;
  return { pem, fingerprint: tags.get("fp") };
}

/** How one gets at a key, and what is in the file then. */
const KEYS: [string, () => Promise<string> | string][] = [
  ["PEM", async () => (await world.published(`${keyPath()}&format=pem`)).text],
  [
    "JWK",
    async () => {
      const { kty, crv, x, y, kid } = JSON.parse((await world.published(keyPath())).text);
      return JSON.stringify({ kty, crv, x, y, kid });
    },
  ],
  ["key document", async () => (await world.published(keyPath())).text],
  [
    "well-known key",
    async () => (await world.published(`/.well-known/multimail-signing-key?tenant_id=${world.tenantId}`)).text,
  ],
  ["JWK set", async () => (await world.published(`/.well-known/jwks.json?tenant_id=${world.tenantId}`)).text],
  ["TXT record", () => keyInDns().pem],
];

describe("a delivered mail", () => {
  it.each(KEYS)("verifies offline with the %s that the world publishes", async (_what, key) => {
    const file = world.write("key", await key());
    const verdicts = await multimailVerify(
      ...[mailFrom("autonomous").file, mailFrom("gated_send").file],
      ...["--key", file, "--domain", domain()],
    );
    expect(verdicts.map(({ verified, key }) => [verified, key?.fingerprint])).toEqual([
      [true, keyInDns().fingerprint],
      [true, keyInDns().fingerprint],
    ]);
  });

  it("says which agent wrote it with which model, in which mode, and who let it go", async () => {
    const key = await world.keyDocument();
    const [alone, approved] = await multimailVerify(
      mailFrom("autonomous").file,
      mailFrom("gated_send").file,
      "--key",
      key,
    );
    const common = { agent_id: AGENT_ID, ...MODEL, tenant_id: world.tenantId, ai_disclosure: true };
    expect(alone?.agent_metadata).toMatchObject({
      ...common,
      ...{ oversight_mode: "autonomous", approval_ref: null, approval_kind: null, email_id: mailFrom("autonomous").id },
    });
    expect(approved?.agent_metadata).toMatchObject({
      ...common,
      ...{ oversight_mode: "gated_send", approval_kind: "key", email_id: mailFrom("gated_send").id },
      approval_ref: expect.stringMatching(/^apr_/),
    });
  });

  /** One byte: what stands there, and what stands there then; the first occurrence after `from`. */
  const changes: [string, { after?: string; byte: [string, string] }, string[]][] = [
    ["text", { byte: ["owe 100 euros", "owe 900 euros"] }, ["body_changed", "signature_invalid"]],
    ["HTML", { byte: ["<strong>100", "<strong>900"] }, ["signature_invalid"]],
    ["subject", { byte: ["Subject: Invoice 100", "Subject: Invoice 900"] }, ["signature_invalid"]],
    ["From address", { byte: ["<autonomous@", "<autonomoux@"] }, ["signature_invalid", "wrong_sender"]],
    [
      "From domain",
      { byte: ["<autonomous@agents.", "<autonomous@agentz."] },
      ["foreign_domain", "signature_invalid", "wrong_sender"],
    ],
    ["recipient", { byte: [`To: ${ALICE}`, `To: b${ALICE.slice(1)}`] }, ["signature_invalid"]],
    ["attachment", { after: "invoice.pdf", byte: ["MTAw", "OTAw"] }, ["signature_invalid"]],
    [
      "agent",
      { byte: ["X-MultiMail-Agent-Id: order-desk", "X-MultiMail-Agent-Id: order-desc"] },
      ["disagrees", "signature_invalid"],
    ],
    ["name of a header", { byte: ["\r\nDate: ", "\r\ndate: "] }, []],
  ];

  it.each(changes)("of which one byte of its %s was changed", async (_what, { after = "", byte }, reasons) => {
    const raw = mailFrom("autonomous").raw.toString("latin1");
    const at = raw.indexOf(byte[0], raw.indexOf(after));
    expect(at).toBeGreaterThan(0);
    const changed = raw.slice(0, at) + byte[1] + raw.slice(at + byte[0].length);
    const file = world.write("changed.eml", Buffer.from(changed, "latin1"));
    const [verdict] = await multimailVerify(file, "--key", await world.keyDocument());
    expect(verdict && [verdict.verified, reasonsOf(verdict)]).toEqual([reasons.length === 0, reasons]);
    if (reasons.length > 0) expect(verdict?.agent_metadata).toBeNull();
  });
});

describe("a mailbox of the world that gets such a mail", () => {
  it("is told who wrote it, and the audit log has that it was verified", async () => {
    const { raw } = mailFrom("autonomous");
    const email = await world.receive("gated_send", raw);
    expect(email).toMatchObject({
      identity_verified: true,
      agent_metadata: { agent_id: AGENT_ID, ...MODEL, oversight_mode: "autonomous", ai_disclosure: true },
      identity_headers: { "x-multimail-agent-id": AGENT_ID, "x-multimail-tenant": world.tenantId },
    });
    const entry = await auditEntry("gated_send", email.id);
    expect(entry).toMatchObject({
      action: "identity.verified",
      actor: { type: "system" },
      detail: {
        source: "deployment",
        reasons: [],
        forms: ["compact:valid", "identity_sig:valid", "message_signature:valid"],
      },
    });
  });

  it("is told that mail without an identity has none", async () => {
    const email = await world.receive("gated_send", await fromCustomer([]), ALICE);
    expect(email).toMatchObject({ identity_verified: null, agent_metadata: null, dkim_result: "pass" });
  });
});

async function auditEntry(mode: Mode, emailId: string) {
  return until("the verification in the audit log", async () =>
    (await auditLogOf(world.admin, world.mailbox(mode).id)).find(
      ({ action, resource }) => action.startsWith("identity.") && resource.id === emailId,
    ),
  );
}

/** The identity headers of a mail that was delivered, as they stand in it. */
function identityLines(): string[] {
  return (
    mailFrom("autonomous")
      .raw.toString("latin1")
      .match(/^X-(?:MultiMail|MM|AI)-\S+: .*$/gm) ?? []
  );
}

/** A mail of the customer's own, with its valid DKIM signature, and these header lines on top. */
async function fromCustomer(lines: string[], change: { from?: string } = {}): Promise<Buffer> {
  const head = [...lines, `From: ${change.from ?? ALICE}`, `To: ${ALICE}`, "Subject: Invoice 100"];
  const id = `<${crypto.randomUUID()}@${CUSTOMER_DOMAIN}>`;
  const rest = [
    `Message-ID: ${id}`,
    `Date: ${new Date().toUTCString().replace("GMT", "+0000")}`,
    "",
    "You owe 900.",
    "",
  ];
  const customer: Sender = JSON.parse(
    readFileSync(join(worldPaths(join(world.files, "world")).senders, `${CUSTOMER_DOMAIN}.json`), "utf8"),
  );
  return sign(customer, Buffer.from([...head, ...rest].join("\r\n")));
}

describe("a forgery, signed by customer.example's own valid DKIM, with the identity headers of a real mail on it", () => {
  it.each<[string, string | undefined, string, string]>([
    ["under its own name", undefined, "key_unknown", "pass"],
    // A signature of another domain than From's is no DKIM of that mail.
    ["under the agent's name", "autonomous@agents.example", "signature_invalid", "none"],
  ])("%s is not verified", async (_what, from, reason, dkim) => {
    const raw = await fromCustomer(identityLines(), from === undefined ? {} : { from });
    const email = await world.receive("gated_send", raw, ALICE);
    expect(email).toMatchObject({ identity_verified: false, agent_metadata: null, dkim_result: dkim });
    const entry = await auditEntry("gated_send", email.id);
    expect([entry.action, entry.detail.reasons]).toEqual(["identity.not_verified", expect.arrayContaining([reason])]);
  });

  it("is not verified either where customer.example publishes the agent's key as its own", async () => {
    const zones = JSON.parse(readFileSync(world.world.zones_file, "utf8"));
    const copied = { ...zones, [`_multimail.${CUSTOMER_DOMAIN}`]: zones[`_multimail.${domain()}`] };
    writeFileSync(world.world.zones_file, JSON.stringify(copied));
    const pasted = await world.receive("gated_send", await fromCustomer(identityLines()), ALICE);
    expect(pasted).toMatchObject({ identity_verified: false, agent_metadata: null });
    const { detail } = await auditEntry("gated_send", pasted.id);
    expect(detail).toMatchObject({
      source: "dns",
      reasons: expect.arrayContaining(["wrong_sender", "signature_invalid"]),
    });
    writeFileSync(world.world.zones_file, JSON.stringify(zones));
  });
});

describe("when the key is rotated while mail is under way", () => {
  const sent: string[] = [];
  let rotation: { kid: string; replaced: { kid: string } };
  let files: string[];

  beforeAll(async () => {
    const send = (count: number) => Array.from({ length: count }, () => world.send("autonomous", MESSAGE));
    const before = send(6);
    const rotated = world.admin("POST", "/v1/identity/rotate", {});
    sent.push(...(await Promise.all([...before, ...send(6)])));
    const answer = await rotated;
    expect(answer.status).toBe(200);
    rotation = answer.body as typeof rotation;
    sent.push(await world.send("autonomous", MESSAGE));
    files = (await Promise.all(sent.map((id) => world.delivered(id, ALICE)))).map(({ file }) => file);
  }, 120_000);

  it("each of them leaves once and verifies with the published keys, and so does what was sent before", async () => {
    for (const id of sent) expect(await world.outbox(id, ALICE)).toHaveLength(1);
    const old = mailFrom("gated_send").file;
    const verdicts = await multimailVerify(...files, old, "--key", await world.keyDocument());
    expect(verdicts.map(({ verified, reasons }) => [verified, reasons])).toEqual(verdicts.map(() => [true, []]));
    const kids = verdicts.map(({ key }) => key?.kid);
    expect(new Set(kids)).toEqual(new Set([rotation.kid, rotation.replaced.kid]));
    expect([kids.at(-2), kids.at(-1)]).toEqual([rotation.kid, rotation.replaced.kid]);
  });

  it("the new key alone verifies what is sent since, and not what was before", async () => {
    const pem = world.write("new.pem", (await world.published(`${keyPath()}&format=pem`)).text);
    const verdicts = await multimailVerify(files.at(-1) ?? "", mailFrom("autonomous").file, "--key", pem);
    expect(verdicts.map(({ verified }) => verified)).toEqual([true, false]);
  });

  it("the old key is still published under its name, retired and not revoked", async () => {
    const old = JSON.parse((await world.published(`${keyPath()}&kid=${rotation.replaced.kid}`)).text);
    const life = old.keys.find(({ kid }: { kid: string }) => kid === rotation.replaced.kid);
    expect([old.kid, life.revoked_at]).toEqual([rotation.replaced.kid, null]);
    expect(Date.parse(life.retired_at)).toBeGreaterThan(0);
  });

  it("a mailbox of the world still verifies what was signed with the old key", async () => {
    const email = await world.receive("monitored", mailFrom("gated_send").raw);
    expect(email).toMatchObject({ identity_verified: true, agent_metadata: { oversight_mode: "gated_send" } });
  });

  it("receipts of before and after verify with a JOSE library and the published set", async () => {
    const keys = createLocalJWKSet(
      JSON.parse((await world.published(`/.well-known/jwks.json?tenant_id=${world.tenantId}`)).text),
    );
    for (const id of [mailFrom("gated_send").id, sent.at(-1) ?? ""]) {
      const answer = await world.agent("GET", `/v1/emails/${id}/identity-receipt`);
      const { jws, ...fields } = answer.body as { jws: string; payload: object };
      const { payload, protectedHeader } = await compactVerify(jws, keys, { algorithms: ["ES256"] });
      expect(protectedHeader).toMatchObject({ typ: "multimail-receipt+jwt", alg: "ES256" });
      expect(JSON.parse(Buffer.from(payload).toString())).toEqual(fields);
      expect(fields).toMatchObject({ verified: true, issuer: world.world.base_url, payload: { email_id: id } });
      const [head, , tail] = jws.split(".");
      const forged = [head, Buffer.from(JSON.stringify({ ...fields, kid: "x" })).toString("base64url"), tail].join(".");
      await expect(compactVerify(forged, keys)).rejects.toThrow(/signature verification failed/);
    }
  });
});

it.each([
  ["a tenant", () => "/v1/identity/public-key?tenant_id=ten_01HX0000000000000000000001"],
  ["a tenant, as PEM", () => "/v1/identity/public-key?tenant_id=nobody&format=pem"],
  ["a key", () => `${keyPath()}&kid=idk_01HX0000000000000000000009`],
  ["an agent", () => `/v1/identity/pubkey/nobody?tenant_id=${world.tenantId}`],
  ["an agent of nobody", () => "/v1/identity/pubkey/order-desk?tenant_id=ten_01HX0000000000000000000001"],
  ["an agent's domain", () => "/v1/identity/pubkey/order-desk?domain=customer.example"],
  ["a tenant's well-known key", () => "/.well-known/multimail-signing-key?tenant_id=nobody"],
  ["a tenant's JWK set", () => "/.well-known/jwks.json?tenant_id=nobody"],
])("%s that is not there is a 404 in JSON, the same for all", async (_what, path) => {
  const { status, type, text } = await world.published(path());
  expect([status, type?.split(";")[0]]).toEqual([404, "application/json"]);
  expect(JSON.parse(text)).toEqual({ error: expect.any(String), code: "not_found" });
});

/** A message that stays: how, by what it is known in the audit log, and what makes it so. */
interface Staying {
  mode: "autonomous" | "gated_send";
  action: string;
  make: (to: string) => Promise<string>;
}

const STAYING: Record<string, Staying> = {
  waits: { mode: "gated_send", action: "message.held", make: (to) => world.send("gated_send", { ...MESSAGE, to }) },
  "is rejected": {
    mode: "gated_send",
    action: "decision.rejected",
    async make(to) {
      const id = await world.send("gated_send", { ...MESSAGE, to });
      await world.decide(id, "reject");
      return id;
    },
  },
  "is cancelled": {
    mode: "gated_send",
    action: "message.cancelled",
    async make(to) {
      const id = await world.send("gated_send", { ...MESSAGE, to });
      const path = `/v1/mailboxes/${world.mailbox("gated_send").id}/emails/${id}/cancel`;
      expect((await world.agent("POST", path, {})).status).toBe(200);
      return id;
    },
  },
  "is blocked": {
    mode: "autonomous",
    action: "message.blocked",
    async make(to) {
      const path = `/v1/mailboxes/${world.mailbox("autonomous").id}`;
      expect((await world.admin("PUT", `${path}/policy`, { blocklist: [to.split("@")[1]] })).status).toBe(200);
      return ((await world.agent("POST", `${path}/send`, { ...MESSAGE, to })).body as { id: string }).id;
    },
  },
  "the relay refuses": {
    mode: "autonomous",
    action: "delivery.answered",
    make: (to) => world.send("autonomous", { ...MESSAGE, to: `refuse-550.${to}` }),
  },
};

/** What the audit log says of a message, the newest entry first and personal fields included, once it has that action. */
async function logOf(emailId: string, action: string): Promise<{ action: string; personal?: object }[]> {
  return until(`${action} of ${emailId} in the audit log`, async () => {
    const { body } = await world.admin("GET", `/v1/audit-log?email_id=${emailId}&limit=100`);
    const { entries } = body as { entries: { action: string; personal?: object }[] };
    return entries.some((entry) => entry.action === action) ? entries : null;
  });
}

/** @returns the files of the outbox that are of that message, or went to that address. */
function inOutbox(id: string, to: string): string[] {
  const dir = world.world.outbox_dir;
  return readdirSync(dir).filter((file) => {
    const text = readFileSync(join(dir, file), "utf8");
    return file.endsWith(".json") ? JSON.parse(text).to.includes(to) : text.includes(`Message-ID: <${id}@`);
  });
}

const SIGNED = /"(?:signatures|message_signature)":|"identity_kid":"|"dkim_selectors":\["/;

describe("nothing is signed for a message that does not leave", () => {
  it.each(Object.entries(STAYING))("one that %s", async (how, { mode, action, make }) => {
    const to = `nobody@${how.replace(/\W/g, "-")}.example`;
    const id = await make(to);
    // What is sent after it from the same mailbox has left: had it been handed over, it were there too.
    const later = await world.send(mode, { ...MESSAGE, subject: `After one that ${how}` });
    if (mode === "gated_send") await world.decide(later, "approve");
    await world.delivered(later, ALICE);
    expect(JSON.stringify(await logOf(id, action))).not.toMatch(SIGNED);
    expect(inOutbox(id, to)).toEqual([]);
    expect((await world.agent("GET", `/v1/emails/${id}/identity-receipt`)).status).toBe(409);
  });

  it("and the same search finds what was sent", async () => {
    const { id } = mailFrom("gated_send");
    expect(JSON.stringify(await logOf(id, "delivery.answered"))).toMatch(SIGNED);
    expect(inOutbox(id, ALICE).length).toBeGreaterThan(0);
  });
});
