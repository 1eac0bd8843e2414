import { describe, expect, test } from "vitest";
import { z } from "zod";
import { inputFields } from "../../src/doors/admit.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { SCOPES } from "../../src/oversight/caller.ts";

describe("the registry", () => {
  test("has each operation once, under a name that every door can carry", () => {
    const names = OPERATIONS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });

  test("serves each method and path by one operation", () => {
    const bindings = OPERATIONS.flatMap(({ rest }) =>
      rest.map(({ method, path }) => `${method} ${path.replace(/\{\w+\}/g, "{}")}`),
    );
    expect(new Set(bindings).size).toBe(bindings.length);
  });

  test("has API.md's paths, scopes and effects", () => {
    const table = OPERATIONS.map(({ name, scope, effect, rest }) =>
      [
        name,
        scope === "public" ? scope : scope.join(" or "),
        effect ?? "-",
        ...rest.map(({ method, path }) => `${method} ${path}`),
      ].join(" | "),
    );
    const email = "/v1/mailboxes/{mailbox_id}/emails/{email_id}";
    const draft = "/v1/mailboxes/{mailbox_id}/drafts/{draft_id}";
    expect(table).toEqual([
      "create_mailbox | admin | administer | POST /v1/mailboxes",
      "list_mailboxes | read | - | GET /v1/mailboxes",
      "get_mailbox | read | - | GET /v1/mailboxes/{mailbox_id}",
      "update_mailbox | admin | administer | PATCH /v1/mailboxes/{mailbox_id}",
      "configure_mailbox | admin | administer | PATCH /v1/mailboxes/{mailbox_id}/configure",
      "set_policy | admin | administer | PUT /v1/mailboxes/{mailbox_id}/policy",
      "get_policy | read or admin or oversight | - | GET /v1/mailboxes/{mailbox_id}/policy",
      "get_track_record | read or admin or oversight | - | GET /v1/mailboxes/{mailbox_id}/record",
      "add_to_allowlist | admin | administer | POST /v1/mailboxes/{mailbox_id}/allowlist",
      "list_allowlist | read or admin or oversight | - | GET /v1/mailboxes/{mailbox_id}/allowlist",
      "remove_from_allowlist | admin | administer | DELETE /v1/mailboxes/{mailbox_id}/allowlist/{entry_id}",
      "request_upgrade | send or admin | - | POST /v1/mailboxes/{mailbox_id}/request-upgrade",
      "apply_upgrade | send or admin | - | POST /v1/mailboxes/{mailbox_id}/upgrade",
      "send_email | send | send | POST /v1/mailboxes/{mailbox_id}/send",
      "schedule_email | send | send",
      "reply_email | send | send | POST /v1/mailboxes/{mailbox_id}/reply/{email_id}",
      "forward_email | send | send | POST /v1/mailboxes/{mailbox_id}/forward/{email_id}",
      `edit_scheduled_email | send | send | PATCH ${email}/schedule`,
      `cancel_message | send or oversight | - | POST ${email}/cancel`,
      "create_draft | send | annotate | POST /v1/mailboxes/{mailbox_id}/drafts",
      `update_draft | send | annotate | PATCH ${draft}`,
      "list_drafts | send | read | GET /v1/mailboxes/{mailbox_id}/drafts",
      `get_draft | send | read | GET ${draft}`,
      `send_draft | send | send | POST ${draft}/send`,
      `delete_draft | send | annotate | DELETE ${draft}`,
      "check_domain_intelligence | send | send | GET /v1/domain-intelligence/{domain}",
      "create_template | send or admin | annotate | POST /v1/templates",
      "update_template | send or admin | annotate | PUT /v1/templates/{template_id}",
      "list_templates | read | read | GET /v1/templates",
      "get_template | read | read | GET /v1/templates/{template_id}",
      "delete_template | send or admin | annotate | DELETE /v1/templates/{template_id}",
      "check_inbox | read | read | GET /v1/mailboxes/{mailbox_id}/emails",
      "search_email | read | read",
      "wait_for_email | read | read | POST /v1/mailboxes/{mailbox_id}/wait",
      `read_email | read | read | GET ${email} | GET /v1/emails/{email_id}`,
      "get_thread | read | read | GET /v1/mailboxes/{mailbox_id}/threads/{thread_id}",
      `mark_email | read | annotate | PATCH ${email}`,
      `tag_email | send | annotate | PUT ${email}/tags`,
      `get_tags | read | read | GET ${email}/tags`,
      `delete_tag | send | annotate | DELETE ${email}/tags/{key}`,
      `download_attachment | read | read | GET ${email}/attachments/{filename}`,
      "get_identity_receipt | read | read | GET /v1/emails/{email_id}/identity-receipt",
      "list_pending | oversight or send | - | GET /v1/oversight/pending",
      "get_pending | oversight or send | - | GET /v1/oversight/pending/{pending_id}",
      "decide_email | oversight | decide | POST /v1/oversight/decide",
      "decide_emails | oversight | decide | POST /v1/oversight/decide-many",
      "create_api_key | admin | administer | POST /v1/api-keys",
      "list_api_keys | admin | - | GET /v1/api-keys",
      "update_api_key | admin | administer | PATCH /v1/api-keys/{id}",
      "revoke_api_key | admin | administer | DELETE /v1/api-keys/{id}",
      "pause_sending | admin or oversight | administer | POST /v1/pause",
      "resume_sending | admin or oversight | administer | POST /v1/resume",
      "get_pauses | read or oversight or admin | - | GET /v1/pauses",
      "configure_domain | admin | administer | POST /v1/domains",
      "list_domains | admin | - | GET /v1/domains",
      "get_domain | admin | - | GET /v1/domains/{domain_id}",
      "delete_domain | admin | administer | DELETE /v1/domains/{domain_id}",
      "verify_domain_alignment | admin | administer | POST /v1/domains/{domain_id}/verify",
      "rotate_dkim | admin | administer | POST /v1/domains/{domain_id}/rotate-dkim",
      "get_identity_public_key | public | - | GET /v1/identity/public-key",
      "get_agent_public_key | public | - | GET /v1/identity/pubkey/{agent_id}",
      "rotate_identity_key | admin | administer | POST /v1/identity/rotate",
      "verify_identity | public | - | POST /v1/identity/verify",
      "create_agent | admin | administer | POST /v1/agents",
      "list_agents | read or admin | - | GET /v1/agents",
      "get_agent | read or admin | - | GET /v1/agents/{id}",
      "update_agent | admin | administer | PATCH /v1/agents/{id}",
      "delete_agent | admin | administer | DELETE /v1/agents/{id}",
      "check_suppression | admin | administer | GET /v1/suppression",
      "add_suppression | admin | administer | POST /v1/suppression",
      "remove_suppression | admin | administer | DELETE /v1/suppression/{address}",
      "erase_email | admin | administer | POST /v1/emails/{email_id}/erase",
      "erase_contact | admin | administer",
      "export_account | admin | administer | GET /v1/export",
      "get_account | read | - | GET /v1/account",
      "update_account | admin | administer | PATCH /v1/account",
      "get_audit_log | admin | - | GET /v1/audit-log",
      "export_audit_log | admin | - | GET /v1/audit-log/export",
      "verify_audit_log | admin | - | GET /v1/audit-log/verify",
      "get_email_record | admin or oversight | - | GET /v1/emails/{email_id}/record",
      "get_checkpoint | admin | - | GET /v1/audit-log/checkpoint",
      "get_audit_proof | admin | - | GET /v1/audit-log/proof",
      "get_verifier_key | public | - | GET /v1/audit-log/verifier-key",
      "cosign_checkpoint | public | - | POST /v1/audit-log/cosign",
      "reconcile_audit_log | admin | administer | POST /v1/audit-log/reconcile",
    ]);
  });
});

