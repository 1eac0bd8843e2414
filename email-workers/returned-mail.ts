import type { MailboxRpc, ReturnedMail } from "../durable-objects/mailbox-rpc.ts";
import type { Env } from "../src/env.ts";
import { newId, type RandomBytes, randomBytes, routingNumberOf } from "../src/ids.ts";
import { comparableAddress } from "../src/mail/address.ts";
import { isBounceAddress, readBounceAddress } from "../src/mail/bounce-address.ts";
import { readDeliveryReport } from "../src/mail/delivery-status-notification.ts";
import { readFeedbackReport } from "../src/mail/feedback-report.ts";
import { type ParsedMessage, parseMessage } from "../src/mail/parse.ts";
import type { RecipientRef } from "../src/mail/recipient-token.ts";
import { deleteKeys, returnedKey, storeRaw } from "../src/store/mail-store.ts";

/**
 * Mail to return paths and to the address of feedback loops: reports about what we sent. Whom one is about says a token of ours
 * alone, in the address it comes to or in the report; without one nothing is changed, and the server is told there is no such
 * mailbox, as for any other address that is not there.
 */

/** What it takes from outside. */
export interface ReturnedEnv extends Pick<Env, "DB" | "STORE" | "MAIL_DOMAIN" | "MASTER_KEY" | "MASTER_KEY_PREVIOUS"> {
  MAILBOX: { getByName(routing: string): Pick<MailboxRpc, "expectReturned" | "takeReturned"> };
}

interface Dependencies {
  now(): number;
  random?: RandomBytes;
}

/** The local part where providers send complaints; no mailbox has it. */
export const COMPLAINTS_LOCAL_PART = "complaints";

/** The machine parts come first; of the returned message, which may be 25 MiB, the beginning is enough. */
const READ_OCTETS = 1024 * 1024;
/** A complaint is kept in memory until its message is known. */
const MAX_COMPLAINT_OCTETS = 10 * 1024 * 1024;

const NO_MAILBOX = "550 5.1.1 There is no such mailbox here.";
const NO_MESSAGE = "550 5.6.0 This report names no message that was sent from here.";
const TOO_LARGE = "552 5.3.4 The report is larger than 10 MiB.";

/** Whose mailbox a message of ours was sent from. */
export interface Sender {
  id: string;
  tenant_id: string;
  routing: string;
}

/**
 * What was done with a message. `taken`: it is answered for. `ordinary`: it came to a return path and is no report, such as an
 * out-of-office answer, and belongs into the mailbox like any other mail; its bytes are in the store under `key`.
 */
export type Returned = { state: "taken" } | { state: "ordinary"; sender: Sender; key: string };

/** @returns whether a message is for this module: nobody's mailbox is at such an address. */
export function isForReports(env: Pick<Env, "MAIL_DOMAIN">, to: string): boolean {
  return (
    isBounceAddress(to) || comparableAddress(to) === comparableAddress(`${COMPLAINTS_LOCAL_PART}@${env.MAIL_DOMAIN}`)
  );
}

async function senderOf(db: D1Database, emailId: string): Promise<Sender | null> {
  return await db
    .prepare("SELECT id, tenant_id, routing FROM mailboxes WHERE routing = ?1")
    .bind(routingNumberOf(emailId))
    .first<Sender>();
}

/** Lets a stream pass and keeps its beginning. */
function keeping(
  stream: ReadableStream<Uint8Array>,
  most: number,
): { stream: ReadableStream<Uint8Array>; kept: Uint8Array } {
  const kept = new Uint8Array(most);
  let at = 0;
  const watch = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      if (at < most) kept.set(chunk.subarray(0, most - at), at);
      at += chunk.length;
      controller.enqueue(chunk);
    },
  });
  return { stream: stream.pipeThrough(watch), kept };
}

/** A bounce as its return path names it; null for what is no report. */
function readReport(parsed: ParsedMessage): ReturnedMail["report"] | null {
  const feedback = readFeedbackReport(parsed);
  if (feedback) return { kind: "feedback", type: feedback.type, means: feedback.means };
  const report = readDeliveryReport(parsed);
  return report && { kind: "delivery", report };
}

/** Calls the mailbox's object. A reset object's stub throws, so one fresh stub is tried; either call may come twice. */
async function ask<T>(
  env: ReturnedEnv,
  routing: string,
  call: (mailbox: ReturnType<ReturnedEnv["MAILBOX"]["getByName"]>) => Promise<T>,
): Promise<T> {
  try {
    return await call(env.MAILBOX.getByName(routing));
  } catch {
    return await call(env.MAILBOX.getByName(routing));
  }
}

