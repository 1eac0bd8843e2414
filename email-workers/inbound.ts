import { createHash } from "node:crypto";
import type { MailboxRpc } from "../durable-objects/mailbox-rpc.ts";
import type { Env } from "../src/env.ts";
import { newId, type RandomBytes, randomBytes } from "../src/ids.ts";
import { comparableAddress } from "../src/mail/address.ts";
import { authenticateMessage } from "../src/mail/authenticate.ts";
import { automaticFlags } from "../src/mail/automatic-mail.ts";
import { cachedResolver } from "../src/mail/dns-cache.ts";
import { dnsOverHttps, type Resolver } from "../src/mail/dns-over-https.ts";
import { guardLinks, revokeTokens } from "../src/mail/link-guard.ts";
import type { ReceivedMessage, StoredAttachment } from "../src/mail/message.ts";
import { PARSE_LIMITS, type ParsedMessage, parseMessage } from "../src/mail/parse.ts";
import { judgeIdentity } from "../src/mail/received-identity.ts";
import { clientOfReceivedLine } from "../src/mail/received-line.ts";
import { keysOfSender } from "../src/store/identity-keys.ts";
import {
  attachmentKey,
  bodiesKey,
  deleteKeys,
  type MessageBodies,
  rawKey,
  storeAttachments,
  storeBodies,
  storeRaw,
} from "../src/store/mail-store.ts";
import { existingRoutings } from "../src/store/routing-lookup.ts";
import { isForReports, type ReturnedEnv, receiveReturned } from "./returned-mail.ts";

/** What the handler takes from outside; tests pass their own. */
export interface InboundDependencies {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Reaches the DNS-over-HTTPS server. */
  fetch: typeof fetch;
  random?: RandomBytes;
}

/** Answers kept in an isolate: what some hundreds of senders' signatures and policies take. */
const DNS_ANSWERS_KEPT = 2_000;
const resolvers = new WeakMap<InboundDependencies, Resolver>();

/** Each message's look-ups share what the DNS has answered to earlier ones with the same dependencies. */
function resolverOf({ DOH_URL }: Pick<Env, "DOH_URL">, deps: InboundDependencies): Resolver {
  const known = resolvers.get(deps);
  if (known) return known;
  const resolver = cachedResolver(dnsOverHttps(DOH_URL, deps.fetch), { now: deps.now, limit: DNS_ANSWERS_KEPT });
  resolvers.set(deps, resolver);
  return resolver;
}

/** The bindings and settings it uses. */
export interface InboundEnv
  extends Pick<Env, "DB" | "STORE" | "DOH_URL" | "INBOUND_RECEIVED_BY">,
    Omit<ReturnedEnv, "MAILBOX"> {
  MAILBOX: {
    getByName(routing: string): Pick<MailboxRpc, "receive" | "revokeLinks" | "expectReturned" | "takeReturned">;
  };
}

/** The largest message a sender may hand in. */
export const MAX_MESSAGE_OCTETS = 25 * 1024 * 1024;
/**
 * The receiving server counts what the sender handed in, then writes its trace fields on top (RFC 5321 §4.4; Email Routing
 * adds verdicts and an ARC set). `rawSize` has them, so without this room a message of just 25 MiB would be refused.
 */
export const MAX_TRACE_OCTETS = 16 * 1024;
/** A larger message keeps its raw bytes, headers and text: parsed whole it would not fit into an isolate's memory. */
export const MAX_PARSED_OCTETS = 10 * 1024 * 1024;
/** Bodies beyond this go to R2. */
const MAX_INLINE_BODIES_OCTETS = 64 * 1024;
const BODY_BEGINNING_CHARACTERS = 8 * 1024;
/** Where our own server's Received line is looked for. */
const HEAD_OCTETS = 4 * 1024;

const NO_MAILBOX = "550 5.1.1 There is no such mailbox here.";
const TOO_LARGE = "552 5.3.4 The message is larger than 25 MiB.";

interface Recipient {
  id: string;
  tenant_id: string;
  routing: string;
}

/** @returns the addresses a mailbox for `recipient` may have, the exact one first, then without its `+tag` (RFC 5233). */
function candidateAddresses(recipient: string): string[] {
  const exact = comparableAddress(recipient);
  const at = exact.lastIndexOf("@");
  const plus = exact.indexOf("+");
  return plus > 0 && plus < at ? [exact, exact.slice(0, plus) + exact.slice(at)] : [exact];
}

