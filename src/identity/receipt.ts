import type { Claim } from "./claim.ts";
import { toBase64url, utf8 } from "./encoding.ts";
import type { SigningKey } from "./keys.ts";
import { rawOfDer } from "./signatures.ts";

/** FORMATS.md §4: what is kept of a delivered message's identity, signed so that any JOSE library verifies it. */

export interface Receipt {
  /** The claim of the compact form. */
  payload: Claim;
  /** The value of `X-MultiMail-Identity`. */
  signature_header: string;
  verified: boolean;
  key_fingerprint: string;
  kid: string;
  /** ISO 8601 UTC with milliseconds. */
  issued_at: string;
  /** The deployment's address. */
  issuer: string;
  /** The tenant's newest checkpoint of its audit log when it was made, as a signed note (FORMATS.md §6). */
  checkpoint: string;
  /** A JWS (RFC 7515 §3.1, compact) over all the other fields: ES256, r ‖ s (RFC 7518 §3.4). */
  jws: string;
}

export interface ReceiptInput extends Omit<Receipt, "payload" | "kid" | "jws"> {
  claim: Claim;
}

/** @throws Error if the key's signature is not DER, or the claim is of another key: mistakes of ours. */
export function makeReceipt({ claim, ...facts }: ReceiptInput, key: SigningKey): Receipt {
  if (claim.kid !== key.kid) throw new Error("The receipt is signed with another key than its claim");
  const { signature_header, verified, key_fingerprint, issued_at, issuer, checkpoint } = facts;
  const fields = {
    payload: claim,
    signature_header,
    verified,
    key_fingerprint,
    kid: key.kid,
    issued_at,
    issuer,
    checkpoint,
  };
  const header = { alg: "ES256", kid: key.kid, typ: "multimail-receipt+jwt" };
  const signed = [header, fields].map((part) => toBase64url(utf8(JSON.stringify(part)))).join(".");
  const signature = rawOfDer(key.sign(utf8(signed)));
  if (!signature) throw new Error("The key's signature is not DER");
  return { ...fields, jws: `${signed}.${toBase64url(signature)}` };
}
