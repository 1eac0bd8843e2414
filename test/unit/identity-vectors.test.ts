import { createHash, createPrivateKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Claim } from "../../src/identity/claim.ts";
import { readCompact, verifyCompact, writeCompact } from "../../src/identity/compact-form.ts";
import { Fields, readCovered } from "../../src/identity/covered-fields.ts";
import { signedText } from "../../src/identity/covered-message.ts";
import { readDomain, verifyDomain, writeDomain } from "../../src/identity/domain-form.ts";
import { identitySigPayload, readIdentitySig, verifyIdentitySig } from "../../src/identity/identity-sig-form.ts";
import { readMessageSignature } from "../../src/identity/message-signature.ts";
import { partsOfRaw } from "../../src/identity/mime-leaves.ts";
import { textHash } from "../../src/identity/normal-form.ts";
import {
  fingerprintOf,
  publicKeyPem,
  readEd25519,
  readPublicKey,
  readTrustedKeys,
  spkiOf,
} from "../../src/identity/public-keys.ts";
import { verifyMessage } from "../../src/identity/verify-message.ts";
import { domainKey, signingKey, VECTORS } from "../support/identity-signer.ts";

/** Known answers that OpenSSL computed (FORMATS.md). */

const KEYS = readPublicKey(VECTORS.p256.public_pem);
const bytes = (text: string) => new TextEncoder().encode(text);

interface Vector {
  name: string;
  header: string;
  valid: boolean;
  text: string;
  signed_payload?: string;
  raw: string;
  signed_text?: string;
}
const named = (vectors: Vector[]) => vectors.map((vector) => [vector.name, vector] as const);

test("the P-256 key is the same as PEM, JWK and DER, with its fingerprint", () => {
  const { public_jwk, public_pem, fingerprint } = VECTORS.p256;
  expect(readPublicKey(public_pem)).toEqual(readPublicKey(JSON.stringify(public_jwk)));
  expect(publicKeyPem(public_jwk)).toBe(public_pem);
  expect(fingerprintOf(public_jwk)).toBe(fingerprint);
  const der = Buffer.from(public_pem.replace(/-----.*-----|\s/g, ""), "base64");
  expect(Buffer.from(spkiOf(public_jwk)).equals(der)).toBe(true);
});

describe("X-MultiMail-Identity, compact", () => {
  test.each(named(VECTORS.identity_compact.cases))("%s", (_name, { header, valid }) => {
    const form = readCompact(header);
    const holds = form.claim !== null && verifyCompact({ ...form, claim: form.claim }, KEYS).fault === null;
    expect(holds).toBe(valid);
    if (valid) expect(form.claim).toEqual(VECTORS.identity_compact.claim);
  });

  test("is written as the known payload, to the byte", () => {
    const claim: Claim = VECTORS.identity_compact.claim;
    const shuffled = Object.fromEntries(Object.entries(claim).reverse()) as unknown as Claim;
    const known = VECTORS.identity_compact.cases[0].header.split(".")[0];
    expect(writeCompact(shuffled, signingKey()).value.split(".")[0]).toBe(known);
  });
});

describe("X-MultiMail-Identity, bound to the domain", () => {
  const ed25519 = readEd25519(VECTORS.ed25519.public_key_der_base64);
  const bound = { message_id: "<em_1@agents.example.com>", body_hash: textHash("x").base64url };

  test.each(named(VECTORS.identity_domain_bound))("%s", (_name, { header, valid }) => {
    const form = readDomain(header);
    expect(form.value !== null && verifyDomain(form.value, bound, [ed25519]).fault === null).toBe(valid);
  });

  test("is written with the known signature, and one over the message", () => {
    const fields = { agent_id: "onboarding-agent-v2", oversight_mode: "monitored", approval_ref: null } as const;
    const { value } = writeDomain(fields, bound, domainKey());
    expect(value.startsWith(`${VECTORS.identity_domain_bound[0].header}; msig=`)).toBe(true);
    const form = readDomain(value);
    expect(form.value && verifyDomain(form.value, bound, [ed25519]).fault).toBeNull();
    const elsewhere = { ...bound, message_id: "<em_2@agents.example.com>" };
    expect(form.value && verifyDomain(form.value, elsewhere, [ed25519]).fault?.reason).toBe("signature_invalid");
  });
});

describe("X-MM-Identity-Sig", () => {
  test.each(named(VECTORS.mm_identity_sig))("%s", (_name, { header, text, valid, signed_payload }) => {
    const form = readIdentitySig(header);
    const hash = textHash(text).hex;
    const at = new Date("2026-04-19T14:22:31Z");
    expect(form.value !== null && verifyIdentitySig(form.value, hash, at, KEYS).fault === null).toBe(valid);
    if (signed_payload) expect(form.value && identitySigPayload(form.value, hash, null)).toBe(signed_payload);
  });
});

describe("X-MultiMail-Signature", () => {
  test.each(named(VECTORS.message_signature))("%s", async (_name, { raw, valid, signed_text }) => {
    const verdict = await verifyMessage(bytes(raw), readTrustedKeys(VECTORS.p256.public_pem));
    expect(verdict.verified).toBe(valid);
    expect(verdict.headers).toMatchObject([{ form: "message_signature", valid }]);
    expect(verdict.agent_metadata === null).toBe(!valid);
    if (!signed_text) return;
    const parts = await partsOfRaw(bytes(raw));
    const fields = new Fields(parts.headers);
    const form = readMessageSignature((name) => fields.only(name)).value;
    const covered = readCovered(fields, parts).value;
    const key = `${form?.key_id}${form?.key_is_bound ? "; bound" : ""}`;
    expect(form && covered && signedText({ ...form, key }, covered)).toBe(signed_text);
  });

  test("of the known message says who sent it", async () => {
    const [{ raw }] = VECTORS.message_signature;
    expect((await verifyMessage(bytes(raw), readTrustedKeys(VECTORS.p256.public_pem))).agent_metadata).toEqual({
      agent_id: "contract-summarizer-v2",
      tenant_id: "ten_01HX",
      oversight_mode: "gated_send",
      approval_ref: "apr_01HX0000000000000000000077",
      approval_kind: null,
      model_id: null,
      model_provider: null,
      email_id: "em_01HX0000000000000000000042",
      sent_at: "2026-04-19T14:22:31.000Z",
      ai_disclosure: null,
      key_id: "key_01HX0000000000000000000005",
      key_is_bound: true,
    });
  });
});

test("the vectors are the shared ones, whole", () => {
  const count = (list: unknown[]) => list.length;
  const { identity_compact, mm_identity_sig, message_signature, identity_domain_bound } = VECTORS;
  expect([identity_compact.cases, mm_identity_sig, message_signature, identity_domain_bound].map(count)).toEqual([
    11, 9, 8, 4,
  ]);
  expect(createPrivateKey(VECTORS.p256.private_pkcs8_pem).asymmetricKeyType).toBe("ec");
  expect(createHash("sha256").update("x").digest("hex")).toBe(textHash("x\r\n").hex);
});
