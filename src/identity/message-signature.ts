import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { MODES, type Mode } from "../oversight/modes.ts";
import { CLAIM_LIMITS } from "./claim.ts";
import { type CoveredHeaders, type CoveredMessage, signedText } from "./covered-message.ts";
import { utf8 } from "./encoding.ts";
import { HEADER, isOurId, type Read, read, tooLong, unread } from "./header-form.ts";
import { judgeKeys, type KeyJudgement } from "./key-life.ts";
import type { PublishedKey, SigningKey } from "./keys.ts";
import type { Sha256 } from "./normal-form.ts";
import { verifyP256 } from "./signatures.ts";

/** FORMATS.md §2.4: `X-MultiMail-Signature`, and the headers beside it that say what it claims. */

export interface MessageSignatureFields {
  agent_id: string;
  tenant_id: string;
  oversight_mode: Mode;
  approval_ref: string | null;
  key_id: string;
  key_is_bound: boolean;
}

export interface MessageSignatureForm extends MessageSignatureFields {
  /** DER. */
  signature: Uint8Array;
}

const BOUND = "; bound";

function coveredHeaders({ key_id, key_is_bound, ...rest }: MessageSignatureFields): CoveredHeaders {
  return { ...rest, key: key_is_bound ? `${key_id}${BOUND}` : key_id };
}

/** @returns the headers that say what is claimed, in the order of FORMATS.md; the approval only where there is one. */
export function claimHeaders(fields: MessageSignatureFields): [name: string, value: string][] {
  const { agent_id, tenant_id, oversight_mode, key, approval_ref } = coveredHeaders(fields);
  return [
    [HEADER.agent, agent_id],
    [HEADER.tenant, tenant_id],
    [HEADER.mode, oversight_mode],
    [HEADER.key, key],
    ...(approval_ref === null ? [] : [[HEADER.approval, approval_ref] as [string, string]]),
  ];
}

/** @returns the value of `X-MultiMail-Signature`: lower-case hex of the DER signature. */
export function writeMessageSignature(
  fields: MessageSignatureFields,
  message: CoveredMessage,
  key: SigningKey,
  hashOf?: Sha256,
): string {
  return bytesToHex(key.sign(utf8(signedText(coveredHeaders(fields), message, hashOf))));
}

const BESIDE = [HEADER.agent, HEADER.tenant, HEADER.mode, HEADER.key] as const;

/**
 * @param of a header's value, undefined where the message has none.
 * @returns what the signature and the headers beside it say.
 */
export function readMessageSignature(of: (name: string) => string | undefined): Read<MessageSignatureForm> {
  const names = [...BESIDE, HEADER.approval, HEADER.signature];
  const long = names.map((name) => tooLong(name, of(name) ?? "")).find((fault) => fault !== null);
  if (long) return { value: null, fault: long };
  const missing = BESIDE.find((name) => of(name) === undefined);
  if (missing) return unread("missing_part", `The message has ${HEADER.signature} but no ${missing}.`);
  const key = of(HEADER.key) ?? "";
  const key_id = key.endsWith(BOUND) ? key.slice(0, -BOUND.length) : key;
  const oversight_mode = MODES.find((mode) => mode === of(HEADER.mode));
  const [agent_id = "", tenant_id, approval_ref = null] = [of(HEADER.agent), of(HEADER.tenant), of(HEADER.approval)];
  if (!oversight_mode || !CLAIM_LIMITS.agent_id.test(agent_id) || !isOurId(tenant_id) || !isOurId(key_id)) {
    return unread("malformed", "The headers that name agent, tenant, mode and key cannot be read.");
  }
  if (approval_ref !== null && !isOurId(approval_ref)) return unread("malformed", `${HEADER.approval} is no id.`);
  const hex = of(HEADER.signature) ?? "";
  // One spelling only, and nothing that the hexadecimal reader would throw at.
  if (!/^(?:[0-9a-f]{2})+$/.test(hex)) return unread("malformed", `${HEADER.signature} is not lower-case hex.`);
  const key_is_bound = key !== key_id;
  return read({ agent_id, tenant_id, oversight_mode, approval_ref, key_id, key_is_bound, signature: hexToBytes(hex) });
}

/** Whether the signature holds over the message that was received. @param keys null where the reader has none. */
export function verifyMessageSignature(
  form: MessageSignatureForm,
  message: CoveredMessage,
  keys: readonly PublishedKey[] | null,
): KeyJudgement {
  const text = utf8(signedText(coveredHeaders(form), message));
  return judgeKeys(keys, message.date, (key) => verifyP256(key, form.signature, text));
}
