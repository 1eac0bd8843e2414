import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { compactVerify, importJWK } from "jose";
import { describe, expect, test } from "vitest";
import { base64Bytes, fromBase64, fromBase64url, toBase64, toBase64url } from "../../src/identity/encoding.ts";
import { identityHeaders } from "../../src/identity/identity-headers.ts";
import { applyPolicy } from "../../src/identity/policy.ts";
import {
  fingerprintOf,
  fingerprintOfEd25519,
  jwkOfSpki,
  publicKeyPem,
  readEd25519,
  readPublicKey,
  readTrustedKeys,
  UnreadableKey,
} from "../../src/identity/public-keys.ts";
import { makeReceipt } from "../../src/identity/receipt.ts";
import { rawOfDer, verifyP256 } from "../../src/identity/signatures.ts";
import { identityTxtRecord, readIdentityTxtRecord } from "../../src/identity/txt-record.ts";
import type { IdentityPolicy, PolicyResult } from "../../src/identity/verdict.ts";
import { verifyMessage } from "../../src/identity/verify-message.ts";
import {
  CLAIM,
  DATE,
  identityInput,
  KID,
  otherKey,
  sent,
  signingKey,
  trusted,
  VECTORS,
} from "../support/identity-signer.ts";

const { public_jwk: JWK, public_pem: PEM, fingerprint: FINGERPRINT } = VECTORS.p256;
const pemOf = (key: KeyObject) =>
  key.export({ type: key.type === "public" ? "spki" : "pkcs8", format: "pem" }).toString();
const bytes = (text: string) => new TextEncoder().encode(text);
const LIFELESS = { kid: null, not_before: null, retired_at: null, revoked_at: null };

