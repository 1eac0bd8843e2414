import "./digest-names-in-workerd.ts";
import { createSeal } from "mailauth/lib/arc/index.js";
import { parseHeaders } from "mailauth/lib/tools.js";
import { type HeaderField, MAX_ARC_SETS, readArcChain } from "./arc-chain.ts";
import { formatResults } from "./arc-results.ts";
import { MAX_HEADER_OCTETS } from "./authenticate-octets.ts";
import type { DkimSigningKey } from "./dkim-sign.ts";
import type { AuthenticationVerdicts } from "./message.ts";

/** Sealing of mail that is passed on, with the verdicts found on arrival (RFC 8617 §5.1). */

export interface ArcSealing {
  /** The forwarding domain's key; any key published for DKIM will do. Many receivers cannot check Ed25519. */
  key: DkimSigningKey;
  /** As the message was judged when it arrived, before anything of it was changed. */
  verdicts: AuthenticationVerdicts;
  /** Our host name (RFC 8601 §2.5). */
  authserv_id: string;
  /** Milliseconds since the epoch. */
  now: number;
}

/** What the message signature covers where it is there: what a reader sees, and what others signed before. */
const COVERED = [
  ...["From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To", "References"],
  ...["MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Description"],
  ...["Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID"],
  ...["List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post"],
  ...["List-Owner", "List-Archive", "DKIM-Signature"],
];

/** The header section, with its empty line where it has one. */
function headerOf(raw: Uint8Array): Buffer {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const ends = [bytes.indexOf("\r\n\r\n"), bytes.indexOf("\n\n")].filter((at) => at >= 0);
  return ends.length > 0 ? bytes.subarray(0, Math.min(...ends)) : bytes;
}

const ARC_FIELD = /^arc-(?:seal|message-signature|authentication-results)$/;

/** The highest instance that any field names, so that a new set never repeats one, and the `cv` of its seal. */
function newestOf(fields: readonly HeaderField[]): { instance: number; cv: string | null } {
  const named = fields
    .filter(({ key }) => ARC_FIELD.test(key))
    .map(({ key, line }) => {
      const value = Buffer.from(line).toString("latin1");
      const instance = Number(/[:;]\s*i\s*=\s*(\d{1,2})\b/.exec(value)?.[1] ?? 0);
      return { instance, cv: key === "arc-seal" ? (/;\s*cv\s*=\s*(\w+)/.exec(value)?.[1] ?? null) : null };
    });
  const instance = Math.max(0, ...named.map((each) => each.instance));
  const cv = named.find((each) => each.instance === instance && each.cv !== null)?.cv ?? null;
  return { instance, cv: cv?.toLowerCase() ?? null };
}

type ChainStatus = "none" | "pass" | "fail";

/**
 * @returns what the new seal says of the chain before it; null where nothing is to be added: the chain is full, or has
 *   ended with `cv=fail` already (RFC 8617 §5.1), or could not be judged, so that neither `pass` nor `fail` is known to be so.
 */
function statusOf(fields: readonly HeaderField[], arcResult: string): ChainStatus | null {
  const { instance, cv } = newestOf(fields);
  if (instance >= MAX_ARC_SETS || cv === "fail" || arcResult === "temperror") return null;
  const chain = readArcChain(fields);
  if (chain.sets === null) return "fail";
  if (chain.sets.length === 0) return "none";
  return arcResult === "pass" ? "pass" : "fail";
}

/**
 * Adds one ARC set (RFC 8617 §5.1): the verdicts as authentication results, a signature over the message as it is now
 * (relaxed/relaxed, without `l=`), and a seal over the chain. A chain that was found invalid is sealed with `cv=fail`, which
 * covers the new set alone (§5.1.2) and ends it.
 * @param raw the message as it will leave, its other signatures included; lines end in CRLF.
 * @returns the message with the set before it; the message itself where nothing can be added: fifty sets, a chain that has
 *   ended already or could not be judged, no From, without which no signature is valid, or a header section too large to judge.
 * @throws Error if the key makes no signature.
 */
export async function sealArc(raw: Uint8Array, { key, verdicts, authserv_id, now }: ArcSealing): Promise<Uint8Array> {
  const header = headerOf(raw);
  if (header.length > MAX_HEADER_OCTETS) return raw;
  const fields = parseHeaders(header).parsed;
  const cv = statusOf(fields, verdicts.arc_result);
  if (cv === null || !fields.some((field) => field.key === "from")) return raw;
  const { headers, errors } = await createSeal(Buffer.from(raw), {
    strict: true,
    seal: {
      signingDomain: key.domain,
      selector: key.selector,
      privateKey: key.private_key_pem,
      algorithm: key.algorithm,
      headerList: COVERED,
      signTime: new Date(now),
      i: newestOf(fields).instance + 1,
      cv,
      authResults: formatResults(authserv_id, { ...verdicts, arc_result: cv }),
    },
  });
  if (headers.length !== 3) {
    throw new Error(`no ARC set by ${key.selector}._domainkey.${key.domain}`, { cause: errors[0]?.err });
  }
  return new Uint8Array(Buffer.concat([Buffer.from(`${headers.join("\r\n")}\r\n`, "latin1"), raw]));
}
