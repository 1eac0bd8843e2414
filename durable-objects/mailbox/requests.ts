import { createHash } from "node:crypto";
import { canonical } from "../../src/canonical-json.ts";
import { newId } from "../../src/ids.ts";
import type { PendingKind } from "../../src/operations/shapes/pending.ts";
import { nextRequestStatus, type RequestStatus } from "../../src/oversight/request-transitions.ts";
import type { Author } from "../../src/oversight/separation.ts";
import type { MailboxBase } from "./base.ts";
import type { HeldItem } from "./held-item.ts";
import type { Hold, RecordedDecision } from "./message-record.ts";
import { newHold, watchPending } from "./pending.ts";
import { requestView } from "./request-views.ts";
import { templateDecided } from "./templates.ts";

/** What waits for a human besides messages: held reads and annotations, templates, upgrades. */

/** What the `requests` columns leave out. */
export interface RequestRecord {
  author: Author;
  /** What was called. */
  operation: string;
  /** What the human is shown, and what the hash is over: the input of a query, a template, a change. */
  content: Record<string, unknown>;
  content_hash: string;
  /** The message it is about. */
  email_id: string | null;
  hold: Hold;
  decision: RecordedDecision | null;
  end_reason: string | null;
}

export interface HeldRequest {
  id: string;
  kind: Exclude<PendingKind, "send" | "inbound">;
  status: RequestStatus;
  key_id: string | null;
  digest: string;
  created_at: string;
  record: RequestRecord;
}

interface Row extends Record<string, SqlStorageValue> {
  id: string;
  kind: string;
  status: string;
  key_id: string | null;
  digest: string;
  created_at: string;
  record: string;
}

/** The requests of one mailbox. Writes belong inside the object's `commit`. */
export class Requests {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  find(id: string): HeldRequest | null {
    return this.select("WHERE id = ?", id)[0] ?? null;
  }

  /** @returns a key's requests of these kinds for the same, by `digest`, that are pending, or approved and not used yet. */
  openOf(keyId: string, kinds: readonly HeldRequest["kind"][], digest: string): HeldRequest[] {
    return this.select(
      "WHERE key_id = ? AND digest = ? AND status IN ('pending', 'approved') AND kind IN (SELECT value FROM json_each(?)) ORDER BY id",
      keyId,
      digest,
      JSON.stringify(kinds),
    );
  }

  /** @returns how many of a key's requests of these kinds are pending, or approved and not used yet. */
  countOpen(keyId: string, kinds: readonly HeldRequest["kind"][]): number {
    return this.sql
      .exec<{ n: number }>(
        `SELECT count(*) AS n FROM requests
         WHERE key_id = ? AND status IN ('pending', 'approved') AND kind IN (SELECT value FROM json_each(?))`,
        keyId,
        JSON.stringify(kinds),
      )
      .one().n;
  }

  insert(request: HeldRequest): void {
    const { id, kind, status, key_id, digest, created_at, record } = request;
    this.sql.exec(
      "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      kind,
      status,
      key_id,
      digest,
      created_at,
      JSON.stringify(record),
    );
  }

  save({ id, status, record }: HeldRequest): void {
    this.sql.exec("UPDATE requests SET status = ?, record = ? WHERE id = ?", status, JSON.stringify(record), id);
  }

  /** @returns the next ones in the order of their ids. */
  after(id: string, limit: number): HeldRequest[] {
    return this.select("WHERE id > ? ORDER BY id LIMIT ?", id, limit);
  }

  /** Writes back an erased one: nobody asks the same again by its digest. */
  erase(request: HeldRequest): void {
    this.save(request);
    this.sql.exec("UPDATE requests SET digest = '' WHERE id = ?", request.id);
  }

  private select(clause: string, ...bindings: SqlStorageValue[]): HeldRequest[] {
    return this.sql
      .exec<Row>(`SELECT id, kind, status, key_id, digest, created_at, record FROM requests ${clause}`, ...bindings)
      .toArray()
      .map((row) => ({
        ...row,
        kind: row.kind as HeldRequest["kind"],
        status: row.status as RequestStatus,
        record: JSON.parse(row.record) as RequestRecord,
      }));
  }
}

/** @returns lower-case hex SHA-256 of the RFC 8785 form: of a request's content, or of who asks for what. */
export function hashOf(content: Record<string, unknown>): string {
  // Through JSON, which drops what was left out.
  return createHash("sha256")
    .update(canonical(JSON.parse(JSON.stringify(content))))
    .digest("hex");
}

/** What a new request is made of. */
export interface NewRequest {
  kind: HeldRequest["kind"];
  author: Author;
  operation: string;
  content: Record<string, unknown>;
  email_id: string | null;
  rule: string;
  because: string;
}

/** Stores a request that waits from now on. Inside `commit`. */
export function askFor(box: MailboxBase, wanted: NewRequest): HeldItem {
  const status = nextRequestStatus(null, "ask");
  if (status === null) throw new Error("no transition places a new request");
  const { kind, author, operation, content, email_id, rule, because } = wanted;
  const request: HeldRequest = {
    id: newId("pend", box.now(), box.routing()),
    kind,
    status,
    key_id: author.key_id,
    digest: hashOf({ operation, content, author }),
    created_at: box.time(),
    record: {
      author,
      operation,
      content,
      content_hash: hashOf(content),
      email_id,
      hold: newHold(box, kind, { rule, because, reasons: [] }),
      decision: null,
      end_reason: null,
    },
  };
  box.requests.insert(request);
  const item = requestItem(box, request);
  watchPending(box, item);
  item.emit("held", { pending_id: request.id });
  return item;
}

/** A request as what waits. */
export function requestItem(box: MailboxBase, request: HeldRequest): HeldItem {
  const { record } = request;
  return {
    id: request.id,
    pendingId: request.id,
    kind: request.kind,
    author: record.author,
    hold: record.hold,
    createdAt: request.created_at,
    message: null,
    request,
    get decision() {
      return record.decision;
    },
    set decision(decision) {
      record.decision = decision;
    },
    get endReason() {
      return record.end_reason;
    },
    test: false,
    status: () => request.status,
    isOpen: () => request.status === "pending",
    contentHash: () => record.content_hash,
    isUnchanged: () => hashOf(record.content) === record.content_hash,
    step: (event) => {
      const to = nextRequestStatus(request.status, event);
      if (to !== null) request.status = to;
      return to !== null;
    },
    settle: (event) => {
      if (request.kind === "template") templateDecided(box, request, event);
    },
    save: () => box.requests.save(request),
    record: (entry) =>
      box.recordChecked({ ...entry, resource: { type: "request", id: request.id }, sealedBy: request.id }),
    emit: (what, data) =>
      box.emitEvent(`request.${what}`, {
        message: null,
        data: { kind: request.kind, pending_id: request.id, status: request.status, ...data },
      }),
    view: () => requestView(box, request),
  };
}
