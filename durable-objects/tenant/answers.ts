import { accepted, type Outcome } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { notFound } from "../mailbox/base.ts";
import type { RememberedAnswer } from "../tenant-rpc.ts";
import type { TenantBase } from "./base.ts";

/** First answers of calls that named an idempotency key. */

const KEPT = 24 * 3600_000;

export function recall(box: TenantBase, caller: Caller, idempotencyKey: string): Outcome<RememberedAnswer | null> {
  if (!box.isMine(caller)) return notFound();
  const row = box.rows
    .exec<{ digest: string; body: string }>(
      "SELECT digest, body FROM idempotency WHERE key = ? AND expires_at > ?",
      `${caller.key_id}/${idempotencyKey}`,
      box.now(),
    )
    .toArray()[0];
  return accepted(row ?? null);
}

export function remember(
  box: TenantBase,
  caller: Caller,
  idempotencyKey: string,
  { digest, body }: RememberedAnswer,
): Outcome<true> {
  if (!box.isMine(caller)) return notFound();
  box.commit(() => {
    box.rows.exec("DELETE FROM idempotency WHERE expires_at <= ?", box.now());
    box.rows.exec(
      "INSERT OR IGNORE INTO idempotency VALUES (?, ?, ?, ?)",
      `${caller.key_id}/${idempotencyKey}`,
      digest,
      body,
      box.now() + KEPT,
    );
  });
  return accepted(true);
}
