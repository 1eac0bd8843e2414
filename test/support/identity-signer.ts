import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type IdentityInput, identityHeaders } from "../../src/identity/identity-headers.ts";
import type { DomainSigningKey, PublishedKey, SigningKey, TrustedKeys } from "../../src/identity/keys.ts";
import { sha256Hex } from "../../src/identity/normal-form.ts";
import { readEd25519, readPublicKey } from "../../src/identity/public-keys.ts";
import { composeMessage } from "../../src/mail/compose.ts";
import type { MessageContent } from "../../src/mail/message.ts";

/** A sender that signs with node:crypto, which is not what verifies; and whoever trusts its keys. */

/** FORMATS.md's known answers, computed with OpenSSL. */
export const VECTORS = JSON.parse(readFileSync(join(import.meta.dirname, "../vectors/identity.json"), "utf8"));

export const KID = "idk_01HX0000000000000000000009";
export const TENANT = "ten_01HX0000000000000000000001";
export const DATE = new Date("2026-04-19T14:22:31.250Z");
export const MESSAGE_ID = "<em_01HX0000000000000000000042@agents.example.com>";

export function signingKey(key: KeyObject = createPrivateKey(VECTORS.p256.private_pkcs8_pem), kid = KID): SigningKey {
  return { kid, sign: (bytes) => new Uint8Array(sign("sha256", bytes, { key, dsaEncoding: "der" })) };
}

export function domainKey(key: KeyObject = createPrivateKey(VECTORS.ed25519.private_pkcs8_pem)): DomainSigningKey {
  return { sign: (bytes) => new Uint8Array(sign(null, bytes, key)) };
}

/** A pair of nobody. */
export function otherKey(kid = KID): { signing: SigningKey; published: PublishedKey } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [published] = readPublicKey(publicKey.export({ type: "spki", format: "pem" }).toString());
  if (!published) throw new Error("no key");
  return { signing: signingKey(privateKey, kid), published: { ...published, kid } };
}

export function publishedKey(change: Partial<PublishedKey> = {}): PublishedKey {
  const pem = createPublicKey(createPrivateKey(VECTORS.p256.private_pkcs8_pem)).export({ type: "spki", format: "pem" });
  const [key] = readPublicKey(pem.toString());
  if (!key) throw new Error("no key");
  return { ...key, kid: KID, not_before: "2026-01-01T00:00:00.000Z", ...change };
}

export function trusted(change: Partial<TrustedKeys> = {}): TrustedKeys {
  return {
    tenant_id: TENANT,
    p256: [publishedKey()],
    ed25519: [readEd25519(VECTORS.ed25519.public_key_der_base64)],
    domains: ["agents.example.com"],
    ...change,
  };
}

export const CLAIM: IdentityInput["claim"] = {
  agent_id: "agt_support_responder_v2",
  model_id: "claude-sonnet-4-6",
  model_provider: "anthropic",
  tenant_id: TENANT,
  oversight_mode: "gated_send",
  ai_disclosure: true,
  mailbox: "support@agents.example.com",
  sent_at: DATE.toISOString(),
  nonce: "0Zk3bq8mJm1pQm9t",
  email_id: "em_01HX0000000000000000000042",
  approval_ref: "apr_01HX0000000000000000000077",
  approval_kind: "human_link",
};

export const CONTENT: MessageContent = {
  from: { name: "Support", address: "support@agents.example.com" },
  reply_to: [],
  to: [{ name: "Zoe", address: "zoe@example.org" }],
  cc: [{ name: null, address: "COUNSEL@example.net" }],
  bcc: [],
  subject: "Zażółć — Q2 review",
  text: "Pay nobody.\nGreetings\n",
  html: "<p>Pay <b>nobody</b>.</p>",
  attachments: [],
  in_reply_to: null,
  references: [],
};

export interface Sent {
  content?: Partial<MessageContent>;
  /** Attachments by name. */
  files?: [name: string, bytes: Uint8Array, type?: string][];
  claim?: Partial<IdentityInput["claim"]>;
  identity?: Partial<Omit<IdentityInput, "claim">>;
  /** Other headers than the ones that were made. */
  headers?: (made: [string, string][]) => [string, string][];
}

/** @returns what is signed for a message, as the mailbox object does it. */
export function identityInput({ content = {}, files = [], claim = {}, identity = {} }: Sent = {}): IdentityInput {
  const { from, to, cc, subject, text, html } = { ...CONTENT, ...content };
  return {
    claim: { ...CLAIM, mailbox: from.address.toLowerCase(), ...claim },
    key_id: "key_01HX0000000000000000000005",
    key_is_bound: true,
    covered: {
      from: from.address,
      recipients: [...to, ...cc].map(({ address }) => address),
      date: DATE,
      message_id: MESSAGE_ID,
      subject,
      text,
      html,
      attachments_sha256: files.map(([, bytes]) => sha256Hex(bytes)),
    },
    key: signingKey(),
    domain_key: null,
    preserves_bytes: true,
    ...identity,
  };
}

/** @returns a message as it is delivered. */
export function sent(what: Sent = {}): Promise<Uint8Array> {
  const { headers } = identityHeaders(identityInput(what));
  const attachments = (what.files ?? []).map(([name, bytes, type = "application/pdf"]) => ({
    ...{ name, content_type: type, disposition: "attachment" as const, content_id: null },
    ...{ size: bytes.length, sha256: "", key: "" },
  }));
  return composeMessage({
    content: { ...CONTENT, ...what.content, attachments },
    attachments: (what.files ?? []).map(([, bytes]) => bytes),
    message_id: MESSAGE_ID,
    date: DATE,
    extra_headers: what.headers?.(headers) ?? headers,
  });
}
