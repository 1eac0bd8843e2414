import "./digest-names-in-workerd.ts";
import type { DKIMResult } from "mailauth";
import { arc } from "mailauth/lib/arc/index.js";
import type { DkimVerifier } from "mailauth/lib/dkim/dkim-verifier.js";
import { type ArcSet, readArcChain } from "./arc-chain.ts";
import { onlyResult, readResults } from "./arc-results.ts";
import { MIN_RSA_BITS } from "./authenticate-dkim.ts";
import { comment } from "./authenticate-lookups.ts";
import type { ArcCheck, ArcSealer } from "./authentication-checks.ts";
import type { Resolver } from "./dns-over-https.ts";

/** ARC (RFC 8617): whether the hops that a message went through are who they say, and what they say. */

function notPassed(result: string, reason: string, domain: string | null = null): ArcCheck {
  return { result, domain, reason: comment(reason) ?? "", sealers: [], covers_message: false };
}

function sealerOf({ instance, sealer, signer, results }: ArcSet): ArcSealer {
  const reported = readResults(results);
  const dmarc = onlyResult(reported, "dmarc");
  return {
    instance,
    domain: sealer,
    signed_message: signer === sealer,
    arc: onlyResult(reported, "arc")?.result ?? null,
    dmarc: dmarc?.result ?? null,
    dmarc_from: dmarc?.properties.get("header.from")?.toLowerCase() ?? null,
  };
}

/** The names of the keys that a verdict on the chain depends on. */
function keyNames(verifier: DkimVerifier): string[] {
  const chain = Array.isArray(verifier.arc.chain) ? verifier.arc.chain : [];
  return chain.flatMap((set) =>
    [set["arc-seal"], set["arc-message-signature"]].map((signature) =>
      `${signature?.parsed?.s?.value}._domainkey.${signature?.parsed?.d?.value}`.toLowerCase(),
    ),
  );
}

const coversBody = (signature: DKIMResult | false | undefined) =>
  signature !== undefined && signature !== false && signature.canonBodyLengthLimited !== true;

/**
 * Validates the chain of a message that `verifier` has read to its end (RFC 8617 §5.2). Its structure is checked by us first,
 * and what is malformed is not verified at all.
 * @param resolver answers for the keys; `brokenNames` has the names that it could not answer for.
 * @param repeated a field that occurs twice and may not, so that a reader may see another than was signed.
 */
export async function judgeArc(
  verifier: DkimVerifier,
  resolver: Resolver,
  brokenNames: ReadonlySet<string>,
  repeated: string | undefined,
): Promise<ArcCheck> {
  const chain = readArcChain(verifier.headers ? verifier.headers.parsed : []);
  if (chain.sets === null) return notPassed("fail", `The chain is malformed: ${chain.fault}.`);
  const newest = chain.sets.at(-1);
  if (newest === undefined) return notPassed("none", "The message has no ARC set.");
  const { status, signature } = await arc(verifier.arc, { resolver, minBitLength: MIN_RSA_BITS, strict: true });
  if (status.result === "pass") {
    return {
      result: "pass",
      domain: newest.sealer,
      reason: `The chain is valid up to ${newest.sealer}. What it says is worth what its sealers are.`,
      sealers: chain.sets.map(sealerOf),
      covers_message: coversBody(signature) && repeated === undefined,
    };
  }
  if (keyNames(verifier).some((name) => brokenNames.has(name))) {
    return notPassed("temperror", "The DNS did not answer for a key of the chain.", newest.sealer);
  }
  const why = comment(status.comment) ?? "a signature of it is not valid";
  return notPassed("fail", `The chain does not hold: ${why}.`, newest.sealer);
}
