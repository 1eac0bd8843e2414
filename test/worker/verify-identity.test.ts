import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { recordIdentityKeys } from "../../src/store/identity-directory.ts";
import {
  type CallOptions,
  call,
  makeTenant,
  type RefusalBody,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import {
  DOMAIN_PUBLIC_PEM,
  FINGERPRINT,
  KID,
  keyDocument,
  OTHER_PEM,
  PUBLIC_JWK,
  PUBLIC_PEM,
  type SignedMailOptions,
  signedMail,
} from "../support/signed-mail.ts";

/** `verify_identity`: anyone may ask, about any bytes, and gets a verdict. */

const PATH = "/v1/identity/verify";

interface Verdict {
  verified: boolean | null;
  reasons: { reason: string; detail: string }[];
  headers: { form: string; header: string; valid: boolean; reason: string | null }[];
  claim: Record<string, unknown> | null;
  key: { kid: string | null; fingerprint: string; source: string } | null;
  agent_metadata: Record<string, unknown> | null;
  policy: { passed: boolean; results: { rule: string; passed: boolean }[] };
}

let calls = 0;
/** Each from an address of its own: what is limited by address is another test's. */
function post<Body>(path: string, json: Record<string, unknown>, options: CallOptions = {}) {
  calls += 1;
  return call<Body>(path, { json, headers: { "cf-connecting-ip": `10.1.${calls >> 8}.${calls & 255}` }, ...options });
}

async function ask(json: Record<string, unknown>, options: CallOptions = {}): Promise<Verdict> {
  const { status, body } = await post<Verdict>(PATH, json, options);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

function reasonsOf({ reasons }: Verdict): string[] {
  return reasons.map(({ reason }) => reason);
}

let tenant: TestTenant;
/** A mail that this deployment's tenant sent. */
function ours(options: SignedMailOptions = {}): Promise<Buffer> {
  const { address } = tenant.mailbox;
  return signedMail({
    ...options,
    claim: { tenant_id: tenant.id, ...options.claim },
    content: { from: { name: null, address }, ...options.content },
  });
}

beforeAll(async () => {
  tenant = await makeTenant();
  const life = { not_before: "2026-01-01T00:00:00.000Z", retired_at: null, revoked_at: null };
  await recordIdentityKeys(env.DB, tenant.id, [
    { kid: KID, public_jwk: PUBLIC_JWK, ...life, active: true, version: 1 },
  ]);
});

describe("a whole message", () => {
  test("is verified by this deployment's keys for its From address, without any key of an API", async () => {
    const verdict = await ask({ raw_base64: (await ours()).toString("base64") });
    expect(verdict).toMatchObject({
      verified: true,
      reasons: [],
      key: { kid: KID, fingerprint: FINGERPRINT, source: "deployment" },
      claim: { agent_id: "agt_support_responder_v2", tenant_id: tenant.id },
      agent_metadata: { agent_id: "agt_support_responder_v2", oversight_mode: "gated_send", ai_disclosure: true },
      policy: { passed: true, results: [] },
    });
    expect(verdict.headers.map(({ header, valid }) => [header, valid])).toEqual([
      ["X-MultiMail-Identity", true],
      ["X-MM-Identity-Sig", true],
      ["X-MultiMail-Signature", true],
    ]);
  });

  test.each(["/v1/identity/verify", "/v1/verify_identity", "/verify_identity"])("at %s, as text", async (path) => {
    const { status, body } = await post<Verdict>(path, { raw: String(await ours()) });
    expect([status, body.verified]).toEqual([200, true]);
  });

  test("that was changed, or is of another mailbox's address, is not; and no agent is named", async () => {
    const raw = String(await ours());
    for (const changed of [raw.replace("Bob@", "Eve@"), raw.replace("X-AI-Generated: true\r\n", "")]) {
      expect(changed).not.toBe(raw);
      expect(await ask({ raw: changed })).toMatchObject({ verified: false, agent_metadata: null });
    }
  });

  test("of another tenant with the same words is not ours: its keys are not its own to choose", async () => {
    const other = await makeTenant();
    const forged = await ours({ content: { from: { name: null, address: other.mailbox.address } } });
    expect(await ask({ raw: String(forged) })).toMatchObject({ verified: false, key: null, agent_metadata: null });
  });

  test("from an address that is nobody's here has no key", async () => {
    const verdict = await ask({ raw: String(await signedMail()) });
    expect([verdict.verified, reasonsOf(verdict), verdict.key]).toEqual([false, ["key_unknown"], null]);
  });

  test("without identity headers is neither", async () => {
    expect(await ask({ raw: "From: a@b.example\r\nSubject: Hi\r\n\r\nHello" })).toMatchObject({
      verified: null,
      reasons: [],
      headers: [],
      claim: null,
    });
  });
});

describe("the key that a reader gives", () => {
  const FORMS: [string, unknown][] = [
    ["PEM", PUBLIC_PEM],
    ["JWK as text", JSON.stringify(PUBLIC_JWK)],
    ["JWK as an object", PUBLIC_JWK],
    ["JWKS", { keys: [PUBLIC_JWK] }],
    ["key document", keyDocument(["agents.example.com"])],
  ];
  test.each(FORMS)("as %s", async (_name, key) => {
    const verdict = await ask({ raw: String(await signedMail()), key });
    expect([verdict.verified, verdict.key?.source]).toEqual([true, "given"]);
  });

  test("with the domain's Ed25519 key beside it, for the domain-bound form", async () => {
    const raw = String(await signedMail({ domain_form: true }));
    expect((await ask({ raw, key: PUBLIC_PEM })).verified).toBe(false);
    expect((await ask({ raw, key: PUBLIC_PEM + DOMAIN_PUBLIC_PEM })).verified).toBe(true);
  });

  test("stands in the place of this deployment's: theirs do not count beside it", async () => {
    const verdict = await ask({ raw: String(await ours()), key: OTHER_PEM });
    expect([verdict.verified, verdict.key]).toEqual([false, null]);
    const elsewhere = await ask({ raw: String(await ours()), key: keyDocument(["other.example"]) });
    expect(reasonsOf(elsewhere)).toContain("foreign_domain");
  });

  const NO_KEYS: [string, unknown][] = [
    ["no key", "hello"],
    ["of another curve", DOMAIN_PUBLIC_PEM],
    ["of another curve, as a JWK", { kty: "EC", crv: "P-384", x: "AA", y: "AA" }],
    ["off the curve", { ...PUBLIC_JWK, x: PUBLIC_JWK.y }],
    ["private", { ...PUBLIC_JWK, d: "AA" }],
    ["a list", [PUBLIC_JWK]],
    ["too large", "x".repeat(70_000)],
    ["deep", JSON.parse(`${'{"keys":['.repeat(10)}1${"]}".repeat(10)}`)],
  ];
  test.each(NO_KEYS)("that is %s gives a verdict with the reason", async (_name, key) => {
    const verdict = await ask({ raw: String(await signedMail()), key });
    expect([verdict.verified, verdict.key]).toEqual([false, null]);
    expect(verdict.reasons[0]).toMatchObject({ reason: "key_unknown" });
    expect(verdict.reasons[0]?.detail).toMatch(/^The key that was given cannot be used\. \S/);
  });
});

/** What a program keeps of a received message. */
function pieces(raw: Buffer): { headers: [string, string][] } {
  const [head = ""] = raw.toString().split("\r\n\r\n");
  const fields = head.replace(/\r\n[ \t]+/g, " ").split("\r\n");
  return { headers: fields.map((field) => [field.slice(0, field.indexOf(":")), field.slice(field.indexOf(":") + 2)]) };
}

describe("headers and bodies", () => {
  const text = "Hello Ana,\n\nthe order is on its way. ✓\n";
  const html = "<p>Hello Ana,</p><p>the order is on its way. ✓</p>";
  const file = "an offer";
  const sha256 = createHash("sha256").update(file).digest("hex");
  const content_base64 = Buffer.from(file).toString("base64");
  let headers: [string, string][];
  beforeAll(async () => {
    ({ headers } = pieces(await signedMail({ files: { "offer.bin": file } })));
  });

  test("verify as a list or as a map, with the text under either name and files as bytes or hashes", async () => {
    const map = Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]));
    const inputs = [
      { headers, text, html, attachments: [{ content_base64 }] },
      { headers: map, body: text, html, attachments: [{ sha256 }] },
      { headers: Object.fromEntries(headers.map(([n, v]) => [n, [v]])), text, html, attachments: [{ sha256 }] },
    ];
    for (const input of inputs) expect(await ask({ ...input, key: PUBLIC_PEM })).toMatchObject({ verified: true });
  });

  test.each([
    ["another text", { text: `${text}!` }],
    ["another HTML body", { html: `${html}!` }],
    ["no HTML body", { html: undefined }],
    ["another file", { attachments: [{ content_base64: "AAAA" }] }],
    ["no file", { attachments: [] }],
    ["one file more", { attachments: [{ sha256 }, { sha256 }] }],
    ["a file that is no base64", { attachments: [{ content_base64: "%%%" }] }],
  ])("with %s do not", async (_name, change) => {
    const whole = { headers, text, html, attachments: [{ sha256 }], key: PUBLIC_PEM };
    expect((await ask({ ...whole, ...change })).verified).toBe(false);
  });

  test("a file that is no base64 does not pass for an empty one", async () => {
    const empty = pieces(await signedMail({ files: { "empty.bin": "" } }));
    const whole = { ...empty, text, html, key: PUBLIC_PEM };
    expect((await ask({ ...whole, attachments: [{ content_base64: "" }] })).verified).toBe(true);
    expect((await ask({ ...whole, attachments: [{ content_base64: "%%%" }] })).verified).toBe(false);
  });

  test("a header that stands there twice makes it unverified", async () => {
    const twice = [...headers, ["From", "Evil <evil@other.example>"]];
    const verdict = await ask({ headers: twice, text, html, attachments: [{ sha256 }], key: PUBLIC_PEM });
    expect([verdict.verified, reasonsOf(verdict).includes("repeated")]).toEqual([false, true]);
  });
});

