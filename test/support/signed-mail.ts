import { createHash, createPrivateKey, sign } from "node:crypto";
import type { Claim } from "../../src/identity/claim.ts";
import { identityHeaders } from "../../src/identity/identity-headers.ts";
import type { DomainSigningKey, KeyDocument, SigningKey } from "../../src/identity/keys.ts";
import { fingerprintOf } from "../../src/identity/public-keys.ts";
import { composeMessage } from "../../src/mail/compose.ts";
import type { MessageContent } from "../../src/mail/message.ts";

/** Mail as it is delivered, signed by the test keys of FORMATS.md's known answers. */

const PRIVATE_KEY = createPrivateKey(`-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVYp4yeBDsQsp5Juz
LvCVaN5q4ozYrpiGCsgMxzewMjyhRANCAAT1wVHiEsXvkf+1Q9ch4aWEJKSo4i4O
Wd552ICd0GtPRittiPryZtZf2uBFg+Pv493KIuPUecL/N1Q9br0Fsjys
-----END PRIVATE KEY-----`);
const DOMAIN_PRIVATE_KEY = createPrivateKey(`-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIMuKw1bAf1moYnZctjptbb/myoE7SmMz1y+bGHVphQTI
-----END PRIVATE KEY-----`);

export const KID = "idk_01HX0000000000000000000009";
export const TENANT = "ten_01HX0000000000000000000001";
export const FROM = "support@agents.example.com";

export const PUBLIC_JWK = {
  kty: "EC",
  crv: "P-256",
  x: "9cFR4hLF75H_tUPXIeGlhCSkqOIuDlneediAndBrT0Y",
  y: "K22I-vJm1l_a4EWD4-_j3coi49R5wv83VD1uvQWyPKw",
} as const;
export const PUBLIC_PEM = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9cFR4hLF75H/tUPXIeGlhCSkqOIu
DlneediAndBrT0YrbYj68mbWX9rgRYPj7+PdyiLj1HnC/zdUPW69BbI8rA==
-----END PUBLIC KEY-----
`;
export const DOMAIN_PUBLIC_PEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAdicYGQK1V+nYXK6wnCuUDQIyfX6bdheJVZeWvn6O9l0=
-----END PUBLIC KEY-----
`;
/** Of nobody here. */
export const OTHER_PEM = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+4aYklTZLSKdE8nzdiEOvDYiNEJ1
THTcmueCSWxyWukl5Cd+/Kf04ZPunZ8fN8cxnGhsXpTuAJbPiOIh6iN0CA==
-----END PUBLIC KEY-----
`;
export const FINGERPRINT = "SHA256:jJTitmeQqTZlE700ZxNn/DbsdKDV3EBPSnrQu335hPE";

export const SIGNING_KEY: SigningKey = {
  kid: KID,
  sign: (bytes) => new Uint8Array(sign("sha256", bytes, PRIVATE_KEY)),
};
export const DOMAIN_SIGNING_KEY: DomainSigningKey = {
  sign: (bytes) => new Uint8Array(sign(null, bytes, DOMAIN_PRIVATE_KEY)),
};

/** @returns the tenant's key document. */
export function keyDocument(domains: readonly string[]): KeyDocument {
  const key = { ...PUBLIC_JWK, kid: KID, alg: "ES256", use: "sig" } as const;
  const life = { not_before: "2026-01-01T00:00:00.000Z", retired_at: null, revoked_at: null };
  return {
    ...key,
    tenant_id: TENANT,
    fingerprint: fingerprintOf(PUBLIC_JWK),
    domains: [...domains],
    keys: [{ ...key, ...life }],
  };
}

export interface SignedMailOptions {
  claim?: Partial<Claim>;
  content?: Partial<MessageContent>;
  /** Bytes of attachments, by name. */
  files?: Readonly<Record<string, string>>;
  domain_form?: boolean;
  key?: SigningKey;
}

const SENT_AT = "2026-04-19T14:22:31.000Z";

/** @returns a delivered message as its recipient gets it. */
export async function signedMail(options: SignedMailOptions = {}): Promise<Buffer> {
  const files = Object.entries(options.files ?? {}).map(([name, text]) => ({ name, bytes: Buffer.from(text) }));
  const content: MessageContent = {
    from: { name: "Support", address: FROM },
    reply_to: [],
    to: [{ name: "Ana Núñez", address: "ana@customer.example" }],
    cc: [{ name: null, address: "Bob@customer.example" }],
    bcc: [],
    subject: "Your order: grüße aus 東京",
    text: "Hello Ana,\n\nthe order is on its way. ✓\n",
    html: "<p>Hello Ana,</p><p>the order is on its way. ✓</p>",
    attachments: files.map(({ name, bytes }) => ({
      ...{ name, content_type: "application/octet-stream", disposition: "attachment", content_id: null },
      ...{ size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex"), key: `att/${name}` },
    })),
    in_reply_to: null,
    references: [],
    ...options.content,
  };
  const claim = {
    ...{ agent_id: "agt_support_responder_v2", model_id: "claude-sonnet-4-6", model_provider: "anthropic" },
    ...{ tenant_id: TENANT, oversight_mode: "gated_send", ai_disclosure: true, mailbox: content.from.address },
    ...{ sent_at: SENT_AT, nonce: "0Zk3bq8mJm1pQm9t", email_id: "em_01HX0000000000000000000042" },
    ...{ approval_ref: "apr_01HX0000000000000000000077", approval_kind: "human_link" },
    ...options.claim,
  } as Omit<Claim, "body_hash" | "kid">;
  const message_id = `<${claim.email_id}@agents.example.com>`;
  const date = new Date(claim.sent_at);
  const { headers } = identityHeaders({
    claim,
    key_id: "key_01HX0000000000000000000005",
    key_is_bound: true,
    covered: {
      from: content.from.address,
      recipients: [...content.to, ...content.cc].map(({ address }) => address),
      date,
      message_id,
      subject: content.subject,
      text: content.text,
      html: content.html,
      attachments_sha256: content.attachments.map(({ sha256 }) => sha256),
    },
    key: options.key ?? SIGNING_KEY,
    domain_key: options.domain_form ? DOMAIN_SIGNING_KEY : null,
    preserves_bytes: true,
  });
  const bytes = files.map((file) => file.bytes);
  return Buffer.from(await composeMessage({ content, attachments: bytes, message_id, date, extra_headers: headers }));
}
