import { z } from "zod";
import { access } from "../audit/access.ts";
import { readGivenKeys } from "../identity/given-keys.ts";
import { HEADER } from "../identity/header-form.ts";
import type { TrustedKeys } from "../identity/keys.ts";
import type { MessageParts } from "../identity/mime-leaves.ts";
import { comparable } from "../identity/normal-form.ts";
import { applyPolicy } from "../identity/policy.ts";
import { UnreadableKey } from "../identity/public-keys.ts";
import { senderOf } from "../identity/sender.ts";
import type { HeaderVerdict, IdentityReason, MessageVerdict } from "../identity/verdict.ts";
import { verifyParsed } from "../identity/verify-message.ts";
import { MODES } from "../oversight/modes.ts";
import { keysOfSender, keysOfTenant } from "../store/identity-keys.ts";
import { agentId, flag, wholeNumber } from "./fields.ts";
import { messageFields, messageOf, refineMessage } from "./message-to-verify.ts";
import { defineOperation, type OperationContext } from "./operation.ts";

/** Checks a message that somebody brings, for anyone. Looks nothing up but the keys of this deployment. */

const MAX_AGE_SECONDS = 999_999_999;
const MAX_SEEN_NONCES = 1_000;
const MAX_NONCE_CHARACTERS = 64;

/** `IdentityPolicy`, as JSON. */
const policyIn = z.strictObject({
  max_age: wholeNumber(0, MAX_AGE_SECONDS).optional().describe("Seconds that may lie between sent_at and now"),
  expected_agent: agentId.optional(),
  allowed_modes: z.array(z.enum(MODES)).max(MODES.length).optional(),
  ai_disclosure: flag.optional().describe("Whether the message must, or must not, say that an AI wrote it"),
  require_approval: flag.optional(),
  seen_nonces: z
    .array(z.string().max(MAX_NONCE_CHARACTERS))
    .max(MAX_SEEN_NONCES)
    .optional()
    .describe("Nonces of messages that were taken before"),
});

const input = z
  .strictObject({
    ...messageFields,
    key: z
      .union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())])
      .optional()
      .describe(
        "A public key that you trust: PEM, JWK, JWKS or key document, as text or as an object. A key that lists no domains is taken to vouch for From's. Left out: what this deployment publishes for the From address",
      ),
    policy: policyIn.optional().describe("What you demand beyond valid signatures"),
  })
  .superRefine(refineMessage);
type Input = z.output<typeof input>;

const headerShape = z.object({
  form: z.enum(["compact", "domain", "identity_sig", "message_signature"]),
  header: z.string(),
  valid: z.boolean(),
  reason: z.string().nullable(),
  detail: z.string(),
  kid: z.string().nullable(),
  fingerprint: z.string().nullable(),
});

const output = z.object({
  /** Null: the message carries no identity header at all. */
  verified: z.boolean().nullable(),
  /** Why it is not. */
  reasons: z.array(z.object({ reason: z.string(), detail: z.string() })),
  headers: z.array(headerShape),
  /** The compact form's payload as it was found, whether it is valid or not. */
  claim: z.record(z.string(), z.unknown()).nullable(),
  /** The key that the message's signature is valid under, and whose word it is. */
  key: z
    .object({ kid: z.string().nullable(), fingerprint: z.string().nullable(), source: z.enum(["given", "deployment"]) })
    .nullable(),
  /** Null unless `verified`. */
  agent_metadata: z.record(z.string(), z.unknown()).nullable(),
  policy: z.object({
    /** Whether all of it passed; true where nothing was demanded. */
    passed: z.boolean(),
    results: z.array(z.object({ rule: z.string(), passed: z.boolean(), detail: z.string() })),
  }),
});
type Output = z.output<typeof output>;

type Source = NonNullable<Output["key"]>["source"];

/** Keys to check with, or why those that were given are none. */
type Keys = { trusted: TrustedKeys | null; source: Source; unreadable: string | null };

function givenKeys(key: NonNullable<Input["key"]>): Keys {
  try {
    const text = typeof key === "string" ? key : JSON.stringify(key);
    return { trusted: readGivenKeys(text), source: "given", unreadable: null };
  } catch (error) {
    if (!(error instanceof UnreadableKey)) throw error;
    return { trusted: null, source: "given", unreadable: error.message };
  }
}

