import type { LogCheckpoint } from "../../durable-objects/log-rpc.ts";
import type { RecordReader } from "../../durable-objects/mailbox/email-record.ts";
import {
  type AlteredEntry,
  type EmailStory,
  emailStory,
  REPEATABLE,
  type RecordedEntry,
  type RecordStep,
} from "../audit/email-record.ts";
import { type Entry, hashEntryText } from "../audit/entry.ts";
import { readPersonal } from "../audit/sealing.ts";
import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";
import type { RoutingNumber } from "../ids.ts";
import { archivedBefore, idAt } from "./audit-search.ts";
import { callMailbox } from "./mailbox-client.ts";

/**
 * Reads one message's record: its entries out of D1, the proofs that they are in the log out of the mailbox's object, which also says
 * whether they are what was written.
 */

/** A step, and the hashes that lead from it to the checkpoint's root (RFC 9162 §2.1.3), base64. */
export type ProvenStep = RecordStep & { proof: string[] };

export interface EmailRecord extends Omit<EmailStory, "steps"> {
  email_id: string;
  mailbox_id: string;
  steps: ProvenStep[];
  /** Steps that are not shown, since there are too many; the log has them. */
  left_out: number;
  /** Entries up to this time have left D1, and a message that is as old has some there; null: none has. */
  archived_before: string | null;
  /** What all of it can be checked against. */
  checkpoint: LogCheckpoint;
}

/** Of a story's steps so many are shown from its beginning, and as many from its end. */
const SHOWN_EACH_SIDE = 300;
/** Of those that can be repeated without end, the newest. */
const SHOWN_REPEATED = 100;

/** The entries about the message, and those about the draft that it was, each kind by its own index. */
const ENTRIES = `
  WITH about AS MATERIALIZED (
    SELECT log, seq FROM audit_log WHERE tenant_id = ?1 AND email_id = ?2
    UNION
    SELECT log, seq FROM audit_log
    WHERE tenant_id = ?1 AND json_extract(entry, '$.resource.id') = ?2 AND json_extract(entry, '$.resource.type') = 'draft'
  ), ranked AS (
    SELECT log, seq, repeatable, row_number() OVER (PARTITION BY repeatable ORDER BY seq) AS place,
      count(*) OVER (PARTITION BY repeatable) AS total, count(*) OVER () AS whole
    FROM (
      SELECT audit_log.log, audit_log.seq, action IN (SELECT value FROM json_each(?5)) AS repeatable
      FROM about CROSS JOIN audit_log WHERE audit_log.log = about.log AND audit_log.seq = about.seq
    ) WHERE log = ?3 AND seq < ?4
  )
  SELECT audit_log.seq, audit_log.hash, audit_log.entry, data_keys.wrapped, ranked.whole
  FROM ranked
  CROSS JOIN audit_log ON audit_log.log = ranked.log AND audit_log.seq = ranked.seq
  LEFT JOIN data_keys ON data_keys.kid = json_extract(audit_log.entry, '$.sealed.kid')
  WHERE iif(repeatable, place > total - ${SHOWN_REPEATED}, place <= ${SHOWN_EACH_SIDE} OR place > total - ${SHOWN_EACH_SIDE})
  ORDER BY ranked.seq`;

interface Row {
  seq: number;
  hash: string;
  entry: string;
  wrapped: string | null;
  whole: number;
}

/** @param leaf the hash of the entry at that place, as the log's tree has it, base64. */
function recordedOf(env: Env, { seq, hash, entry: text, wrapped }: Row, leaf: string): RecordedEntry | AlteredEntry {
  const ours = Buffer.from(leaf, "base64").toString("hex");
  if (hash !== ours || hashEntryText(text) !== ours) return { seq, hash: ours, stored: text };
  // It is the very text that the log hashed, so that it is an entry, and the one of this place.
  const entry: Entry = JSON.parse(text);
  return { entry, hash, ...readPersonal(env, entry, wrapped) };
}

/** Whether a message was there before that time: its id says when it was made. */
function isAsOldAs(emailId: string, iso: string): boolean {
  const timed = (id: string) => id.slice(id.indexOf("_") + 1).slice(0, 10);
  return timed(emailId) <= timed(idAt(iso));
}

/**
 * Reads the record and writes into the log that it was read.
 * @param tenantId the reader's own.
 * @throws {Refused} `not_found` for a message that is not the reader's to see; `missing_scope`, `mailbox_not_allowed`; `unavailable`
 *   while D1 lags behind.
 */
export async function readRecord(
  env: Env,
  tenantId: string,
  reader: RecordReader,
  { id, routing }: { id: string; routing: RoutingNumber },
): Promise<EmailRecord> {
  const { email_id, newest, drained } = await callMailbox(env, routing, (object) => object.openRecord(reader, id));
  const { log, size } = newest;
  if (drained < size) {
    throw new Refused("unavailable", "Not all entries of the log have reached the store that records are read from.", {
      detail: { retry_after: 30 },
    });
  }
  const { results } = await env.DB.prepare(ENTRIES)
    .bind(tenantId, email_id, log, size, JSON.stringify(REPEATABLE))
    .all<Row>();
  const seqs = results.map(({ seq }) => seq);
  const proofs = await callMailbox(env, routing, (object) => object.proveRecord(reader, { size, seqs }));
  const { steps, ...story } = emailStory(
    results.map((row, index) => recordedOf(env, row, proofs[index]?.leaf_hash ?? "")),
  );
  const archived = await archivedBefore(env.DB, { tenant_id: tenantId, mailbox_ids: null }, { log, from: null });
  return {
    email_id,
    mailbox_id: log,
    ...story,
    steps: steps.map((step, index) => ({ ...step, proof: proofs[index]?.hashes ?? [] })),
    left_out: (results[0]?.whole ?? 0) - steps.length,
    archived_before: archived !== null && isAsOldAs(email_id, archived) ? archived : null,
    checkpoint: newest,
  };
}
