import { segmentDigest } from "../audit/segment.ts";

/** Sealed segments of the audit log in R2, their rows in D1, and the floors below which entries may leave D1. */

/** A segment as D1 has it. */
export interface SealedSegment {
  first: number;
  last: number;
  r2_key: string;
  /** Lower-case hex, of the bytes. */
  sha256: string;
  first_at: string;
  last_at: string;
  sealed_at: string;
}

/** Whose log it is. */
export interface LogOwner {
  log: string;
  tenant_id: string;
}

/** How what lies in a store compares with what belongs there. */
export type Standing = "same" | "missing" | "differs";

/**
 * Writes a segment where nothing is yet. What is there is never written again, however it came there.
 * @param sha256 of the bytes; R2 compares it with what arrives.
 * @returns `same` if R2 has exactly these bytes now, `differs` if it has others. @throws whatever R2 throws.
 */
export async function putSegment(
  store: R2Bucket,
  key: string,
  bytes: Uint8Array,
  sha256: string,
): Promise<Exclude<Standing, "missing">> {
  const written = await store.put(key, bytes, {
    // RFC 9110 §13.1.2: only where there is nothing.
    onlyIf: { etagDoesNotMatch: "*" },
    sha256,
    httpMetadata: { contentType: "application/x-ndjson" },
  });
  if (written) return "same";
  const standing = await lookAtSegment(store, key, sha256);
  if (standing === "missing") throw new Error(`R2 refused ${key} as being there, and does not have it`);
  return standing;
}

/** @returns how what R2 has under a segment's key compares with the segment. @throws whatever R2 throws. */
export async function lookAtSegment(store: R2Bucket, key: string, sha256: string): Promise<Standing> {
  const found = await store.head(key);
  if (!found) return "missing";
  // R2 compared this with the bytes when they were written, whoever wrote them.
  const known = found.checksums.sha256;
  if (known) return Buffer.from(known).toString("hex") === sha256 ? "same" : "differs";
  const object = await store.get(key);
  if (!object) return "missing";
  return segmentDigest(new Uint8Array(await object.arrayBuffer())) === sha256 ? "same" : "differs";
}

const INSERT_SEGMENTS = `INSERT INTO audit_segments
  (log, first, last, tenant_id, r2_key, sha256, entries, first_at, last_at, sealed_at)
  SELECT ?2, json_extract(value, '$.first'), json_extract(value, '$.last'), ?3, json_extract(value, '$.r2_key'),
    json_extract(value, '$.sha256'), json_extract(value, '$.last') - json_extract(value, '$.first') + 1,
    json_extract(value, '$.first_at'), json_extract(value, '$.last_at'), json_extract(value, '$.sealed_at')
  FROM json_each(?1)`;

/**
 * Writes rows of segments. One that is there stays as it is, which `segmentRows` shows.
 * @param segments in the order of the log; the first begins where D1 has a segment that ends, or at 0.
 * @throws whatever D1 throws, among it that there is a gap.
 */
export async function recordSegments(
  db: D1Database,
  { log, tenant_id }: LogOwner,
  segments: readonly SealedSegment[],
): Promise<void> {
  if (segments.length === 0) return;
  await db.prepare(INSERT_SEGMENTS).bind(JSON.stringify(segments), log, tenant_id).run();
}

/** @returns the rows of a log's segments that begin in [from, below), in order. */
export async function segmentRows(
  db: D1Database,
  log: string,
  from: number,
  below: number,
  limit: number,
): Promise<SealedSegment[]> {
  const { results } = await db
    .prepare(
      `SELECT first, last, r2_key, sha256, first_at, last_at, sealed_at FROM audit_segments
       WHERE log = ? AND first >= ? AND first < ? ORDER BY first LIMIT ?`,
    )
    .bind(log, from, below, limit)
    .all<SealedSegment>();
  return results;
}

/** @returns up to where D1 has rows of a log's segments: the position after the last entry of the last one. */
export async function segmentsEnd(db: D1Database, log: string): Promise<number> {
  const end = await db
    .prepare("SELECT last + 1 AS beyond FROM audit_segments WHERE log = ? ORDER BY first DESC LIMIT 1")
    .bind(log)
    .first<number>("beyond");
  return end ?? 0;
}

/** @returns below which entry D1 need not have a log. */
export async function floorOf(db: D1Database, log: string): Promise<number> {
  return (await db.prepare("SELECT floor FROM audit_floors WHERE log = ?").bind(log).first<number>("floor")) ?? 0;
}

/** Raises a log's floor; one that is higher stays. @throws whatever D1 throws, among it that not everything below is sealed. */
export async function raiseFloor(db: D1Database, { log, tenant_id }: LogOwner, floor: number): Promise<void> {
  await db.batch([
    db.prepare("INSERT OR IGNORE INTO audit_floors (log, tenant_id, floor) VALUES (?, ?, 0)").bind(log, tenant_id),
    db.prepare("UPDATE audit_floors SET floor = ?1 WHERE log = ?2 AND floor < ?1").bind(floor, log),
  ]);
}

/** At most so many rows are deleted by one statement. */
const DELETED_ROWS = 1_000;

/**
 * Deletes a log's entries below its floor from D1.
 * @param below not above the floor. @returns how many there were. @throws whatever D1 throws; what was deleted before stays deleted.
 */
export async function dropRows(db: D1Database, log: string, below: number): Promise<number> {
  let dropped = 0;
  for (;;) {
    const { meta } = await db
      .prepare(
        `DELETE FROM audit_log WHERE log = ?1 AND seq < ?2
           AND seq < (SELECT min(seq) FROM audit_log WHERE log = ?1) + ${DELETED_ROWS}`,
      )
      .bind(log, below)
      .run();
    dropped += meta.changes;
    if (meta.changes === 0) return dropped;
  }
}
