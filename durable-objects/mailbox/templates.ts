import { accepted, type Outcome, refused } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import type { Template } from "../../src/operations/shapes/template.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { POLICY } from "../../src/oversight/policy.ts";
import type { RequestStatus } from "../../src/oversight/request-transitions.ts";
import type { NewTemplate } from "../mailbox-rpc.ts";
import { actorOf, type MailboxBase, notFound } from "./base.ts";
import type { WaitingEvent } from "./held-item.ts";
import { unwatchPending } from "./pending.ts";
import { permit } from "./permits.ts";
import { askFor, type HeldRequest, requestItem } from "./requests.ts";
import { takeBackAll } from "./take-back.ts";

/** Templates: what a human approved once, an agent may send again. A version is immutable; a change is a new one that waits. */

const MAX_TEMPLATES = 500;
const MAX_VERSIONS = 200;

/** What a version says. */
export type TemplateContent = Omit<NewTemplate, "id">;

interface VersionRow extends Record<string, SqlStorageValue> {
  id: string;
  version: number;
  status: string;
  pending_id: string;
  approval_ref: string | null;
  template: string;
}

interface Version {
  id: string;
  version: number;
  status: RequestStatus;
  pending_id: string;
  approval_ref: string | null;
  content: TemplateContent;
  created_at: string;
}

const NOT_DELETED = "NOT EXISTS (SELECT 1 FROM deleted_templates WHERE deleted_templates.id = templates.id)";

/** The template versions of one mailbox. Writes belong inside the object's `commit`. */
export class TemplateVersions {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  /** @returns the newest version of a template; null if it was deleted or never made. */
  newest(id: string): Version | null {
    return this.find(id, "1");
  }

  /** @returns the newest version that was approved, which is the one in use; null if there is none. */
  inUse(id: string): Version | null {
    return this.find(id, "status = 'approved'");
  }

  /** Whether anything is, or may soon be, sent with a template. */
  anyProposed(): boolean {
    return (
      this.sql
        .exec(`SELECT 1 FROM templates WHERE status IN ('pending', 'approved') AND ${NOT_DELETED} LIMIT 1`)
        .toArray().length > 0
    );
  }

  /** Whether that version was approved, and the template is still there. */
  isApproved(id: string, version: number): boolean {
    return (
      this.sql
        .exec(
          `SELECT 1 FROM templates WHERE id = ? AND version = ? AND status = 'approved' AND ${NOT_DELETED}`,
          id,
          version,
        )
        .toArray().length > 0
    );
  }

  /** One version, since all of them together can be larger than an isolate's memory. @param condition SQL of ours. */
  private find(id: string, condition: string): Version | null {
    const row = this.sql
      .exec<VersionRow>(
        `SELECT id, version, status, pending_id, approval_ref, template FROM templates
         WHERE id = ? AND ${condition} AND ${NOT_DELETED} ORDER BY version DESC LIMIT 1`,
        id,
      )
      .toArray()[0];
    if (!row) return null;
    const { template, ...rest } = row;
    const { created_at, ...content } = JSON.parse(template) as TemplateContent & { created_at: string };
    return { ...rest, status: row.status as RequestStatus, content, created_at };
  }

  /** @returns of each template that is there the version in use, and the newest one. */
  living(): { id: string; content: TemplateContent }[] {
    const ids = this.sql
      .exec<{ id: string }>(`SELECT DISTINCT id FROM templates WHERE ${NOT_DELETED} ORDER BY id`)
      .toArray();
    return ids.flatMap(({ id }) => [this.newest(id), this.inUse(id)].filter((version) => version !== null));
  }

  /** Whether a version is in use, or the newest of a template that is there. */
  isLiving(id: string, version: number): boolean {
    return [this.newest(id), this.inUse(id)].some((living) => living?.version === version);
  }

