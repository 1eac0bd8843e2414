/** How an object's tables were before a change, so that a test can have the object wake up with them. */

/** What takes a statement of a schema back, by its beginning. */
const UNDOING: readonly [made: RegExp, undo: (...names: string[]) => string][] = [
  [/^CREATE TABLE (\w+)/, (table) => `DROP TABLE ${table}`],
  [/^CREATE (?:UNIQUE )?INDEX (\w+)/, (index) => `DROP INDEX ${index}`],
  // What was deleted an older object has not either.
  [/^DELETE FROM (\w+)$/, (table) => `SELECT 1 FROM ${table} LIMIT 0`],
  [/^ALTER TABLE (\w+) ADD COLUMN (\w+)/, (table, column) => `ALTER TABLE ${table} DROP COLUMN ${column}`],
];

/** @param statements in the order in which they were executed. @throws Error for one that cannot be taken back. */
export function undoSchema(sql: SqlStorage, statements: readonly string[]): void {
  for (const statement of statements.toReversed()) {
    const undoing = UNDOING.flatMap(([made, undo]) => {
      const [, ...names] = made.exec(statement) ?? [];
      return names.length > 0 ? [undo(...names)] : [];
    });
    if (undoing.length !== 1) throw new Error(`nothing takes this back: ${statement}`);
    sql.exec(undoing[0] as string);
  }
}
