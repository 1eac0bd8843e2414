import { Refused } from "../../errors.ts";
import { isId } from "../../ids.ts";
import { lineStream } from "../../line-stream.ts";
import type { Caller } from "../../oversight/caller.ts";
import { type AccountLog, AuditPage, EXPORT } from "../../pages/console/audit.tsx";
import { AUDIT_STYLE } from "../../pages/console/audit-style.ts";
import { NOTICES } from "../../pages/console/notice.tsx";
import { exportLines, exportName, openExport } from "../../store/audit-export.ts";
import { listMailboxes } from "../../store/directory.ts";
import { callTenant } from "../../store/mailbox-client.ts";
import { contentDisposition } from "../approve/attachment.ts";
import { isFromOurPage } from "../approve/form.ts";
import { pageHeaders } from "../approve/headers.ts";
import { Unavailable } from "../approve/storage.ts";
import { policyFor, scriptAddress } from "../script-page.ts";
import { AUDIT_PAGE } from "../verify.tsx";
import { forPerson, show, tell } from "./answers.tsx";
import type { Door, SignedIn } from "./session.ts";

/** The account's logs in a session of its operator: approvers decide, and do not audit. */

/** More mailboxes than a person looks through are another page. */
const PAGE_LOGS = 50;

/** What the page's script may read. */
const READS = [EXPORT, ...AUDIT_PAGE.reads];

/** The operator, as the objects of the account's own logs know whoever audits: of this account, and with no key. */
function auditorOf({ tenant_id }: SignedIn): Caller {
  return {
    tenant_id,
    key_id: "",
    created_by: null,
    scopes: ["admin"],
    mailbox_ids: null,
    agent_id: null,
    bound_agent_id: null,
    test: false,
    via: "console",
  };
}

/** For everybody but the operator there is nothing here. */
function forOperator(c: Door, page: (operator: SignedIn) => Promise<Response>): Promise<Response> {
  return forPerson(c, async (person) => (person.is_operator ? page(person) : tell(c, NOTICES.unknown, person)));
}

/** The account's log and those of its mailboxes; `after` is the mailbox that the page before ended with. */
export function auditPage(c: Door): Promise<Response> {
  return forOperator(c, async (operator) => {
    const { tenant_id, tenant_name, hash } = operator;
    const given = c.req.query("after") ?? "";
    const after = isId("mbx", given) ? given : "";
    const { mailboxes, more } = await listMailboxes(c.env.DB, auditorOf(operator), { limit: PAGE_LOGS, after });
    const named = mailboxes.map(({ id, address }) => ({ log: id, name: address }));
    const all = after === "" ? [{ log: tenant_id, name: tenant_name }, ...named] : named;
    const ids = all.map(({ log }) => log);
    const sizes = await callTenant(c.env, tenant_id, (tenant) => tenant.sizesInSession(hash, ids));
    if (sizes === null) return tell(c, NOTICES.unknown, operator);
    const logs: AccountLog[] = all.map((each) => ({ ...each, size: sizes[each.log] ?? null }));
    const next = more ? (ids.at(-1) ?? null) : null;
    const { origin, host } = new URL(c.req.url);
    const page = <AuditPage viewer={operator} logs={logs} next={next} host={host} script={scriptAddress(AUDIT_PAGE)} />;
    const policy = policyFor(origin, { style: AUDIT_STYLE, reads: READS }, "'self'");
    return show(c, 200, page, { "Content-Security-Policy": policy });
  });
}

/**
 * A whole log as an export without its opened fields. That it is exported is on record before the first line leaves. Only pages of
 * ours begin one: another site could have a browser ask for exports without end, and fill the log with them.
 */
export function exportLog(c: Door): Promise<Response> {
  return forOperator(c, async (operator) => {
    if (!isFromOurPage(c.req.raw, c.env.PUBLIC_URL)) return tell(c, NOTICES.not_from_here, operator);
    const { tenant_id, hash } = operator;
    const log = c.req.query("log") ?? "";
    try {
      const opened = await openExport(c.env, auditorOf(operator), log, {});
      const isRecorded = await callTenant(c.env, tenant_id, (tenant) => tenant.recordExportInSession(hash, log));
      if (!isRecorded) return tell(c, NOTICES.unknown, operator);
      const { content_type, name } = exportName(opened, "ndjson");
      const headers = {
        ...pageHeaders(c.req.url, c.env.PUBLIC_URL),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Type": content_type,
        "Content-Disposition": contentDisposition(name),
      };
      if (c.req.method === "HEAD") return new Response(null, { headers });
      return new Response(await lineStream(exportLines(c.env, opened, "ndjson", false)), { headers });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.refusal.code === "not_found") return tell(c, NOTICES.unknown, operator);
      throw new Unavailable(error.refusal.error);
    }
  });
}
