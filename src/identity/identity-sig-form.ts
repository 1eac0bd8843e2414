import { MODES, type Mode } from "../oversight/modes.ts";
import { CLAIM_LIMITS } from "./claim.ts";
import { fromBase64, toBase64, utf8 } from "./encoding.ts";
import { HEADER, isOurId, type Read, read, readFields, unread } from "./header-form.ts";
import { judgeKeys, type KeyJudgement } from "./key-life.ts";
import type { PublishedKey, SigningKey } from "./keys.ts";
import { verifyP256 } from "./signatures.ts";

/** FORMATS.md §2.3: `X-MM-Identity-Sig`, for verifiers that are published already. */

export interface IdentitySigFields {
  tenant_id: string;
  agent_id: string;
  oversight_mode: Mode;
  approval_ref: string | null;
}

export interface IdentitySigForm extends IdentitySigFields {
  /** DER. */
  sig: Uint8Array;
  /** DER; null exactly where there is no approval. */
  approval_sig: Uint8Array | null;
}

/**
 * What is signed: as Python's `json.dumps(…, sort_keys=True)` writes it. The values are of characters that JSON never escapes.
 * @param bodyHash lower-case hex SHA-256 of *text*.
 * @param approval the fifth member, for `approval_sig`; null for `sig`.
 */
export function identitySigPayload(
  { tenant_id, agent_id, oversight_mode }: Omit<IdentitySigFields, "approval_ref">,
  bodyHash: string,
  approval: string | null,
): string {
  const members: [string, string][] = [
    ["agent", agent_id],
    ...(approval === null ? [] : [["approval", approval] as [string, string]]),
    ["body_hash", bodyHash],
    ["oversight", oversight_mode],
    ["tenant", tenant_id],
  ];
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(", ")}}`;
}

/** @param bodyHash lower-case hex. @returns the header's value and its signatures, base64. The fields are a claim's. */
export function writeIdentitySig(
  fields: IdentitySigFields,
  bodyHash: string,
  key: SigningKey,
): { value: string; sig: string; approval_sig: string | null } {
  const { tenant_id, agent_id, oversight_mode, approval_ref } = fields;
  const sign = (approval: string | null) => toBase64(key.sign(utf8(identitySigPayload(fields, bodyHash, approval))));
  const sig = sign(null);
  const approval_sig = approval_ref === null ? null : sign(approval_ref);
  const approval = approval_ref === null ? "" : `approval=${approval_ref}; approval_sig=${approval_sig}; `;
  const value = `tenant=${tenant_id}; agent=${agent_id}; oversight=${oversight_mode}; ${approval}sig=${sig}`;
  return { value, sig, approval_sig };
}

/** @returns what the header's value says. An approval without its signature is a fault, and so is the reverse. */
export function readIdentitySig(value: string): Read<IdentitySigForm> {
  const known = ["tenant", "agent", "oversight", "approval?", "approval_sig?", "sig"];
  const fields = readFields(HEADER.identity_sig, value, known);
  if (fields.fault) return fields;
  const of = (name: string) => fields.value.get(name);
  if ((of("approval") === undefined) !== (of("approval_sig") === undefined)) {
    return unread("missing_part", "An approval and its signature belong together.");
  }
  const [tenant_id, agent_id, approval_ref = null] = [of("tenant"), of("agent") ?? "", of("approval")];
  const oversight_mode = MODES.find((mode) => mode === of("oversight"));
  const sig = fromBase64(of("sig") ?? "");
  const approval_sig = fromBase64(of("approval_sig") ?? "");
  if (!sig || !approval_sig || !oversight_mode || !isOurId(tenant_id) || !CLAIM_LIMITS.agent_id.test(agent_id)) {
    return unread("malformed", `${HEADER.identity_sig} cannot be read.`);
  }
  if (approval_ref !== null && !isOurId(approval_ref)) return unread("malformed", "The approval is no id.");
  const signed = approval_ref === null ? null : approval_sig;
  return read({ tenant_id, agent_id, oversight_mode, approval_ref, sig, approval_sig: signed });
}

/**
 * Whether the signatures hold over the text that was received. Both must be of one key.
 * @param bodyHash lower-case hex SHA-256 of *text*.
 * @param at the message's Date. @param keys null where the reader has none.
 */
export function verifyIdentitySig(
  form: IdentitySigForm,
  bodyHash: string,
  at: Date,
  keys: readonly PublishedKey[] | null,
): KeyJudgement {
  const payload = utf8(identitySigPayload(form, bodyHash, null));
  const { sig, approval_sig, approval_ref } = form;
  return judgeKeys(keys, at, (key) => {
    if (!verifyP256(key, sig, payload)) return false;
    return (
      approval_sig === null || verifyP256(key, approval_sig, utf8(identitySigPayload(form, bodyHash, approval_ref)))
    );
  });
}
