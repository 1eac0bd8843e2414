import { createHmac, randomInt, timingSafeEqual } from "node:crypto";
import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { operatorCodeMail } from "../../src/mail/notification.ts";
import { sendSystemMail } from "../../src/mail/system-mail.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { deriveKeys } from "../../src/store/secrets.ts";
import { actorOf, notFound } from "../mailbox/base.ts";
import type { AskedUpgrade } from "../tenant-rpc.ts";
import type { TenantBase } from "./base.ts";
import { newestNote } from "./checkpoints.ts";

/** One-time codes that the operator is mailed. Only an HMAC of a code is stored. */

const HOUR = 3600_000;
const CODE_LIFE = 24 * HOUR;
/** Counted apart for upgrades, so that an agent that asks for one again and again takes no code from an administrator. */
const CODES_PER_HOUR = 5;
const CODE_TRIES = 5;
const MAIL_LIMIT = 60_000;

type Asked = Outcome<{ expires_at: string; sent_to: string }>;

/** What the operator reads. */
interface Question {
  change: string;
  words: string;
  upgrade: AskedUpgrade | null;
}

/** Mails a code for exactly `change` by exactly this key. @param upgrade the mailbox that an agent asks more rope for. */
export async function askOperator(box: TenantBase, caller: Caller, question: Question): Promise<Asked> {
  if (!box.isMine(caller)) return notFound();
  const isUpgrade = question.upgrade !== null;
  const { asked } = box.rows
    .exec<{ asked: number }>(
      "SELECT count(*) AS asked FROM confirmations WHERE asked_at > ? AND (subject IS NOT NULL) = ?",
      box.now() - HOUR,
      isUpgrade ? 1 : 0,
    )
    .one();
  if (asked >= CODES_PER_HOUR) {
    return refused("rate_limited", "The operator was asked often enough this hour; try again later.", {
      detail: { retry_after: 3600 },
    });
  }
  const code = String(randomInt(100_000_000)).padStart(8, "0");
  const { entryId, expires } = store(box, caller, question, code);
  await box.flush();
  return mailCode(box, caller, question, { code, expires_at: new Date(expires).toISOString(), entryId });
}

function store(box: TenantBase, caller: Caller, { change, words, upgrade }: Question, code: string) {
  const subject = upgrade?.mailbox_id ?? null;
  const expires = box.now() + CODE_LIFE;
  return box.commit(() => {
    box.rows.exec("DELETE FROM confirmations WHERE expires_at <= ?", box.now());
    // A new code for the same change, or for another upgrade of the same mailbox, by the same key replaces the one before.
    box.rows.exec(
      "UPDATE confirmations SET tries_left = 0 WHERE key_id = ? AND (change = ? OR subject = ?)",
      caller.key_id,
      change,
      subject,
    );
    const entryId = box.record({
      actor: actorOf(caller),
      action: "operator.asked",
      resource: { type: "tenant", id: caller.tenant_id },
      detail: { mailbox_id: subject },
      personal: { change: words },
    });
    const { next } = box.rows
      .exec<{ next: number }>("SELECT coalesce(max(id), 0) + 1 AS next FROM confirmations")
      .one();
    box.rows.exec(
      `INSERT INTO confirmations (id, change, key_id, code_hash, asked_at, expires_at, tries_left, subject, asked)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      next,
      change,
      caller.key_id,
      codeHashes(box, code, change, caller.key_id)[0],
      box.now(),
      expires,
      CODE_TRIES,
      subject,
      entryId,
    );
    return { entryId, expires };
  });
}

async function mailCode(
  box: TenantBase,
  caller: Caller,
  { words, upgrade }: Question,
  { code, expires_at, entryId }: { code: string; expires_at: string; entryId: string },
): Promise<Asked> {
  const { operator_email, name } = box.tenant();
  const env = box.environment();
  const mail = operatorCodeMail({
    code,
    words,
    key_id: caller.key_id,
    expires_at,
    tenant_name: name,
    product_url: env.PUBLIC_URL,
    checkpoint: newestNote(box),
    ...(upgrade && { record: upgrade.record, mailbox_address: upgrade.mailbox_address }),
  });
  const outcome = await sendSystemMail(
    env,
    { ...mail, to: operator_email, id: entryId, date: new Date(box.now()) },
    AbortSignal.timeout(MAIL_LIMIT),
  );
  if (outcome.outcome !== "accepted") {
    return refused("unavailable", "The operator's mail server did not take the code; try again in a minute.", {
      detail: { retry_after: 60 },
    });
  }
  return accepted({ expires_at, sent_to: operator_email });
}

/** @returns the change that this key's latest live code for an upgrade of that mailbox is for, or null. */
export function askedUpgrade(box: TenantBase, caller: Caller, mailboxId: string): Outcome<string | null> {
  if (!box.isMine(caller)) return notFound();
  const row = box.rows
    .exec<{ change: string }>(
      `SELECT change FROM confirmations WHERE subject = ? AND key_id = ? AND expires_at > ? AND tries_left > 0
       ORDER BY id DESC LIMIT 1`,
      mailboxId,
      caller.key_id,
      box.now(),
    )
    .toArray()[0];
  return accepted(row?.change ?? null);
}

/** The refusal of a code, whatever was wrong with it: a caller learns nothing from which it was. */
export const WRONG_CODE = refused(
  "invalid_approval_code",
  "This code is not valid for exactly this change by this key, or it is used up.",
  { hint: "Ask again, without a code, to have the operator mailed a new one." },
);

/** Redeems a code. It works once; a wrong one takes a try. */
export function redeemCode(box: TenantBase, caller: Caller, change: string, code: string): Outcome<true> {
  if (!box.isMine(caller)) return notFound();
  return box.commit(() => {
    const row = box.rows
      .exec<{ id: number; code_hash: string; asked: string | null }>(
        "SELECT id, code_hash, asked FROM confirmations WHERE change = ? AND key_id = ? AND expires_at > ? AND tries_left > 0 ORDER BY id DESC LIMIT 1",
        change,
        caller.key_id,
        box.now(),
      )
      .toArray()[0];
    if (!row) return WRONG_CODE;
    const stored = Buffer.from(row.code_hash);
    const given = codeHashes(box, code, change, caller.key_id).map((hash) =>
      timingSafeEqual(Buffer.from(hash), stored),
    );
    const right = given.includes(true);
    box.rows.exec("UPDATE confirmations SET tries_left = ? * (tries_left - 1) WHERE id = ?", right ? 0 : 1, row.id);
    box.record({
      actor: actorOf(caller),
      action: right ? "operator.confirmed" : "operator.code_refused",
      resource: { type: "tenant", id: caller.tenant_id },
      detail: { asked: row.asked },
    });
    return right ? accepted(true as const) : WRONG_CODE;
  });
}

/** Under the current MASTER_KEY, and under the previous one for codes that were mailed before it was changed. */
function codeHashes(box: TenantBase, code: string, change: string, keyId: string): [string, ...string[]] {
  const text = JSON.stringify([code, change, keyId]);
  const under = (key: Uint8Array) => createHmac("sha256", key).update(text).digest("hex");
  const [current, ...others] = deriveKeys(box.environment(), "approval-code");
  return [under(current), ...others.map(under)];
}