  /** @returns versions, deleted ones too, in the order of ids and versions. @param offset how many are left out. */
  versionsFrom(offset: number, limit: number): { id: string; version: number; status: string; template: string }[] {
    return this.sql
      .exec<{ id: string; version: number; status: string; template: string }>(
        "SELECT id, version, status, template FROM templates ORDER BY id, version LIMIT ? OFFSET ?",
        limit,
        offset,
      )
      .toArray();
  }

  /** Leaves of a version its place alone. */
  erase(id: string, version: number): void {
    const nothing = { name: "", subject: "", markdown: "", variables: [], allowed_domains: null };
    this.sql.exec(
      "UPDATE templates SET template = json_set(?, '$.created_at', json_extract(template, '$.created_at')) WHERE id = ? AND version = ?",
      JSON.stringify(nothing),
      id,
      version,
    );
  }

  count(): number {
    return this.sql
      .exec<{ n: number }>(
        "SELECT count(DISTINCT id) AS n FROM templates WHERE id NOT IN (SELECT id FROM deleted_templates)",
      )
      .one().n;
  }

  insert({ id, version, status, pending_id, content, created_at }: Omit<Version, "approval_ref">): void {
    this.sql.exec(
      "INSERT INTO templates VALUES (?, ?, ?, ?, NULL, ?)",
      id,
      version,
      status,
      pending_id,
      JSON.stringify({ ...content, created_at }),
    );
  }

  decided(pendingId: string, status: RequestStatus, approvalRef: string | null): void {
    this.sql.exec(
      "UPDATE templates SET status = ?, approval_ref = ? WHERE pending_id = ?",
      status,
      approvalRef,
      pendingId,
    );
  }

  delete(id: string, at: string): void {
    this.sql.exec("INSERT OR IGNORE INTO deleted_templates VALUES (?, ?)", id, at);
  }
}

/** Proposes a template, or a new version of one. */
export function propose(box: MailboxBase, caller: Caller, { id, ...content }: NewTemplate): Outcome<Template> {
  const newest = id === null ? null : box.templates.newest(id);
  if (id !== null && newest === null) return notFound();
  if (POLICY.annotate[box.settings().oversight_mode] !== "hold") {
    // Where an annotation waits for a human, a template does so anyway, as what it is.
    const given = permit(box, caller, { effect: "annotate" });
    if (!given.ok) return given;
  }
  if (id === null && box.templates.count() >= MAX_TEMPLATES) {
    return refused("wrong_state", `A mailbox has at most ${MAX_TEMPLATES} templates.`, { hint: "Delete one first." });
  }
  if (newest !== null && newest.version >= MAX_VERSIONS) {
    return refused("wrong_state", `A template has at most ${MAX_VERSIONS} versions.`, { hint: "Make a new template." });
  }
  return accepted(
    box.commit(() => {
      const templateId = id ?? newId("tpl", box.now(), box.routing());
      // Only the newest can wait: each one withdraws the one before.
      if (newest?.status === "pending") withdraw(box, caller, newest.pending_id);
      const version = (newest?.version ?? 0) + 1;
      const { key_id, created_by, agent_id } = caller;
      const item = askFor(box, {
        kind: "template",
        author: { key_id, created_by, agent_id },
        operation: id === null ? "create_template" : "update_template",
        content: { id: templateId, version, ...content },
        email_id: null,
        rule: "template",
        because: "A template waits for a person before anything can be sent with it.",
      });
      box.templates.insert({
        id: templateId,
        version,
        status: "pending",
        pending_id: item.id,
        content,
        created_at: box.time(),
      });
      item.record({
        actor: actorOf(caller),
        action: "template.proposed",
        detail: { template_id: templateId, version, pending_id: item.id, variables: content.variables.length },
        personal: { name: content.name, subject: content.subject, content_hash: item.contentHash() },
      });
      box.schedule("template", templateId, box.now());
      return found(box, templateId);
    }),
  );
}