async function findRecipient(db: D1Database, recipient: string): Promise<Recipient | null> {
  for (const address of candidateAddresses(recipient)) {
    const row = await db
      .prepare("SELECT id, tenant_id, routing, settings FROM mailboxes WHERE address = ?1")
      .bind(address)
      .first<Recipient & { settings: string }>();
    if (row === null) continue;
    const settings: unknown = JSON.parse(row.settings);
    const inactive =
      typeof settings === "object" && settings !== null && "is_active" in settings && settings.is_active === false;
    return inactive ? null : { id: row.id, tenant_id: row.tenant_id, routing: row.routing };
  }
  return null;
}

/** A message as it is taken in. */
type Arriving = Pick<ForwardableEmailMessage, "from" | "to" | "raw" | "rawSize" | "setReject">;

/** What passes by while the raw bytes stream into R2. */
interface Observed {
  stream: ReadableStream<Uint8Array>;
  /** The first octets, as many as will be parsed. */
  kept: Uint8Array;
  hash: ReturnType<typeof createHash>;
}

function observe(raw: ReadableStream<Uint8Array>, size: number, receivedBy: string): Observed {
  const kept = new Uint8Array(size <= MAX_PARSED_OCTETS ? size : PARSE_LIMITS.prefix);
  const hash = createHash("sha256");
  const headLength = Math.min(size, HEAD_OCTETS);
  let at = 0;
  const watch = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      if (at < kept.length) kept.set(chunk.subarray(0, kept.length - at), at);
      const before = at;
      at += chunk.length;
      if (before >= headLength) {
        hash.update(chunk);
      } else if (at >= headLength) {
        hash.update(kept.subarray(ownReceivedLength(kept.subarray(0, headLength), receivedBy), headLength));
        hash.update(chunk.subarray(headLength - before));
      }
      controller.enqueue(chunk);
    },
  });
  return { stream: raw.pipeThrough(watch), kept, hash };
}

/**
 * Our own mail server writes a Received line anew, with another time and id, each time a sender tries again. It is left out
 * of the fingerprint, or no redelivery would be known.
 * @param head the first octets of the message.
 * @returns how long that line is at the top of them, in octets; 0 if the first line is another's.
 */
function ownReceivedLength(head: Uint8Array, receivedBy: string): number {
  const field = /^Received:((?:[^\n]|\n[ \t])*)\n/i.exec(Buffer.from(head).toString("latin1"));
  return field && clientOfReceivedLine(field[1] ?? "", receivedBy) ? field[0].length : 0;
}

function fingerprintOf(observed: Observed, from: string, to: string): string {
  return observed.hash.update("\0").update(from).update("\0").update(to).digest("hex");
}

async function rawStream(bucket: R2Bucket, key: string): Promise<ReadableStream<Uint8Array>> {
  const object = await bucket.get(key);
  if (object === null) throw new Error("the raw message is missing in R2 right after it was stored");
  return object.body;
}

function beginning(text: string): string {
  return text.slice(0, BODY_BEGINNING_CHARACTERS).toWellFormed();
}

/** @returns the bodies for the object: whole, or their beginnings with `bodies_key`, which then is durable. */
async function placeBodies(
  bucket: R2Bucket,
  key: string,
  { markdown, quoted, text, html }: ParsedMessage,
  keys: string[],
): Promise<MessageBodies & Pick<ReceivedMessage, "bodies_key">> {
  const bodies = { markdown, quoted, text, html };
  const octets = Object.values(bodies).reduce((sum, body) => sum + Buffer.byteLength(body ?? ""), 0);
  if (octets <= MAX_INLINE_BODIES_OCTETS) return { ...bodies, bodies_key: null };
  keys.push(key);
  await storeBodies(bucket, key, bodies);
  return {
    markdown: beginning(markdown),
    quoted: quoted === null ? null : beginning(quoted),
    text: beginning(text),
    html: html === null ? null : beginning(html),
    bodies_key: key,
  };
}

/**
 * Makes an arriving message durable in R2 and into what the mailbox object stores.
 * @param keys receives every R2 key before it is written, so that the caller can delete them.
 */
