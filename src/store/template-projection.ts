import { type RoutingNumber, routingNumberOf } from "../ids.ts";
import type { Template } from "../operations/shapes/template.ts";
import type { Caller } from "../oversight/caller.ts";

/** D1's index of templates, across mailboxes. The mailbox object is the authority. */

/** A template as its mailbox has it now. */
export interface ProjectedTemplate {
  id: string;
  tenant_id: string;
  mailbox_id: string;
  /** Null: it was deleted. */
  template: Template | null;
}

/** Brings a template to D1. An older version never overwrites a newer one; a deleted one stays as a row without a template. */
export async function projectTemplate(
  db: D1Database,
  { id, tenant_id, mailbox_id, template }: ProjectedTemplate,
  version: number,
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO templates (id, tenant_id, mailbox_id, template, version) VALUES (?1, ?2, ?3, ?4, ?5)
       ON CONFLICT (id) DO UPDATE SET template = ?4, version = ?5 WHERE ?5 >= version`,
    )
    .bind(id, tenant_id, mailbox_id, template && JSON.stringify(template), version)
    .run();
}

/** Where a template is. */
export interface TemplateRef {
  id: string;
  mailbox_id: string;
}

/** How many rows one page examines at most. */
const EXAMINED_ROWS = 1_000;

/**
 * One page of the templates in the caller's mailboxes, in the order of their ids.
 * @param page `routing`: only the mailbox with this number; null: all of them. `after`: where the page before ended, or empty.
 * @returns where the next page goes on, null at the end. A page may be short and still have one.
 */
export async function listTemplates(
  db: D1Database,
  { tenant_id, mailbox_ids }: Caller,
  page: { routing: RoutingNumber | null; limit: number; after: string },
): Promise<{ templates: TemplateRef[]; next: string | null }> {
  const filtered = mailbox_ids !== null || page.routing !== null;
  const take = filtered ? EXAMINED_ROWS : page.limit + 1;
  const { results: examined } = await db
    .prepare(
      "SELECT id, mailbox_id FROM templates WHERE tenant_id = ?1 AND template IS NOT NULL AND id > ?2 ORDER BY id LIMIT ?3",
    )
    .bind(tenant_id, page.after, take)
    .all<TemplateRef>();
  const visible = examined.filter(
    ({ id, mailbox_id }) =>
      (mailbox_ids === null || mailbox_ids.includes(mailbox_id)) &&
      (page.routing === null || page.routing === routingNumberOf(id)),
  );
  const templates = visible.slice(0, page.limit);
  if (visible.length <= page.limit && examined.length < take) return { templates, next: null };
  const last = visible.length > page.limit ? templates.at(-1) : examined.at(-1);
  return { templates, next: last?.id ?? null };
}