describe.each(OPERATIONS.map((operation) => [operation.name, operation] as const))("%s", (_name, operation) => {
  test("says what it does in a sentence, and names real scopes", () => {
    expect(operation.summary).toMatch(/^[A-Z].*\.$/);
    if (operation.scope === "public") return;
    expect(operation.scope.length).toBeGreaterThan(0);
    for (const scope of operation.scope) expect(SCOPES).toContain(scope);
  });

  test("has no effect if anyone may call it, and limits how often if it is no question", () => {
    if (operation.scope !== "public") return;
    expect(operation.effect).toBeNull();
    if (operation.rest.some(({ method }) => method !== "GET")) expect(operation.rateLimited).toBe(true);
  });

  test("has an input field for each path parameter", () => {
    const fields = Object.keys(inputFields(operation.input));
    for (const { path } of operation.rest) {
      for (const [, name] of path.matchAll(/\{(\w+)\}/g)) expect(fields).toContain(name);
    }
  });

  test("refuses a field it does not know", () => {
    const { error } = operation.input.safeParse({ no_such_field: 1 });
    expect(error?.issues).toContainEqual(
      expect.objectContaining({ code: "unrecognized_keys", keys: ["no_such_field"] }),
    );
  });

  test("has schemas that can be written as JSON Schema", () => {
    for (const [schema, io] of [
      [operation.input, "input"],
      [operation.output, "output"],
    ] as const) {
      const json = z.toJSONSchema(schema, { io, unrepresentable: "any" });
      expect(json).toBeTypeOf("object");
    }
  });
});
