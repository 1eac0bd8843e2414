import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { Decision, PendingItem } from "../../src/operations/shapes/pending.ts";
import { call, keyOf, type TestTenant } from "./door-harness.ts";
import { caller, type TestMailbox } from "./mailbox-harness.ts";

/** What an overseer's key does by the doors, and the objects behind a tenant that was made by them. */

/** Looks at what waits and decides on what was seen. */
export async function decideSeen(
  tenant: TestTenant,
  pendingId: string,
  decision: "approve" | "reject" = "approve",
  more: Record<string, unknown> = {},
): Promise<Decision> {
  const key = keyOf(tenant, "overseer");
  const seen = await call<PendingItem>(`/v1/oversight/pending/${pendingId}`, { key });
  expect(seen.status, JSON.stringify(seen.body)).toBe(200);
  const { content_hash } = seen.body;
  const json = { email_id: pendingId, decision, content_hash, ...more };
  const answer = await call<Decision>("/v1/oversight/decide", { key, json });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
}

/** The object of a tenant's mailbox, for a clock and an alarm that tests can move. */
export function objectOf(tenant: TestTenant, index = 0): TestMailbox {
  const mailbox = tenant.mailboxes[index] ?? tenant.mailbox;
  return {
    mailbox,
    stub: env.MAILBOX.getByName(mailbox.id.slice(-8)),
    agent: caller(tenant.id, ["read", "send"]),
    overseer: caller(tenant.id, ["read", "oversight"]),
    admin: caller(tenant.id, ["admin"]),
    stranger: caller("ten_0", ["read", "send", "admin"]),
  };
}