async function takeIn(
  message: Arriving,
  recipient: Recipient,
  env: InboundEnv,
  deps: InboundDependencies,
  keys: string[],
): Promise<ReceivedMessage> {
  const id = newId("em", deps.now(), recipient.routing, deps.random ?? randomBytes);
  const raw_key = rawKey(recipient.tenant_id, recipient.id, id);
  keys.push(raw_key);
  const observed = observe(message.raw, message.rawSize, env.INBOUND_RECEIVED_BY);
  await storeRaw(env.STORE, raw_key, observed.stream, message.rawSize);
  const large = message.rawSize > MAX_PARSED_OCTETS;
  const parsed = await parseMessage(observed.kept, { large });
  const dns = resolverOf(env, deps);
  const authentication = await authenticateMessage(
    {
      raw: large ? await rawStream(env.STORE, raw_key) : observed.kept,
      envelope_from: message.from,
      client: clientOfReceivedLine(parsed.first_received, env.INBOUND_RECEIVED_BY),
      from: parsed.from,
      mta: env.MAIL_DOMAIN,
      now: deps.now(),
    },
    dns,
  );
  const identity = await judgeIdentity(
    { raw: observed.kept, large, from: parsed.from, headers: parsed.headers, authentication },
    { ownKeys: (address) => keysOfSender(env.DB, env, address), dns },
  );
  const envelope = { envelope_from: message.from, envelope_to: message.to };
  const { headers, rfc_message_id } = parsed;
  const automatic = automaticFlags({ headers, rfc_message_id, ...envelope, routing: recipient.routing });
  const flags = [...parsed.flags, ...automatic];
  const guarded = guardLinks(observed.kept, { ...parsed, ...envelope, flags, authentication, identity });
  // Before anything that an agent can read is stored: a link that cannot be withdrawn now must not be delivered.
  await revokeTokens(guarded.tokens, (routing) => env.MAILBOX.getByName(routing), existingRoutings(env.DB));
  const { first_received: _, attachments, ...fields } = guarded.message;
  const stored: StoredAttachment[] = [];
  const keyOf = (n: number) => attachmentKey(recipient.tenant_id, recipient.id, id, n);
  keys.push(...attachments.map((_attachment, n) => keyOf(n)));
  await storeAttachments(env.STORE, keyOf, attachments, stored);
  return {
    ...fields,
    ...(await placeBodies(env.STORE, bodiesKey(recipient.tenant_id, recipient.id, id), guarded.message, keys)),
    id,
    raw_key,
    raw_size: message.rawSize,
    fingerprint: fingerprintOf(observed, message.from, message.to),
    attachments: stored,
  };
}

type Receipt = Awaited<ReturnType<MailboxRpc["receive"]>>;

/** Hands over. A reset object's stub throws, so one fresh stub is tried; the fingerprint makes that safe. */
async function handOver(env: InboundEnv, routing: string, received: ReceivedMessage): Promise<Receipt> {
  try {
    return await env.MAILBOX.getByName(routing).receive(received);
  } catch {
    return await env.MAILBOX.getByName(routing).receive(received);
  }
}

/**
 * Receives one message from the mail server.
 *
 * Returned without a reject means: durable, in R2 and in the mailbox object, and the server may answer 250. A reject is final
 * (5xx). A throw is a breakdown of ours: the server answers 4xx and the sender tries again.
 */
export async function receiveEmail(
  message: ForwardableEmailMessage,
  env: InboundEnv,
  deps: InboundDependencies,
): Promise<void> {
  if (message.rawSize > MAX_MESSAGE_OCTETS + MAX_TRACE_OCTETS) return message.setReject(TOO_LARGE);
  if (isForReports(env, message.to)) {
    const returned = await receiveReturned(message, env, deps);
    if (returned.state === "taken") return;
    // An answer to a return path is mail like any other.
    const raw = await rawStream(env.STORE, returned.key);
    try {
      const { from, to, rawSize } = message;
      const setReject = (reason: string) => message.setReject(reason);
      return await receiveFor(returned.sender, { from, to, raw, rawSize, setReject }, env, deps);
    } finally {
      await deleteKeys(env.STORE, [returned.key]);
    }
  }
  const recipient = await findRecipient(env.DB, message.to);
  if (recipient === null) return message.setReject(NO_MAILBOX);
  return receiveFor(recipient, message, env, deps);
}

async function receiveFor(
  recipient: Recipient,
  message: Arriving,
  env: InboundEnv,
  deps: InboundDependencies,
): Promise<void> {
  const keys: string[] = [];
  let received: ReceivedMessage;
  try {
    received = await takeIn(message, recipient, env, deps, keys);
  } catch (error) {
    await deleteKeys(env.STORE, keys).catch((cause) => {
      throw new AggregateError([error, cause], "a message could not be taken in, nor what was stored of it deleted");
    });
    throw error;
  }
  // If this throws, the object may or may not have committed: what lies in R2 stays, and the daily sweep deletes it if not.
  const receipt = await handOver(env, recipient.routing, received);
  if (receipt === null) {
    await deleteKeys(env.STORE, keys);
    return message.setReject(NO_MAILBOX);
  }
  if (receipt.refused !== undefined) {
    await deleteKeys(env.STORE, keys);
    return message.setReject(receipt.refused);
  }
  // The very same id as a duplicate is our own first attempt, whose answer was lost: its objects are the message's.
  if (receipt.duplicate && receipt.email_id !== received.id) await deleteKeys(env.STORE, keys);
}
