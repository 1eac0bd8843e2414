import type { Mailbox } from "../operations/shapes/mailbox.ts";

/** Brings a mailbox's settings to D1. An older version never overwrites a newer one; the address was reserved before. */
export async function projectMailbox(db: D1Database, mailbox: Mailbox, version: number): Promise<void> {
  await db
    .prepare("UPDATE mailboxes SET settings = ?2, version = ?3 WHERE id = ?1 AND version <= ?3")
    .bind(mailbox.id, JSON.stringify(mailbox), version)
    .run();
}
