import { accepted, type Outcome } from "../../src/errors.ts";
import { asEmailId } from "../../src/ids.ts";
import { seatFor } from "../../src/oversight/approvals.ts";
import type { Caller, Person } from "../../src/oversight/caller.ts";
import { makeCheckpoint, proofOf } from "../ledger/checkpoints.ts";
import type { CheckpointAnswer } from "../log-rpc.ts";
import { seatsNow } from "./ask.ts";
import { actorOf, type MailboxBase, notFound } from "./base.ts";

/** The record of one message: who may see it, the entry that it was seen, and the proofs that its entries are in the log. */

/** A key that administers or oversees, or a person who decides for the mailbox. */
export type RecordReader = Caller | Person;

/** What a record rests on. */
export type OpenedRecord = Pick<CheckpointAnswer, "newest" | "drained"> & { email_id: string };

/** Which entries are shown to be in the tree of `size`. */
export interface RecordQuestion {
  size: number;
  seqs: number[];
}

/** An entry's place in the tree, base64: its leaf hash, and the hashes that lead from it to the root (RFC 9162 §2.1.3). */
export interface RecordProof {
  leaf_hash: string;
  hashes: string[];
}

async function mayRead(box: MailboxBase, reader: RecordReader): Promise<Outcome<true>> {
  if ("address" in reader) return seatFor(reader.address, await seatsNow(box)) === null ? notFound() : accepted(true);
  const refusal = box.whyNotAdmitted(reader, ["admin", "oversight"]);
  return refusal ? { ok: false, refusal } : accepted(true);
}

/** Writes down that the record is read, and commits to everything up to that. D1 is brought up to it as far as it can be reached. */
export async function openRecord(box: MailboxBase, reader: RecordReader, id: string): Promise<Outcome<OpenedRecord>> {
  const may = await mayRead(box, reader);
  if (!may.ok) return may;
  const message = box.messages.find(asEmailId(id) ?? "");
  const isPerson = "address" in reader;
  // In a session people see what was put before them, and nothing else of the mailbox.
  if (!message || (isPerson && message.record.hold === null)) return notFound();
  const newest = box.commit(() => {
    const about = { message, action: "message.record_read" } as const;
    if (isPerson) {
      const actor = { type: "human", id: "approver", via: reader.via } as const;
      box.record({ ...about, actor, personal: { person: reader.address } });
    } else box.record({ ...about, actor: actorOf(reader) });
    return makeCheckpoint(box);
  });
  // A drain that is under way may have begun before the newest entries were there.
  await box.drain();
  await box.drain();
  const { drained } = box.storage().exec<{ drained: number }>("SELECT drained FROM ledger").one();
  return accepted({ email_id: message.id, newest, drained });
}

/** @returns for each place what the log has there, and the way from it to the root. */
export async function proveRecord(
  box: MailboxBase,
  reader: RecordReader,
  { size, seqs }: RecordQuestion,
): Promise<Outcome<RecordProof[]>> {
  const may = await mayRead(box, reader);
  if (!may.ok) return may;
  const proofs: RecordProof[] = [];
  for (const seq of seqs) {
    const proof = proofOf(box, { kind: "inclusion", seq, size });
    if (!proof.ok) return proof;
    const { leaf_hash, hashes } = proof.value;
    proofs.push({ leaf_hash: leaf_hash ?? "", hashes });
  }
  return accepted(proofs);
}