describe("whatever the bytes, there is a verdict and not an error", () => {
  const b64 = (text: string) => Buffer.from(text, "latin1").toString("base64");
  const ODD: [string, Record<string, unknown>][] = [
    ["nothing", { raw: "" }],
    ["no message", { raw: "hello" }],
    ["no base64", { raw_base64: "%%% not base64 %%%" }],
    ["binary", { raw_base64: Buffer.alloc(100_000, 255).toString("base64") }],
    ["NULs", { raw_base64: b64(`X-MultiMail-Signature: 30\0\r\nFrom: a@b.example\r\n\r\n\0`) }],
    ["a header of 100 KB", { raw: `X-MultiMail-Signature: ${"a".repeat(100_000)}\r\nFrom: a@b.example\r\n\r\nx` }],
    [
      "a header of 100 KB as a field",
      { headers: { "X-MultiMail-Identity": "a".repeat(100_000), From: "a@b.example" } },
    ],
    ["base64 garbage in headers", { raw: "X-MultiMail-Identity: %%%.===\r\nX-MM-Identity-Sig: ;;;=\r\n\r\nx" }],
    [
      "an array where an object belongs",
      { raw: `X-MultiMail-Identity: ${Buffer.from("[1]").toString("base64url")}.MEUC\r\n\r\nx` },
    ],
    ["deep JSON", { raw: `X-MultiMail-Identity: ${Buffer.from("[".repeat(500)).toString("base64url")}.MEUC\r\n\r\nx` }],
    ["no headers", { headers: [] }],
    [
      "header names that are none",
      {
        headers: [
          ["", "x"],
          [" : ", "y"],
          ["X-MultiMail-Signature", "30"],
        ],
      },
    ],
    ["a From that is no address", { headers: { From: "<<<@@@>>>", "X-MultiMail-Signature": "30" } }],
    ["ten thousand headers", { headers: Array.from({ length: 10_000 }, () => ["X-MM-Identity-Sig", "sig=AA"]) }],
  ];
  test.each(ODD)("%s", async (_name, input) => {
    const verdict = await ask(input);
    expect(verdict.verified).not.toBe(true);
    expect(verdict.agent_metadata).toBeNull();
    if (verdict.verified === false) expect(verdict.reasons.length).toBeGreaterThan(0);
  });
});

