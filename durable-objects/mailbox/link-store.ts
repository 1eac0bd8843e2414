import type { Link } from "./links.ts";

/** The decision links of one mailbox. Writes belong inside the object's `commit`. */
export class LinkStore {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  find(tokenHash: string): Link | null {
    return this.sql.exec<Link>("SELECT * FROM links WHERE token_hash = ?", tokenHash).toArray()[0] ?? null;
  }

  add(link: Omit<Link, "recorded">): void {
    const { token_hash, email_id, approver, content_hash, expires_at, seat } = link;
    this.sql.exec(
      "INSERT INTO links (token_hash, email_id, approver, content_hash, expires_at, used, seat) VALUES (?, ?, ?, ?, ?, 0, ?)",
      token_hash,
      email_id,
      approver,
      content_hash,
      expires_at,
      seat,
    );
  }

  /** Marks a link as having decided. It goes on to show its item as it is now. */
  use(tokenHash: string, contentHash: string): void {
    this.sql.exec(
      "UPDATE links SET used = 1, revoked = NULL, content_hash = ? WHERE token_hash = ?",
      contentHash,
      tokenHash,
    );
  }

  /** Counts an entry of its use. */
  countRecorded(tokenHash: string): void {
    this.sql.exec("UPDATE links SET recorded = recorded + 1 WHERE token_hash = ?", tokenHash);
  }

  revoke(tokenHash: string, reason: string): void {
    this.sql.exec("UPDATE links SET revoked = ? WHERE token_hash = ?", reason, tokenHash);
  }

  /** Withdraws whatever links a message has, those that decided once included. @returns how many were live. */
  revokeOf(emailId: string, reason: string): number {
    return this.sql.exec("UPDATE links SET revoked = ? WHERE email_id = ? AND revoked IS NULL", reason, emailId)
      .rowsWritten;
  }
}
