import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { ReceivedMessage } from "../../src/mail/message.ts";
import type { Operation } from "../../src/operations/operation.ts";
import type { Decision, PendingItem } from "../../src/operations/shapes/pending.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import {
  type Answer,
  type CallOptions,
  call,
  keyOf,
  makeTenant,
  type RefusalBody,
  type TestTenant,
} from "./door-harness.ts";
import { arrival, caller, runAlarm, type TestMailbox } from "./mailbox-harness.ts";
import type { SampleCall, Things } from "./operation-samples.ts";
import { addThings } from "./things.ts";

/** A mailbox in which a human is asked about everything, two agents that use it by the doors, and the human. */
export interface GatedAll extends TestMailbox {
  tenant: TestTenant;
  /** Keys. */
  agentKey: string;
  otherKey: string;
  overseerKey: string;
}

/** What a held call answers. */
export interface Held {
  status: "pending";
  pending_id: string;
  expires_at: string | null;
  hint: string;
  message: string;
}

export async function makeGatedAll(): Promise<GatedAll> {
  const tenant = await makeTenant(["gated_all"], () => [{ name: "other agent", scopes: ["read", "send"] }]);
  const { mailbox } = tenant;
  return {
    tenant,
    mailbox,
    // A fresh one each time: after a restart the old one is broken.
    get stub() {
      return env.MAILBOX.getByName(mailbox.id.slice(-8));
    },
    agent: caller(tenant.id, ["read", "send"]),
    overseer: caller(tenant.id, ["read", "oversight"]),
    admin: caller(tenant.id, ["admin"]),
    stranger: caller("ten_0", ["read", "send", "admin"]),
    agentKey: keyOf(tenant, "agent"),
    otherKey: keyOf(tenant, "other agent"),
    overseerKey: keyOf(tenant, "oversight"),
  };
}

/** A call to an operation by its name. */
export function rpc<Body = RefusalBody>(
  world: GatedAll,
  operation: string,
  json: Record<string, unknown>,
  options: CallOptions = {},
): Promise<Answer<Body>> {
  return call<Body>(`/v1/${operation}`, { key: world.agentKey, json, ...options });
}

/** A sample call, with an approval if there is one. */
export function ask<Body = RefusalBody>(
  { path, method, json }: SampleCall,
  key: string,
  approvalRef?: string,
): Promise<Answer<Body>> {
  return call<Body>(path, {
    method,
    key,
    ...(json !== undefined && { json }),
    ...(approvalRef !== undefined && { headers: { "X-MM-Approval": approvalRef } }),
  });
}

/** Expects that a human is asked. @returns what waits. */
export function heldBy({ status, body }: Answer<unknown>, label = ""): string {
  expect({ status, body }, label).toMatchObject({
    status: 202,
    body: { status: "pending", pending_id: expect.stringMatching(/^pend_/) },
  });
  return (body as Held).pending_id;
}

/** The human looks at an item and decides on what they saw. */
export async function decide(
  { overseerKey }: GatedAll,
  pendingId: string,
  decision: "approve" | "reject",
  reason?: string,
): Promise<Decision> {
  const seen = await call<PendingItem>(`/v1/oversight/pending/${pendingId}`, { key: overseerKey });
  expect(seen.status, JSON.stringify(seen.body)).toBe(200);
  const { content_hash } = seen.body;
  const answer = await call<Decision>("/v1/oversight/decide", {
    key: overseerKey,
    json: { email_id: pendingId, decision, content_hash, ...(reason !== undefined && { reason }) },
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
}

/** @returns the approval's reference. */
export async function approve(world: GatedAll, pendingId: string): Promise<string> {
  return (await decide(world, pendingId, "approve")).approval_ref;
}

/** What the agent sees of something of its own that waits, or waited. */
export async function pendingItem(world: GatedAll, pendingId: string, key = world.agentKey): Promise<PendingItem> {
  const { status, body } = await call<PendingItem>(`/v1/oversight/pending/${pendingId}`, { key });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

/** Mail from outside. @returns its id; a human has not released it. */
export async function letIn(world: GatedAll, change: Partial<ReceivedMessage> = {}): Promise<string> {
  const mail = arrival(world, change);
  for (const { key } of mail.attachments) await env.STORE.put(key, "hello");
  const received = await world.stub.receive(mail);
  expect(received).toMatchObject({ status: "pending_inbound_approval", duplicate: false });
  return mail.id;
}

/** The human releases mail from outside. */
export async function release(world: GatedAll, emailId: string): Promise<void> {
  await decide(world, emailId.replace("em_", "pend_"), "approve");
}

/** A message that an agent wrote; it waits for a human. */
export async function write(world: GatedAll, change: Record<string, unknown> = {}, key = world.agentKey) {
  const { status, body } = await call<SendAnswer>(`/v1/mailboxes/${world.mailbox.id}/send`, {
    key,
    json: {
      to: "ana@customer.example",
      subject: "Offer",
      text: "Hello",
      tags: ["offer"],
      attachments: [{ name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" }],
      ...change,
    },
  });
  expect(status, JSON.stringify(body)).toBe(202);
  return body;
}

/**
 * Fresh things that an operation works on: the agent's own, which it may not look at unasked; a message from outside,
 * released, or one of its own, delivered, where the operation works on no other.
 */
export async function sampleThings(world: GatedAll, operation: Operation): Promise<Things> {
  const written = await write(world);
  const things: Things = {
    mailbox_id: world.mailbox.id,
    email_id: written.id,
    thread_id: written.thread_id,
    pending_id: written.pending_id ?? "",
    ...(await addThings(world.mailbox)),
    id: "",
  };
  switch (operation.name) {
    case "mark_email": {
      const email_id = await letIn(world);
      await release(world, email_id);
      return { ...things, email_id };
    }
    case "get_identity_receipt":
      await release(world, written.id);
      await runAlarm(world);
      return things;
    default:
      return things;
  }
}