/** A version that waits is overtaken by a newer one, or by the template's end. Inside `commit`. */
function withdraw(box: MailboxBase, caller: Caller, pendingId: string): void {
  const request = box.requests.find(pendingId);
  if (!request) throw new Error(`the request ${pendingId} is missing`);
  const item = requestItem(box, request);
  if (!item.step("cancel")) return;
  unwatchPending(box, item);
  item.settle("cancel");
  item.save();
  item.record({ actor: actorOf(caller), action: "request.cancelled", detail: { kind: "template" } });
  item.emit("cancelled");
}

/** What a decision, or its absence, makes of a version. Inside `commit`. */
export function templateDecided(box: MailboxBase, request: HeldRequest, _event: WaitingEvent): void {
  const approved = request.status === "approved" ? (request.record.decision?.approval_ref ?? null) : null;
  box.templates.decided(request.id, request.status, approved);
  const { id } = request.record.content as { id: string };
  box.schedule("template", id, box.now());
}

/** A template as it stands, or null if it was deleted or never made. */
export function findTemplate(box: MailboxBase, id: string): Template | null {
  const newest = box.templates.newest(id);
  return newest && viewOf(box, newest, box.templates.inUse(id));
}

function found(box: MailboxBase, id: string): Template {
  const template = findTemplate(box, id);
  if (!template) throw new Error(`the template ${id} is missing`);
  return template;
}

function viewOf(box: MailboxBase, shown: Version, inUse: Version | null): Template {
  const request = box.requests.find(shown.pending_id);
  return {
    id: shown.id,
    version: shown.version,
    mailbox_id: box.settings().id,
    ...shown.content,
    status: shown.status,
    approved_version: inUse?.version ?? null,
    approval_ref: inUse?.approval_ref ?? null,
    pending_id: shown.status === "pending" ? shown.pending_id : null,
    decision_reason: request?.record.decision?.reason ?? null,
    created_at: shown.created_at,
  };
}

/** Reads a template, where the mode lets an agent read. */
export function readTemplate(box: MailboxBase, caller: Caller, id: string): Outcome<Template> {
  const template = findTemplate(box, id);
  if (!template) return notFound();
  const given = permit(box, caller, { effect: "read" });
  if (!given.ok) return given;
  box.commit(() => {
    given.value.use();
    box.record({
      actor: actorOf(caller),
      action: "template.read",
      detail: { template_id: id, version: template.version, ...given.value.detail },
    });
  });
  return accepted(template);
}

/** The version that may be sent now. */
export function approvedTemplate(box: MailboxBase, id: string): Outcome<Template> {
  const newest = box.templates.newest(id);
  if (!newest) return notFound();
  const inUse = box.templates.inUse(id);
  if (inUse) return accepted(viewOf(box, inUse, inUse));
  return refused("wrong_state", "No version of this template was approved yet.", {
    hint: "A human must approve it first; get_template says how it stands.",
    detail: { status: newest.status },
  });
}

/** Whether that version's approval still holds: deleting a template takes it back. */
export function isTemplateInForce(box: MailboxBase, { id, version }: { id: string; version: number }): boolean {
  return box.templates.isApproved(id, version);
}

/** Ends a template: nothing is sent with it from now on. */
export function deleteTemplate(box: MailboxBase, caller: Caller, id: string): Outcome<Template> {
  const template = findTemplate(box, id);
  if (!template) return notFound();
  const given = permit(box, caller, { effect: "annotate" });
  if (!given.ok) return given;
  return accepted(
    box.commit(() => {
      given.value.use();
      if (template.pending_id !== null) withdraw(box, caller, template.pending_id);
      box.templates.delete(id, box.time());
      box.record({
        actor: actorOf(caller),
        action: "template.deleted",
        detail: { template_id: id, ...given.value.detail },
      });
      box.schedule("template", id, box.now());
      takeBackAll(box, actorOf(caller));
      return template;
    }),
  );
}
