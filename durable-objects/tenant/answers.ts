import { createHmac } from "node:crypto";
import { accepted, type Outcome } from "../../src/errors.ts";
import { randomBytes } from "../../src/ids.ts";
import type { Mention } from "../../src/mail/mentions.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { notFound } from "../mailbox/base.ts";
import type { RecalledAnswer, RememberedAnswer } from "../tenant-rpc.ts";
import type { Timer } from "../timers.ts";
import type { TenantBase } from "./base.ts";

/**
 * First answers of calls that named an idempotency key. Neither the key nor the call can be read, or guessed, from a row: both are there as
 * HMACs, that of the call over the caller's own key too, which is nowhere else. So an erasure need not look for a person there, and a
 * call that is repeated across it is known as it was before. The secret is the object's own, since one that is derived from MASTER_KEY
 * would change with it, and calls be done twice.
 */

/** The timer that deletes what has expired; its ref is empty. */
export const FORGET_ANSWERS = "answers";
const KEPT = 24 * 3600_000;
/** Rows that expire soon after one another go together. */
const GATHERED = 3600_000;
/** In place of an answer that named an erased person. No answer is so short. */
const ERASED = "";

interface Sealing {
  /** The row's key. */
  key: string;
  digestOf(digest: string): string;
}

/** Null: there is no secret yet, hence no answer. */
function sealing(box: TenantBase, { key_id }: Caller, idempotencyKey: string): Sealing | null {
  const row = box.rows.exec<{ secret: ArrayBuffer }>("SELECT secret FROM answer_secret").toArray()[0];
  if (!row) return null;
  const mac = (...parts: string[]) =>
    createHmac("sha256", new Uint8Array(row.secret))
      .update(JSON.stringify([key_id, idempotencyKey, ...parts]))
      .digest("base64url");
  return { key: `${key_id}/${mac("key")}`, digestOf: (digest) => mac("call", digest) };
}

/** Inside `commit`. */
function sealingForGood(box: TenantBase, caller: Caller, idempotencyKey: string): Sealing {
  box.rows.exec("INSERT OR IGNORE INTO answer_secret VALUES (1, ?)", randomBytes(32));
  const made = sealing(box, caller, idempotencyKey);
  if (!made) throw new Error("the secret of kept answers is missing right after it was made");
  return made;
}

export function recall(
  box: TenantBase,
  caller: Caller,
  idempotencyKey: string,
  digest: string,
): Outcome<RecalledAnswer | null> {
  if (!box.isMine(caller)) return notFound();
  const sealed = sealing(box, caller, idempotencyKey);
  const row =
    sealed &&
    box.rows
      .exec<{ digest: string; body: string }>(
        "SELECT digest, body FROM idempotency WHERE key = ? AND expires_at > ?",
        sealed.key,
        box.now(),
      )
      .toArray()[0];
  if (!row) return accepted(null);
  if (row.digest !== sealed.digestOf(digest)) return accepted({ state: "other_call" });
  return accepted(row.body === ERASED ? { state: "erased" } : { state: "same_call", body: row.body });
}

export function remember(
  box: TenantBase,
  caller: Caller,
  idempotencyKey: string,
  { digest, body }: RememberedAnswer,
): Outcome<true> {
  if (!box.isMine(caller)) return notFound();
  box.commit(() => {
    forgetExpired(box);
    const sealed = sealingForGood(box, caller, idempotencyKey);
    box.rows.exec(
      "INSERT OR IGNORE INTO idempotency VALUES (?, ?, ?, ?)",
      sealed.key,
      sealed.digestOf(digest),
      body,
      box.now() + KEPT,
    );
    if (!box.isScheduled(FORGET_ANSWERS, "")) box.schedule(FORGET_ANSWERS, "", box.now() + KEPT);
  });
  return accepted(true);
}

/** Inside `commit`. */
function forgetExpired(box: TenantBase): void {
  box.rows.exec("DELETE FROM idempotency WHERE expires_at <= ?", box.now());
}

/** Serves an `answers` timer. */
export function forgetAnswers(box: TenantBase, { kind, ref }: Timer): void {
  box.commit(() => {
    forgetExpired(box);
    const { next } = box.rows.exec<{ next: number | null }>("SELECT min(expires_at) AS next FROM idempotency").one();
    if (next === null) box.unschedule(kind, ref);
    else box.schedule(kind, ref, Math.max(next, box.now() + GATHERED));
  });
}

/** The answers that name a person. A row stays without its body, so that the call is not done again. @returns their rows' keys. */
export function answersNaming(box: TenantBase, mention: Mention): string[] {
  return box.rows
    .exec<{ key: string; body: string }>("SELECT key, body FROM idempotency")
    .toArray()
    .filter(({ body }) => mention.isIn(body))
    .map(({ key }) => key);
}

/** Inside `commit`. @param keys of rows. */
export function eraseAnswers(box: TenantBase, keys: readonly string[]): void {
  box.rows.exec(
    "UPDATE idempotency SET body = ? WHERE key IN (SELECT value FROM json_each(?))",
    ERASED,
    JSON.stringify(keys),
  );
}
