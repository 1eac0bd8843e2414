import { comparableAddress } from "./address.ts";
import { readPlainBounce } from "./bounce-forms.ts";
import { codeIn, statusIn } from "./bounce-kind.ts";
import {
  type DeliveryReport,
  DSN_ACTIONS,
  type DsnAction,
  oneDiagnosticLine,
  type RecipientStatus,
} from "./delivery-report.ts";
import { type ReportMessage, reportBlocks } from "./report-fields.ts";

/** Delivery status notifications (RFC 3464, RFC 6533), and the older forms that say the same in words. */

const STATUS_PARTS = ["message/delivery-status", "message/global-delivery-status"];
export const MAX_STATUSES = 500;

/** RFC 6533 §3: `\x{HEX}` stands for a character that ASCII lacks. */
function decodeUtf8Address(text: string): string {
  return text.replace(/\\x\{([0-9a-f]{2,6})\}/gi, (whole, hex: string) => {
    const point = Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point).toWellFormed() : whole;
  });
}

/** A recipient field (RFC 3464 §2.3.1): `rfc822; ana@customer.example`, `utf-8; …`; some leave the type out. */
function addressIn(field: string | undefined): string[] {
  if (field === undefined) return [];
  const type = /^\s*([a-z0-9-]+)\s*;/i.exec(field);
  const value = field.slice(type?.[0].length ?? 0).trim();
  const plain = type?.[1]?.toLowerCase() === "utf-8" ? decodeUtf8Address(value) : value;
  const address = plain.replace(/^<|>$/g, "").trim();
  return address.includes("@") && address.length <= 512 ? [comparableAddress(address)] : [];
}

function actionIn(field: string | undefined): DsnAction | null {
  // RFC 3464 §2.3.3; a comment may follow.
  const word = /^\s*([a-z]+)/i.exec(field ?? "")?.[1]?.toLowerCase();
  return DSN_ACTIONS.find((action) => action === word) ?? null;
}

/** One block of per-recipient fields (RFC 3464 §2.3). @returns null for a block that says nothing of a recipient. */
function statusOf(fields: ReadonlyMap<string, string>): RecipientStatus | null {
  const action = actionIn(fields.get("action"));
  if (action === null) return null;
  const diagnostic = oneDiagnosticLine((fields.get("diagnostic-code") ?? "").replace(/^\s*[a-z0-9-]+\s*;/i, ""));
  // The Status field has the form of RFC 3463; some add a comment.
  const status = statusIn(fields.get("status") ?? "");
  const said = statusIn(diagnostic);
  return {
    action,
    recipients: [...new Set([fields.get("original-recipient"), fields.get("final-recipient")].flatMap(addressIn))],
    // `5.0.0` is what a gateway writes that knows no better; the server's own words may say more.
    status: status === null || /^[245]\.0\.0$/.test(status) ? (said ?? status) : status,
    code: codeIn(diagnostic),
    diagnostic,
  };
}

/**
 * Reads a report of what became of a message.
 * @param message as `parseMessage` gives it.
 * @returns null for mail that is no such report: it changes nothing then.
 */
export function readDeliveryReport(message: ReportMessage): DeliveryReport | null {
  const parts = message.attachments.filter(({ content_type }) => STATUS_PARTS.includes(content_type.toLowerCase()));
  if (parts.length === 0) return readPlainBounce(message);
  // RFC 3464 §2: one such part. Of several nobody can tell which is meant.
  const [part] = parts;
  if (!part || parts.length > 1) return null;
  const { blocks, truncated } = reportBlocks(part.bytes, MAX_STATUSES + 1);
  const statuses = blocks.map(statusOf).filter((status) => status !== null);
  return statuses.length === 0 ? null : { form: "rfc3464", statuses, truncated };
}

/** Of several that name nobody we know, the mildest counts: an alias of five people of whom one is gone still works. */
const MILDEST_FIRST: readonly DsnAction[] = ["delivered", "relayed", "expanded", "delayed", "failed"];

/**
 * What a report says of the one recipient whose return path it came to.
 * @param recipient whom we wrote to.
 * @returns null where it does not say: too long to have been read whole, and they are not in what was read.
 */
export function statusFor({ statuses, truncated }: DeliveryReport, recipient: string): RecipientStatus | null {
  const wanted = comparableAddress(recipient);
  const own = statuses.filter(({ recipients }) => recipients.includes(wanted));
  if (own.length === 0 && truncated) return null;
  const candidates = own.length > 0 ? own : statuses;
  for (const action of MILDEST_FIRST) {
    const found = candidates.find((status) => status.action === action);
    if (found) return found;
  }
  return null;
}