/** What is wrong with a signature that holds all the same. */
const HOLDS: ReadonlySet<IdentityReason | null> = new Set([
  null,
  "body_changed",
  "key_not_yet_valid",
  "key_retired",
  "key_revoked",
] as const);

/** Whether a signature of the sender's keys is over the From address: the form that covers it, or a claim of that mailbox. */
function isSignedForSender({ headers, claim }: MessageVerdict, from: string | null): boolean {
  const isOfMailbox = typeof claim?.mailbox === "string" && comparable(claim.mailbox) === from;
  return headers.some(
    ({ form, reason }) => HOLDS.has(reason) && (form === "message_signature" || (form === "compact" && isOfMailbox)),
  );
}

/** Whose keys a message says that it was signed with. Anyone may have the keys of any tenant. */
function tenantNamed(message: MessageParts): string | null {
  const { claim, identity_headers } = verifyParsed(message, null);
  const named = claim?.tenant_id ?? identity_headers[HEADER.tenant.toLowerCase()];
  return typeof named === "string" ? named : null;
}

/**
 * What this deployment trusts for the From address, where the message was signed for it by a tenant here. Otherwise the address is
 * not even looked for: with a made-up mail, or with one mail of a tenant and other Froms, whoever asks would find out, by the
 * answer or by the time that it takes, which addresses are whose.
 */
async function keysOfDeployment({ env }: OperationContext, message: MessageParts): Promise<TrustedKeys | null> {
  const from = senderOf(message);
  const tenant = tenantNamed(message);
  if (from === null || tenant === null) return null;
  const published = await keysOfTenant(env.DB, env, tenant);
  if (!published || !isSignedForSender(verifyParsed(message, published), from)) return null;
  const trusted = await keysOfSender(env.DB, env, from);
  // Whose signature is told is the address's own tenant.
  return trusted?.tenant_id === tenant ? trusted : null;
}

async function keysFor(context: OperationContext, { key }: Input, message: MessageParts): Promise<Keys> {
  if (key !== undefined) return givenKeys(key);
  return { trusted: await keysOfDeployment(context, message), source: "deployment", unreadable: null };
}

/** Says why there was no key, where the one that was given is none. */
function reasonsOf({ verified, reasons }: MessageVerdict, { unreadable }: Keys): MessageVerdict["reasons"] {
  if (verified !== false || unreadable === null) return reasons;
  const detail = `The key that was given cannot be used. ${unreadable}`;
  return [{ reason: "key_unknown", detail }, ...reasons.filter(({ reason }) => reason !== "key_unknown")];
}

function keyOf(headers: readonly HeaderVerdict[], source: Source): Output["key"] {
  const signature = headers.find(({ form, valid }) => form === "message_signature" && valid);
  return signature ? { kid: signature.kid, fingerprint: signature.fingerprint, source } : null;
}

/** `POST /v1/identity/verify` */
export const verifyIdentity = defineOperation({
  name: "verify_identity",
  summary:
    "Checks the identity headers of a message: which agent wrote it, under whose oversight, and whether that holds. A verdict is always an answer, never an error.",
  scope: "public",
  effect: null,
  recorded: {
    entry: (_asked, body) =>
      access({ action: "identity.message_checked", detail: { verified: body?.verified ?? null } }),
  },
  rateLimited: true,
  input,
  output,
  rest: [{ method: "POST", path: "/v1/identity/verify" }],
  async handler(context, asked) {
    const message = await messageOf(asked);
    const keys = await keysFor(context, asked, message);
    const verdict = verifyParsed(message, keys.trusted);
    const results = applyPolicy(verdict, asked.policy ?? {}, new Date(context.now()));
    return {
      status: 200,
      body: {
        verified: verdict.verified,
        reasons: reasonsOf(verdict, keys),
        headers: verdict.headers,
        claim: verdict.claim,
        key: keyOf(verdict.headers, keys.source),
        agent_metadata: verdict.agent_metadata,
        policy: { passed: results.every(({ passed }) => passed), results },
      },
    };
  },
});
