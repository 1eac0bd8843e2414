import { responseLine } from "./response-line.ts";
import { type RelayAccount, SmtpConversation, type SmtpFailure, type Transaction } from "./smtp-conversation.ts";
import type { Connect } from "./smtp-session.ts";
import { type Envelope, type RecipientOutcome, recipientsBySender, type Transport } from "./transport.ts";

export type SmtpRelaySettings = RelayAccount;

/** The commands whose refusal can be final. A greeting of 554, a refused EHLO or a failed login says nothing of the message. */
const ABOUT_THE_MESSAGE: ReadonlySet<string> = new Set(["MAIL FROM", "RCPT TO", "DATA"]);
/**
 * 5xx replies that speak of our session or our account, not of the message (RFC 5321 §4.2.2, RFC 4954 §6): an operator mends
 * them, and the message goes out then.
 */
const ABOUT_THE_SESSION: ReadonlySet<number> = new Set([500, 502, 503, 530, 534, 535, 538]);
/** Printable ASCII without what ends a path; anything else would be another command, or need SMTPUTF8. */
const PATH = /^[\x20-\x3b\x3d\x3f-\x7e]+$/;

/** The message has octets that this relay cannot be given. Like a size over its limit, no retry changes that. */
class EightBitRefused extends Error {
  readonly code = "EMESSAGE";
  readonly command = "MAIL FROM";

  constructor() {
    super("The relay takes no octets above 127 (8BITMIME), and this message has some");
    this.name = "EightBitRefused";
  }
}

function isFinal(failure: SmtpFailure): boolean {
  const code = failure.responseCode;
  if (!ABOUT_THE_MESSAGE.has(failure.command ?? "")) return false;
  // Refused on our side, since the relay announced a smaller limit (RFC 1870 §6.1): no retry makes the message smaller.
  if (code === undefined) return failure.code === "EMESSAGE";
  return code >= 500 && code < 600 && !ABOUT_THE_SESSION.has(code);
}

function outcomeOf(failure: SmtpFailure): Omit<RecipientOutcome, "recipient"> {
  const code = failure.responseCode ?? null;
  const final = isFinal(failure);
  return { outcome: final ? "refused" : "deferred", code, response: responseLine(failure.response ?? failure.message) };
}

function failureOf(error: unknown): SmtpFailure {
  return error instanceof Error ? error : { message: String(error) };
}

/** What is said to each recipient, by its address. */
type Answers = Map<string, Omit<RecipientOutcome, "recipient">>;

/** Each recipient's own refusal if RCPT had one, else what became of the message. */
function answer(
  answers: Answers,
  { to, rejectedErrors }: Transaction,
  rest: Omit<RecipientOutcome, "recipient">,
): void {
  const own = new Map((rejectedErrors ?? []).map((failure) => [failure.recipient, outcomeOf(failure)]));
  for (const recipient of to) answers.set(recipient, own.get(recipient) ?? rest);
}

/** What is said to those whose transaction came to no start, whatever ended the session. */
function notReached(failure: SmtpFailure): Omit<RecipientOutcome, "recipient"> {
  const { code, response } = outcomeOf(failure);
  // A code about another recipient's transaction is none about this one.
  const isOwn = code === 421 || !ABOUT_THE_MESSAGE.has(failure.command ?? "");
  return {
    outcome: "deferred",
    code: isOwn ? code : null,
    response: `The session ended before this recipient's turn: ${response}`,
  };
}

