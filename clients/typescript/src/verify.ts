/**
 * Checks a message anywhere: in a browser, in Node, in a worker. Needs no network, no server and no other package.
 *
 *     const keys = readGivenKeys(await keyFile.text());
 *     const verdict = await verifyMessage(new Uint8Array(await messageFile.arrayBuffer()), keys);
 */
export type { Claim } from "../../../src/identity/claim.ts";
export { readGivenKeys } from "../../../src/identity/given-keys.ts";
export type { KeyDocument, PublicJwk, PublishedKey, TrustedKeys } from "../../../src/identity/keys.ts";
export { partsOf, partsOfRaw } from "../../../src/identity/mime-leaves.ts";
export { applyPolicy } from "../../../src/identity/policy.ts";
export {
  fingerprintOf,
  publicKeyPem,
  readEd25519,
  readPublicKey,
  UnreadableKey,
} from "../../../src/identity/public-keys.ts";
export { readIdentityTxtRecord } from "../../../src/identity/txt-record.ts";
export type {
  AgentMetadata,
  HeaderVerdict,
  IdentityPolicy,
  IdentityReason,
  MessageVerdict,
  PolicyResult,
} from "../../../src/identity/verdict.ts";
export { verifyMessage, verifyParsed } from "../../../src/identity/verify-message.ts";
