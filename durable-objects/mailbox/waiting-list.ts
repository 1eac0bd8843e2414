/** What waits for a human now, and who was shown which revision of it. Writes belong inside the object's `commit`. */
export class WaitingList {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  /** Everything that waits for a human now, by id. */
  all(): string[] {
    return this.sql
      .exec<{ item: string }>("SELECT item FROM waiting ORDER BY item")
      .toArray()
      .map(({ item }) => item);
  }

  add(item: string): void {
    this.sql.exec("INSERT OR IGNORE INTO waiting VALUES (?)", item);
  }

  remove(item: string): void {
    this.sql.exec("DELETE FROM waiting WHERE item = ?", item);
  }

  /** Remembers which revision of an item a key or person was shown. Inside `commit`. */
  markServed(item: string, reader: string, contentHash: string): void {
    this.sql.exec("INSERT OR REPLACE INTO served VALUES (?, ?, ?)", item, reader, contentHash);
  }

  /** An item is another than whoever read it was shown, also where its content says the same as before. Inside `commit`. */
  outdateServed(item: string): void {
    this.sql.exec("UPDATE served SET content_hash = '' WHERE item = ?", item);
  }

  /** @returns the content hash that the reader was shown last, empty if the item was changed since; or null. */
  servedTo(item: string, reader: string): string | null {
    return (
      this.sql
        .exec<{ content_hash: string }>("SELECT content_hash FROM served WHERE item = ? AND reader = ?", item, reader)
        .toArray()[0]?.content_hash ?? null
    );
  }
}