/**
 * Where the bytes of what comes back about a message are to lie. The mailbox knows before they do: from here on a crash, or a store that
 * does not delete, leaves nothing for longer than an hour. Null: there is no such mailbox.
 */
async function placeFor(
  env: ReturnedEnv,
  { id: mailbox_id, tenant_id, routing }: Sender,
  { email_id }: RecipientRef,
  deps: Dependencies,
): Promise<string | null> {
  const id = newId("em", deps.now(), routing, deps.random ?? randomBytes);
  const key = returnedKey(tenant_id, mailbox_id, email_id, id);
  return (await ask(env, routing, (mailbox) => mailbox.expectReturned(key))) ? key : null;
}

interface Found {
  sender: Sender;
  recipient: RecipientRef;
  report: ReturnedMail["report"];
  raw_key: string;
  rfc_message_id: string | null;
}

/** @returns why it is rejected, or null: then it is recorded, or was known. */
async function record(env: ReturnedEnv, { sender, recipient, ...report }: Found): Promise<string | null> {
  const returned: ReturnedMail = { ...recipient, ...report };
  const outcome = await ask(env, sender.routing, (mailbox) => mailbox.takeReturned(returned));
  if (outcome === "recorded") return null;
  await deleteKeys(env.STORE, [report.raw_key]);
  return outcome === "unknown" ? NO_MAILBOX : null;
}

/**
 * Receives a message for a return path or the address of complaints (`isForReports`).
 *
 * Returned means: durable and counted, or rejected for good. A throw is a breakdown of ours: the sender tries again.
 */
export async function receiveReturned(
  message: ForwardableEmailMessage,
  env: ReturnedEnv,
  deps: Dependencies,
): Promise<Returned> {
  const reject = (reason: string): Returned => {
    message.setReject(reason);
    return { state: "taken" };
  };
  if (!isBounceAddress(message.to)) return receiveComplaint(message, env, deps, reject);
  const recipient = readBounceAddress(env, message.to, deps.now());
  const sender = recipient && (await senderOf(env.DB, recipient.email_id));
  const raw_key = recipient && sender && (await placeFor(env, sender, recipient, deps));
  if (!recipient || !sender || !raw_key) return reject(NO_MAILBOX);
  const { stream, kept } = keeping(message.raw, Math.min(message.rawSize, READ_OCTETS));
  await storeRaw(env.STORE, raw_key, stream, message.rawSize);
  const parsed = await parseMessage(kept);
  const report = readReport(parsed);
  if (report === null) return { state: "ordinary", sender, key: raw_key };
  const { rfc_message_id } = parsed;
  const rejection = await record(env, { sender, recipient, report, raw_key, rfc_message_id });
  return rejection === null ? { state: "taken" } : reject(rejection);
}

/** A complaint at the common address: its message is the one whose return path stands in the report. */
async function receiveComplaint(
  message: ForwardableEmailMessage,
  env: ReturnedEnv,
  deps: Dependencies,
  reject: (reason: string) => Returned,
): Promise<Returned> {
  if (message.rawSize > MAX_COMPLAINT_OCTETS) return reject(TOO_LARGE);
  const raw = new Uint8Array(await new Response(message.raw).arrayBuffer());
  const parsed = await parseMessage(raw.subarray(0, READ_OCTETS));
  const report = readFeedbackReport(parsed);
  const named = (report?.return_paths ?? []).map((path) => readBounceAddress(env, path, deps.now()));
  const recipient = named.find((each) => each !== null);
  const sender = recipient && (await senderOf(env.DB, recipient.email_id));
  const raw_key = report && recipient && sender && (await placeFor(env, sender, recipient, deps));
  if (!report || !recipient || !sender || !raw_key) return reject(NO_MESSAGE);
  await env.STORE.put(raw_key, raw, { httpMetadata: { contentType: "message/rfc822" } });
  const { type, means } = report;
  const { rfc_message_id } = parsed;
  const feedback = { kind: "feedback", type, means } as const;
  const rejection = await record(env, { sender, recipient, report: feedback, raw_key, rfc_message_id });
  return rejection === null ? { state: "taken" } : reject(NO_MESSAGE);
}
