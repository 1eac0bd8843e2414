/** More routing numbers than this are not looked up at once. */
export const MAX_ROUTINGS = 500;

/**
 * Makes the look-up of which routing numbers are a mailbox's.
 * @returns a function that takes routing numbers, of which it looks at the first 500, and returns those that exist. It costs one
 *   query of D1.
 */
export function existingRoutings(db: D1Database): (routings: string[]) => Promise<Set<string>> {
  return async (routings) => {
    const { results } = await db
      .prepare("SELECT routing FROM mailboxes WHERE routing IN (SELECT value FROM json_each(?1))")
      .bind(JSON.stringify(routings.slice(0, MAX_ROUTINGS)))
      .all<{ routing: string }>();
    return new Set(results.map(({ routing }) => routing));
  };
}
