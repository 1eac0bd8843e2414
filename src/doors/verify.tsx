import type { Hono } from "hono";
import { VERIFY_AUDIT_PAGE_SCRIPT } from "../../clients/typescript/dist/verify-audit-page-text.js";
import { VERIFY_PAGE_SCRIPT } from "../../clients/typescript/dist/verify-page-text.js";
import { AuditCheckPage } from "../pages/audit-check/page.tsx";
import { AUDIT_CHECK_STYLE } from "../pages/audit-check/style.ts";
import { VerifyPage } from "../pages/verify/page.tsx";
import { VERIFY_STYLE } from "../pages/verify/style.ts";
import { type ScriptPage, scriptPageRoutes } from "./script-page.ts";
import type { AppEnvironment } from "./serve.ts";

/** The pages where anyone checks a message, or an export of an audit log. No key has any part in them. */

export const VERIFY_PAGE = "/verify";
export const VERIFY_AUDIT_PAGE = "/verify-audit";

const MESSAGE_PAGE: ScriptPage = {
  path: VERIFY_PAGE,
  script: VERIFY_PAGE_SCRIPT,
  style: VERIFY_STYLE,
  // Where keys are published: a tenant's, and a domain's by an agent's name.
  reads: ["/v1/identity/public-key", "/v1/identity/pubkey/"],
  render: (host, script) => <VerifyPage host={host} script={script} />,
};

/** Its script checks logs in the console, too. */
export const AUDIT_PAGE: ScriptPage = {
  path: VERIFY_AUDIT_PAGE,
  script: VERIFY_AUDIT_PAGE_SCRIPT,
  style: AUDIT_CHECK_STYLE,
  reads: ["/v1/audit-log/verifier-key"],
  render: (host, script) => <AuditCheckPage host={host} script={script} />,
};

/** @returns the routes of the page for messages. */
export function verifyRoutes(): Hono<AppEnvironment> {
  return scriptPageRoutes(MESSAGE_PAGE);
}

/** @returns the routes of the page for exports of audit logs. */
export function verifyAuditRoutes(): Hono<AppEnvironment> {
  return scriptPageRoutes(AUDIT_PAGE);
}
