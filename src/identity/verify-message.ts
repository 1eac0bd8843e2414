import { Fields, readCovered } from "./covered-fields.ts";
import type { CoveredMessage } from "./covered-message.ts";
import { type Fault, HEADER } from "./header-form.ts";
import { type Findings, judgeForms, type Said } from "./judge-forms.ts";
import type { TrustedKeys } from "./keys.ts";
import type { MessageSignatureForm } from "./message-signature.ts";
import { type MessageParts, partsOfRaw } from "./mime-leaves.ts";
import { comparable, wholeSeconds } from "./normal-form.ts";
import type { AgentMetadata, MessageVerdict } from "./verdict.ts";

export { IDENTITY_HEADERS } from "./covered-fields.ts";

/** FORMATS.md §2.6: whether a message is from the agent that it names, with the approval that it names. */

function disagreement(detail: string): Fault {
  return { reason: "disagrees", detail };
}

/** The message's own email id, where its Message-ID is ours. */
function emailIdOf({ message_id }: CoveredMessage): string | null {
  return /^<(em_[^@>]+)@/.exec(message_id)?.[1] ?? null;
}

/** What two forms say of one message, where both have a word for it. */
const COMPARED: readonly (readonly [keyof Said, string])[] = [
  ["agent_id", "agent"],
  ["oversight_mode", "oversight mode"],
  ["tenant_id", "tenant"],
  ["approval_ref", "approval"],
];

function disagreements({ all, signature, claim }: Findings, covered: CoveredMessage | null): Fault[] {
  const said = all.flatMap((finding) => finding.said ?? []);
  const reference: Said | undefined = signature ?? said[0];
  const differing = COMPARED.filter(([name]) =>
    said.some(
      (one) => reference && one[name] !== undefined && one[name] !== reference[name] && reference[name] !== undefined,
    ),
  ).map(([, word]) => disagreement(`The headers do not name the same ${word}.`));
  const emailId = covered && emailIdOf(covered);
  const isOther = claim !== null && emailId !== null && emailId !== claim.email_id;
  return isOther ? [...differing, disagreement("The claim is of another message than the Message-ID.")] : differing;
}

/** FORMATS.md §2.5. Without a claim nobody signed whether it is disclosed. */
function disclosureFault({ claim }: Findings, fields: Fields): Fault | null {
  const [value] = fields.values(HEADER.disclosure);
  if (value !== undefined && value !== "true") return disagreement(`${HEADER.disclosure} can only say true.`);
  if (!claim || (value === "true") === claim.ai_disclosure) return null;
  return disagreement(`${HEADER.disclosure} does not agree with the claim.`);
}

/** Who sent it, against the claim and what the keys' owner may write from. */
function senderFaults({ all, claim }: Findings, covered: CoveredMessage, keys: TrustedKeys | null): Fault[] {
  const faults: Fault[] = [];
  const from = comparable(covered.from);
  if (claim && comparable(claim.mailbox) !== from) {
    faults.push({ reason: "wrong_sender", detail: "The claim is of another mailbox than From." });
  }
  const domain = from.slice(from.lastIndexOf("@") + 1);
  if (keys?.domains && !keys.domains.some((own) => own.toLowerCase() === domain)) {
    faults.push({ reason: "foreign_domain", detail: "From's domain is not one that the keys' owner writes from." });
  }
  const isForeign = all.some(({ said }) => said?.tenant_id !== undefined && said.tenant_id !== keys?.tenant_id);
  if (keys && keys.tenant_id !== null && isForeign) {
    faults.push(disagreement("The message names another tenant than the one whose keys these are."));
  }
  return faults;
}

/** The first of each reason. */
function eachOnce(faults: readonly Fault[]): Fault[] {
  return faults.filter(({ reason }, index) => faults.findIndex((fault) => fault.reason === reason) === index);
}

function headerFaults({ all }: Findings): Fault[] {
  return all.flatMap(({ verdict: { header, reason, detail } }) =>
    reason ? [{ reason, detail: `${header}: ${detail}` }] : [],
  );
}

function missing({ all, unbound }: Findings): Fault[] {
  const hasSignature = all.some(({ verdict }) => verdict.form === "message_signature");
  const faults: Fault[] = [];
  if (!hasSignature) {
    faults.push({
      reason: "missing_signature",
      detail: `The message has no ${HEADER.signature}, which signs it as a whole.`,
    });
  }
  if (unbound) {
    faults.push({
      reason: "missing_signature",
      detail: `${HEADER.identity} has no msig, which binds it to this message.`,
    });
  }
  return faults;
}

function metadata({ claim }: Findings, signature: MessageSignatureForm, covered: CoveredMessage): AgentMetadata {
  return {
    agent_id: signature.agent_id,
    tenant_id: signature.tenant_id,
    oversight_mode: signature.oversight_mode,
    approval_ref: signature.approval_ref,
    approval_kind: claim?.approval_kind ?? null,
    model_id: claim?.model_id ?? null,
    model_provider: claim?.model_provider ?? null,
    email_id: claim?.email_id ?? emailIdOf(covered),
    sent_at: claim?.sent_at ?? wholeSeconds(covered.date).replace("Z", ".000Z"),
    ai_disclosure: claim?.ai_disclosure ?? null,
    key_id: signature.key_id,
    key_is_bound: signature.key_is_bound,
  };
}

/** A message with nothing to verify; `fault` where that is because it cannot be read. */
function nothingToVerify(fields: Fields, fault: Fault | null): MessageVerdict {
  return {
    verified: fault ? false : null,
    reasons: fault ? [fault] : [],
    headers: [],
    claim: null,
    agent_metadata: null,
    identity_headers: fields.identityHeaders(),
  };
}

/**
 * Verifies a message whose parts are known (FORMATS.md §2.6).
 * @param keys what the reader trusts; null where it has no keys for the sender. Nothing in the message adds to them.
 * @returns the verdict. Never throws for whatever a message says.
 */
export function verifyParsed(parts: MessageParts, keys: TrustedKeys | null): MessageVerdict {
  const fields = new Fields(parts.headers);
  if (!fields.carryIdentity()) return nothingToVerify(fields, parts.headers.length === 0 ? parts.unreadable : null);
  const covered = readCovered(fields, parts);
  const found = judgeForms({ fields, parts, covered, keys });
  const disclosure = disclosureFault(found, fields);
  const reasons = eachOnce([
    ...(parts.unreadable ? [parts.unreadable] : []),
    ...fields.faults(),
    ...(covered.fault ? [covered.fault] : senderFaults(found, covered.value, keys)),
    ...headerFaults(found),
    ...missing(found),
    ...disagreements(found, covered.value),
    ...(disclosure ? [disclosure] : []),
  ]);
  const agent = found.signature && covered.value && metadata(found, found.signature, covered.value);
  const verified = reasons.length === 0 && agent !== null;
  return {
    verified,
    reasons,
    headers: found.all.map(({ verdict }) => verdict),
    claim: found.payload,
    agent_metadata: verified ? agent : null,
    identity_headers: fields.identityHeaders(),
  };
}

/**
 * Verifies a message as it was received (FORMATS.md §2.6).
 * @param raw its octets. @param keys as for `verifyParsed`.
 * @returns the verdict, in bounded time. Never throws for whatever octets.
 */
export async function verifyMessage(raw: Uint8Array, keys: TrustedKeys | null): Promise<MessageVerdict> {
  return verifyParsed(await partsOfRaw(raw), keys);
}
