import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import type { MailboxRpc } from "../../durable-objects/mailbox-rpc.ts";
import { routingNumberOf } from "../../src/ids.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { findKey } from "../../src/store/directory.ts";
import { call, localPart, setUp } from "./door-harness.ts";
import { caller } from "./mailbox-harness.ts";

/** A tenant whose mailboxes are overseen by different people, with what waits in them. */

export interface Overseen {
  id: string;
  operator: string;
  /** Decides for `sales` and, with Ben, for `legal`, where both are needed. */
  ana: string;
  /** Decides for `support` and, with Ana, for `legal`. */
  ben: string;
  sales: Mailbox;
  support: Mailbox;
  legal: Mailbox;
  /** Everything arrives here only after a person released it. */
  closed: Mailbox;
  keys: Record<string, string>;
}

export async function overseenTenant(): Promise<Overseen> {
  const [operator, ana, ben] = ["operator", "ana", "ben"].map((name) => `${localPart(name)}@people.example`);
  if (!operator || !ana || !ben) throw new Error("a person is missing");
  const mailbox = (name: string, settings: Record<string, unknown>) => ({
    address_local: localPart(name),
    oversight_mode: "gated_send",
    ai_disclosure: false,
    ...settings,
  });
  const { status, body } = await setUp({
    name: localPart("Tenant"),
    operator_email: operator,
    approvers: [ana, ben],
    mailboxes: [
      mailbox("sales", { approvers: [ana] }),
      mailbox("support", { approvers: [ben], oversight_keys_may_decide: true }),
      mailbox("legal", { approvers: [ana, ben], quorum: 2 }),
      mailbox("closed", { approvers: [ana], oversight_mode: "gated_all" }),
    ],
    keys: [
      { name: "agent", scopes: ["read", "send"] },
      { name: "overseer", scopes: ["read", "oversight"] },
      { name: "admin", scopes: ["admin"] },
    ],
  });
  const [sales, support, legal, closed] = body.mailboxes ?? [];
  if (status !== 201 || !sales || !support || !legal || !closed) {
    throw new Error(`set-up answered ${status}: ${JSON.stringify(body)}`);
  }
  return { id: body.tenant_id, operator, ana, ben, sales, support, legal, closed, keys: body.keys };
}

/** Has the agent ask to send something. @returns the id of what waits. */
export async function held(world: Overseen, from: Mailbox, message: Record<string, unknown> = {}): Promise<string> {
  const { status, body } = await call<SendAnswer>(`/v1/mailboxes/${from.id}/send`, {
    key: world.keys.agent ?? null,
    json: { to: "customer@customer.example", subject: "Offer", text: "Hello", ...message },
  });
  if (status !== 202 || body.pending_id === undefined)
    throw new Error(`sending answered ${status}: ${JSON.stringify(body)}`);
  return body.pending_id;
}

export function mailboxOf(id: string): MailboxRpc {
  return env.MAILBOX.getByName(routingNumberOf(id) ?? "");
}

/** How an item stands, as the agent is told. */
export async function statusOf(world: Overseen, pendingId: string): Promise<string> {
  const { body } = await call<{ status: string }>(`/v1/oversight/pending/${pendingId}`, {
    key: world.keys.agent ?? null,
  });
  return body.status;
}

/** The values of a page's checkboxes, by the item's id. */
export function picksOn(page: string): Map<string, string> {
  return new Map(
    [...page.matchAll(/name="item" value="([^"]+)"/g)].map(([, value = ""]) => [value.split(".")[0] ?? "", value]),
  );
}

/** The agent's key as the objects see it. */
export async function agentOf(world: Overseen): Promise<Caller> {
  const hash = createHash("sha256")
    .update(world.keys.agent ?? "")
    .digest("hex");
  const key = await findKey(env.DB, hash);
  return caller(world.id, ["read", "send"], { key_id: key?.id ?? "" });
}