/** One transaction, and what it came to. @returns why it failed as a whole, or null. */
async function attempt(
  conversation: SmtpConversation,
  transaction: Transaction,
  raw: Buffer,
  answers: Answers,
): Promise<SmtpFailure | null> {
  try {
    if (transaction.use8BitMime && !conversation.takes_8_bit) throw new EightBitRefused();
    const reply = await conversation.transmit(transaction, raw);
    const code = Number(/^\d{3}/.exec(reply)?.[0] ?? 250);
    answer(answers, transaction, { outcome: "accepted", code, response: responseLine(reply) });
    return null;
  } catch (error) {
    const failure = failureOf(error);
    // With PIPELINING, RCPT was answered too, but only with “no sender yet”.
    if (failure.command === "MAIL FROM") transaction.rejectedErrors = [];
    answer(answers, transaction, outcomeOf(failure));
    return failure;
  }
}

/** All transactions over one connection. One that the relay refuses leaves the others alone; a lost connection ends them all. */
async function converse(
  settings: SmtpRelaySettings,
  connect: Connect,
  transactions: readonly Transaction[],
  raw: Buffer,
  signal: AbortSignal,
): Promise<Answers> {
  const answers: Answers = new Map();
  let conversation: SmtpConversation;
  try {
    conversation = await SmtpConversation.open(settings, connect, signal);
  } catch (error) {
    const failed = outcomeOf(failureOf(error));
    for (const transaction of transactions) answer(answers, transaction, failed);
    return answers;
  }
  let failure: SmtpFailure | null = null;
  for (const transaction of transactions) {
    if (failure && conversation.isOver) answer(answers, transaction, notReached(failure));
    else failure = await attempt(conversation, transaction, raw, answers);
  }
  await conversation.close();
  return answers;
}

const UNWRITABLE = { outcome: "refused", code: null, response: "This address cannot be written in SMTP" } as const;

function hasEightBitOctets(raw: Uint8Array): boolean {
  // Not `some`: a call for each of ten million octets costs more than the rest of the attempt.
  for (let i = 0; i < raw.length; i++) if ((raw[i] ?? 0) > 127) return true;
  return false;
}

/**
 * An SMTP relay (RFC 5321, submission on 587 or 465), which gets our bytes as they are, once for each return path.
 *
 * Read from its replies: 5xx to RCPT refuses that recipient and 4xx defers it; a failure at MAIL or after DATA applies to all of its
 * transaction that were not answered for themselves, and to no other. Deferred, whatever the code: a failed login, a missing
 * STARTTLS, an untrusted certificate, a greeting that is not 220 and commands out of order, since they speak of our configuration;
 * a lost connection and an abort, since nobody knows. Refused on our side, since no retry changes it: a message over the SIZE that
 * the relay announces, octets above 127 where it does not take them (RFC 6152 §3), an address beyond ASCII (SMTPUTF8 is not used).
 * `starttls` and `tls` say nothing of the message before TLS is on and the certificate verified.
 * @param connect `connect` of `cloudflare:sockets`.
 * @throws Error if there is an account and nothing encrypts its password.
 */
export function smtpRelay(settings: SmtpRelaySettings, connect: Connect): Transport {
  if (settings.security === "none" && settings.username !== undefined) {
    throw new Error("SMTP_SECURITY is none, which would show SMTP_PASSWORD to whoever listens: use starttls or tls");
  }
  return {
    name: "smtp",
    preserves_bytes: true,
    keeps_return_path: true,
    async deliver({ from, to }: Envelope, raw: Uint8Array, signal: AbortSignal): Promise<RecipientOutcome[]> {
      const use8BitMime = hasEightBitOctets(raw);
      const groups = recipientsBySender({ from, to: to.filter((recipient) => PATH.test(recipient)) });
      const transactions = [...groups].map(([sender, recipients]): Transaction => {
        if (sender !== "" && !PATH.test(sender)) throw new Error("The envelope's sender cannot be written in SMTP");
        return { from: sender, to: recipients, size: raw.length, use8BitMime };
      });
      const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
      const none: Answers = new Map();
      const answers = transactions.length ? await converse(settings, connect, transactions, bytes, signal) : none;
      return to.map((recipient) => ({ recipient, ...(answers.get(recipient) ?? UNWRITABLE) }));
    },
  };
}