describe("what the reader demands", () => {
  test("each rule is answered, and the policy passes only if all do", async () => {
    const raw = String(await signedMail());
    const policy = {
      max_age: 60,
      expected_agent: "agt_support_responder_v2",
      allowed_modes: ["gated_send", "gated_all"],
      ai_disclosure: true,
      require_approval: true,
      seen_nonces: ["another"],
    };
    const verdict = await ask({ raw, key: PUBLIC_PEM, policy });
    expect(Object.fromEntries(verdict.policy.results.map(({ rule, passed }) => [rule, passed]))).toEqual({
      ...{ age: false, agent: true, mode: true, disclosure: true, approval: true, nonce: true },
    });
    expect([verdict.verified, verdict.policy.passed]).toEqual([true, false]);
    const { max_age: _age, ...lasting } = policy;
    expect((await ask({ raw, key: PUBLIC_PEM, policy: lasting })).policy.passed).toBe(true);
    const seen = { ...lasting, seen_nonces: ["0Zk3bq8mJm1pQm9t"] };
    expect((await ask({ raw, key: PUBLIC_PEM, policy: seen })).policy.passed).toBe(false);
  });

  test("a message that is not verified passes none", async () => {
    const verdict = await ask({ raw: String(await signedMail()), key: OTHER_PEM, policy: { require_approval: true } });
    expect(verdict.policy).toMatchObject({ passed: false, results: [{ rule: "approval", passed: false }] });
  });
});