describe("a public key", () => {
  const document = {
    ...JWK,
    kid: KID,
    alg: "ES256",
    use: "sig",
    tenant_id: "ten_1",
    fingerprint: FINGERPRINT,
    domains: ["A.example"],
  };
  const life = { not_before: "2026-01-01T00:00:00.000Z", retired_at: null, revoked_at: "2026-02-01T00:00:00Z" };

  test.each<[string, string, object]>([
    ["PEM", PEM, LIFELESS],
    ["PEM with text around it", `Bag\r\n${PEM.replaceAll("\n", "\r\n")}\r\n`, LIFELESS],
    ["a JWK", JSON.stringify(JWK), LIFELESS],
    ["a JWK with its kid", ` ${JSON.stringify({ ...JWK, kid: "k", use: "sig" })}`, { ...LIFELESS, kid: "k" }],
    [
      "a JWKS with other keys in it",
      JSON.stringify({
        keys: [
          { kty: "RSA", n: "", e: "" },
          { ...JWK, kid: "k" },
        ],
      }),
      { ...LIFELESS, kid: "k" },
    ],
    ["a key document", JSON.stringify({ ...document, keys: [{ ...JWK, kid: KID, ...life }] }), { kid: KID, ...life }],
  ])("is read from %s", (_name, text, rest) => {
    expect(readPublicKey(text)).toEqual([{ ...JWK, ...rest }]);
  });

  test("of a key document comes with whose it is and where they write from", () => {
    const text = JSON.stringify({ ...document, keys: [{ ...JWK, kid: KID, ...life }] });
    expect(readTrustedKeys(text)).toMatchObject({ tenant_id: "ten_1", domains: ["a.example"], ed25519: [] });
    expect(readTrustedKeys(PEM)).toMatchObject({ tenant_id: null, domains: null });
  });

  test("written again is the same", () => {
    expect(publicKeyPem(JWK)).toBe(PEM);
    expect(fingerprintOf(JWK)).toBe(FINGERPRINT);
    expect(readPublicKey(PEM + PEM)).toHaveLength(2);
  });

  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const k256 = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
  const ed25519 = generateKeyPairSync("ed25519");
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const y = toBase64url(
    Uint8Array.from(fromBase64url(JWK.y) ?? [], (octet, index) => (index === 31 ? octet ^ 1 : octet)),
  );
  test.each<[string, string]>([
    ["nothing", ""],
    ["a sentence", "my key"],
    ["a number", "1"],
    ["a list", JSON.stringify([JWK])],
    ["a list in a list", "[".repeat(60_000)],
    ["an object of nothing", "{}"],
    ["broken JSON", '{"kty":'],
    ["another curve", pemOf(p384.publicKey)],
    ["a curve that looks alike", pemOf(k256.publicKey)],
    ["an Ed25519 key", pemOf(ed25519.publicKey)],
    ["an RSA key", pemOf(rsa.publicKey)],
    ["a private key", VECTORS.p256.private_pkcs8_pem],
    ["a private key beside the public one", PEM + VECTORS.p256.private_pkcs8_pem],
    ["a private JWK", JSON.stringify({ ...JWK, d: "AA" })],
    ["a private key in a set", JSON.stringify({ keys: [JWK, { ...JWK, d: "AA" }] })],
    ["a secret", JSON.stringify({ kty: "oct", k: "AA" })],
    ["a JWK of another curve", JSON.stringify({ ...JWK, crv: "P-384" })],
    ["a point off the curve", JSON.stringify({ ...JWK, y })],
    ["a coordinate that is not canonical", JSON.stringify({ ...JWK, x: `${JWK.x.slice(0, -1)}Z` })],
    ["a coordinate with padding", JSON.stringify({ ...JWK, x: `${JWK.x}=` })],
    ["a coordinate that is a list", JSON.stringify({ ...JWK, x: [JWK.x] })],
    ["a kid that is a number", JSON.stringify({ ...JWK, kid: 1 })],
    ["a time that is none", JSON.stringify({ ...JWK, not_before: "2026-13-01T00:00:00Z" })],
    ["keys that are no list", JSON.stringify({ keys: JWK })],
    ["an empty set", JSON.stringify({ keys: [] })],
    ["a set of numbers", JSON.stringify({ keys: [1] })],
    [
      "more keys than are read",
      JSON.stringify({ keys: Array.from({ length: 101 }, () => ({ kty: "EC", crv: "P-256" })) }),
    ],
    ["domains that are no list", JSON.stringify({ ...JWK, domains: "a.example" })],
    ["PEM cut short", PEM.slice(0, -30)],
    ["PEM with other characters", PEM.replace("MFkw", "MF*w")],
    ["more than 64 KiB", PEM + " ".repeat(64 * 1024)],
    ["a certificate", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"],
  ])("is not read from %s", (_name, text) => {
    expect(() => readPublicKey(text)).toThrow(UnreadableKey);
  });

  test("that is private is refused with what to do", () => {
    expect(() => readPublicKey(VECTORS.p256.private_pkcs8_pem)).toThrow(
      expect.objectContaining({ message: "This is a private key.", hint: expect.stringContaining("public key") }),
    );
  });

  test("compressed or with something after it is not read from DER", () => {
    const der = fromBase64(PEM.replace(/-----.*-----|\s/g, "")) ?? new Uint8Array();
    expect(jwkOfSpki(der)).toEqual(JWK);
    const compressed = Uint8Array.from([...der.slice(0, 26), 0x02, ...der.slice(27, 59)]);
    for (const wrong of [compressed, Uint8Array.from([...der, 0]), der.slice(0, -1), new Uint8Array()]) {
      expect(() => jwkOfSpki(wrong)).toThrow(UnreadableKey);
    }
  });

  test("of Ed25519 is read in each spelling, and no other", () => {
    const base64 = VECTORS.ed25519.public_key_der_base64;
    const key = readEd25519(base64);
    const pem = `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n`;
    for (const text of [pem, JSON.stringify({ public_key_der: base64 }), toBase64(key)])
      expect(readEd25519(text)).toEqual(key);
    expect(fingerprintOfEd25519(key)).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
    for (const text of ["", "x", PEM, toBase64(key.slice(1)), "{}", "{", "[]", pemOf(ed25519.privateKey)]) {
      expect(() => readEd25519(text)).toThrow(UnreadableKey);
    }
  });
});

describe("the TXT record", () => {
  const record = identityTxtRecord({ ...JWK, kid: KID });

  test("is one character-string, and is read as what was written", () => {
    expect(record).toMatch(/^v=mmid1; k=p256; kid=idk_\w+; fp=SHA256:\S+; p=[A-Za-z0-9+/=]+$/);
    expect(record.length).toBeLessThanOrEqual(255);
    expect(readIdentityTxtRecord(record)).toEqual({ ...JWK, ...LIFELESS, kid: KID });
    expect(readIdentityTxtRecord(`${record}; n=later;`)).toEqual(readIdentityTxtRecord(record));
    expect(readIdentityTxtRecord(record.replaceAll("; ", ";"))).toEqual(readIdentityTxtRecord(record));
  });

  test.each<[string, string]>([
    ["another version", record.replace("mmid1", "mmid2")],
    ["the version not first", record.replace("v=mmid1; ", "").concat("; v=mmid1")],
    ["another kind of key", record.replace("p256", "p384")],
    ["another's fingerprint", record.replace("SHA256:j", "SHA256:k")],
    ["a tag twice", `${record}; kid=idk_2`],
    ["no kid", record.replace(/kid=\S+ /, "")],
    ["a kid with other characters", record.replace("kid=idk", "kid=<idk")],
    ["another's key", record.replace(/p=[^;]+$/, `p=${toBase64(bytes("x"))}`)],
    ["no end", record + "; x=".repeat(1000)],
    ["DKIM", "v=DKIM1; k=rsa; p=AAAA"],
    ["nothing", ""],
  ])("with %s says nothing", (_name, text) => {
    expect(readIdentityTxtRecord(text)).toBeNull();
  });
});

describe("signatures", () => {
  const der = Buffer.from(signingKey().sign(bytes("x")));
  test.each<[string, Uint8Array]>([
    ["nothing", new Uint8Array()],
    ["r and s without DER", rawOfDer(der) ?? new Uint8Array()],
    ["something after it", Buffer.concat([der, Buffer.from([0])])],
    ["a long form of its length", Buffer.concat([Buffer.from([0x30, 0x81]), der.subarray(1)])],
    ["a negative r", Buffer.from("3006020180020101", "hex")],
    ["an r with a needless zero", Buffer.from("300702020001020101", "hex")],
    ["r and s of zero", Buffer.from("3006020100020100", "hex")],
    ["an empty r", Buffer.from("30050200020101", "hex")],
    ["an r of 34 octets", Buffer.from(`30270222${"01".repeat(34)}020101`, "hex")],
  ])("of %s do not verify", (_name, signature) => {
    expect(verifyP256(JWK, der, bytes("x"))).toBe(true);
    expect(verifyP256(JWK, signature, bytes("x"))).toBe(false);
  });

  test("in another spelling of DER do not verify", () => {
    const integer = (...octets: number[]) => [0x02, octets.length, ...octets];
    const sequence = (r: number[], s: number[]) => Uint8Array.from([0x30, r.length + s.length, ...r, ...s]);
    // A signature whose r needs its sign octet and whose s does not: every other one in four.
    let raw = new Uint8Array();
    while ((raw[0] ?? 0) < 0x80 || (raw[32] ?? 0x80) >= 0x80 || raw[32] === 0) {
      raw = new Uint8Array(rawOfDer(signingKey().sign(bytes("x"))) ?? []);
    }
    const [r, s] = [[...raw.slice(0, 32)], [...raw.slice(32)]];
    const proper = sequence(integer(0, ...r), integer(...s));
    expect(verifyP256(JWK, proper, bytes("x"))).toBe(true);
    expect(verifyP256(JWK, sequence(integer(...r), integer(...s)), bytes("x"))).toBe(false);
    expect(verifyP256(JWK, sequence(integer(0, ...r), integer(0, ...s)), bytes("x"))).toBe(false);
    const longer = Uint8Array.from(proper, (octet, index) => (index === 1 ? octet + 1 : octet));
    expect(verifyP256(JWK, longer, bytes("x"))).toBe(false);
  });

  test("base64 has one spelling", () => {
    expect(fromBase64("QQ==")).toEqual(bytes("A"));
    expect(base64Bytes(bytes("QUI="))).toEqual(bytes("AB"));
    for (const text of ["QR==", "QQ=", "QQ", "QQ==QQ==", "Q===", "Q Q=", "QQ==\n", "QQ-_"])
      expect(fromBase64(text)).toBeNull();
    for (const text of ["QR", "QQ==", "Q", "Q+", "Q/"]) expect(fromBase64url(text)).toBeNull();
    const octets = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(fromBase64(toBase64(octets))).toEqual(octets);
    expect(toBase64(octets)).toBe(Buffer.from(octets).toString("base64"));
    expect(toBase64url(octets.slice(0, 254))).toBe(Buffer.from(octets.slice(0, 254)).toString("base64url"));
  });
});

describe("a receipt", () => {
  const written = identityHeaders(identityInput());
  const facts = {
    claim: written.claim,
    signature_header: written.headers[0]?.[1] ?? "",
    verified: true,
    key_fingerprint: FINGERPRINT,
    issued_at: DATE.toISOString(),
    issuer: "https://mail.example",
    checkpoint: "mail.example/logs/ten_1\n1\nAAAA\n",
  };

  test("is a JWS that any JOSE library verifies, over all its other fields", async () => {
    const { jws, ...fields } = makeReceipt(facts, signingKey());
    const { payload, protectedHeader } = await compactVerify(jws, await importJWK({ ...JWK, alg: "ES256" }));
    expect(protectedHeader).toEqual({ alg: "ES256", kid: KID, typ: "multimail-receipt+jwt" });
    expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(fields);
    expect(fields).toMatchObject({ payload: CLAIM, kid: KID, verified: true });
  });

  test("of another key does not verify, and is not made", async () => {
    const { jws } = makeReceipt(facts, otherKey().signing);
    await expect(compactVerify(jws, await importJWK({ ...JWK, alg: "ES256" }))).rejects.toThrow();
    expect(() => makeReceipt(facts, signingKey(undefined, "idk_other"))).toThrow("another key");
  });
});

describe("a reader's policy", () => {
  const later = (seconds: number) => new Date(DATE.getTime() + seconds * 1000);
  const verdictOf = async (change: (raw: string) => string = (raw) => raw) =>
    verifyMessage(Buffer.from(change(Buffer.from(await sent()).toString("latin1")), "latin1"), trusted());

  test.each<[IdentityPolicy, Date, PolicyResult["rule"], boolean]>([
    [{ max_age: 60 }, later(60), "age", true],
    [{ max_age: 60 }, later(61), "age", false],
    [{ max_age: 60 }, later(-61), "age", false],
    [{ expected_agent: CLAIM.agent_id }, DATE, "agent", true],
    [{ expected_agent: "other" }, DATE, "agent", false],
    [{ allowed_modes: ["gated_all", "gated_send"] }, DATE, "mode", true],
    [{ allowed_modes: [] }, DATE, "mode", false],
    [{ ai_disclosure: true }, DATE, "disclosure", true],
    [{ ai_disclosure: false }, DATE, "disclosure", false],
    [{ require_approval: true }, DATE, "approval", true],
    [{ seen_nonces: ["other"] }, DATE, "nonce", true],
    [{ seen_nonces: [CLAIM.nonce] }, DATE, "nonce", false],
  ])("%j", async (policy, now, rule, passed) => {
    expect(applyPolicy(await verdictOf(), policy, now)).toMatchObject([{ rule, passed }]);
  });

  test("that asks nothing answers nothing; all is answered in one order", async () => {
    const verdict = await verdictOf();
    expect(applyPolicy(verdict, { require_approval: false }, DATE)).toEqual([]);
    const all = {
      seen_nonces: [],
      require_approval: true,
      ai_disclosure: true,
      allowed_modes: [],
      expected_agent: "a",
      max_age: 1,
    };
    expect(applyPolicy(verdict, all, DATE).map(({ rule }) => rule)).toEqual([
      "age",
      "agent",
      "mode",
      "disclosure",
      "approval",
      "nonce",
    ]);
  });

  test("is passed by nothing that is not verified", async () => {
    const verdict = await verdictOf((raw) => raw.replace("Subject:", "Subject: Re:"));
    expect(applyPolicy(verdict, { max_age: 60, seen_nonces: [] }, DATE)).toMatchObject([
      { passed: false },
      { passed: false },
    ]);
  });

  test("asks for what the message does not say in vain", async () => {
    const withoutClaim = await verdictOf((raw) => raw.replace(/X-MultiMail-Identity: .*\r\n/, ""));
    expect(withoutClaim.verified).toBe(true);
    const results = applyPolicy(withoutClaim, { max_age: 60, seen_nonces: [], ai_disclosure: false }, DATE);
    expect(results.map(({ passed }) => passed)).toEqual([true, false, false]);
  });
});