describe("calls that cannot be meant", () => {
  const BAD: [string, Record<string, unknown>, number, string][] = [
    ["nothing to check", {}, 422, "raw"],
    ["two messages", { raw: "x", raw_base64: "eA==" }, 422, "raw_base64"],
    ["a body beside a whole message", { raw: "x", text: "y" }, 422, "text"],
    ["two texts", { headers: [], text: "x", body: "y" }, 422, "body"],
    ["a number as the message", { raw: 1 }, 422, "raw"],
    ["a header of a wrong type", { headers: { From: 1 } }, 422, "headers.From"],
    ["a number as the key", { raw: "x", key: 7 }, 422, "key"],
    ["an unknown mode", { raw: "x", policy: { allowed_modes: ["gated"] } }, 422, "policy.allowed_modes.0"],
    ["a rule that is none", { raw: "x", policy: { trusted: true } }, 422, "policy.trusted"],
    ["more than 10 MiB", { raw: "x".repeat(10 * 1024 * 1024 + 1) }, 413, "raw"],
  ];
  test.each(BAD)("%s", async (_name, json, status, path) => {
    const answer = await post<RefusalBody>(PATH, json);
    expect([answer.status, answer.body.issues?.map((issue) => issue.path)]).toEqual([status, [path]]);
  });

  test("ten MiB are taken", async () => {
    const octets = 10 * 1024 * 1024;
    const head = "From: a@b.example\r\n\r\n";
    const raw = head + `${"x".repeat(76)}\r\n`.repeat(Math.floor((octets - head.length) / 78));
    expect((await ask({ raw_base64: Buffer.from(raw.padEnd(octets, "x")).toString("base64") })).verified).not.toBe(
      true,
    );
  });

  test("a key that is sent must be valid all the same", async () => {
    expect((await post(PATH, { raw: "x" }, { key: "mm_live_nobody" })).status).toBe(401);
  });

  test("nothing is stored, and no name is looked up", async () => {
    const before = await storedCounts();
    const offline = { ...env, DOH_URL: "http://127.0.0.1:9/never" } as typeof env;
    const raw = String(await signedMail());
    expect(await ask({ raw }, { env: offline as unknown as NonNullable<CallOptions["env"]> })).toMatchObject({
      verified: false,
    });
    expect(await storedCounts()).toEqual(before);
  });
});
