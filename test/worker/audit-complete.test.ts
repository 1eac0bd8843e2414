import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { MailboxObject } from "../../durable-objects/mailbox.ts";
import { receiveEmail } from "../../email-workers/inbound.ts";
import { unwrap } from "../../src/errors.ts";
import type { Operation } from "../../src/operations/operation.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { addedBy } from "../support/audit-fields.ts";
import { call, keyOf, makeTenant, request, type TestTenant } from "../support/door-harness.ts";
import { caller, decide, EVERYTHING } from "../support/mailbox-harness.ts";
import { NEVER_TAKEN, SAMPLE_AGENT, sampleCalls, type Things } from "../support/operation-samples.ts";
import { addThings } from "../support/things.ts";

/** Everything is in the log: each call that is served leaves an entry, whatever the operation. Derived from the registry. */

async function thingsOf(tenant: TestTenant): Promise<Things> {
  const { status, body } = await call<SendAnswer>(`/v1/mailboxes/${tenant.mailbox.id}/send`, {
    key: keyOf(tenant, "send"),
    json: {
      to: "ana@customer.example",
      subject: "Offer",
      text: "Hello",
      tags: ["offer"],
      attachments: [{ name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" }],
    },
  });
  expect(status).toBe(202);
  const made = await call<{ id: string }>("/v1/api-keys", {
    key: keyOf(tenant, "admin"),
    json: { name: "another", scopes: ["read"] },
  });
  return {
    mailbox_id: tenant.mailbox.id,
    email_id: body.id,
    thread_id: body.thread_id,
    pending_id: body.pending_id ?? "",
    ...(await addThings(tenant.mailbox)),
    id: made.body.id,
  };
}

/** A message that arrived, bytes and all. */
async function arrived({ mailbox }: TestTenant): Promise<string> {
  const raw = Buffer.from("From: Ana <ana@customer.example>\r\nSubject: Question\r\n\r\nWhat does it cost?\r\n");
  const refuse = () => Promise.reject(new Error("not used"));
  await receiveEmail(
    {
      ...{ from: "ana@customer.example", to: mailbox.address, raw: new Blob([raw]).stream(), rawSize: raw.byteLength },
      ...{ headers: new Headers(), canBeForwarded: false, forward: refuse, reply: refuse },
      setReject: (reason) => {
        throw new Error(`refused: ${reason}`);
      },
    },
    env,
    { now: Date.now, fetch },
  );
  const object = env.MAILBOX.getByName(mailbox.id.slice(-8));
  const reader = caller(mailbox.tenant_id, ["read"]);
  const { emails } = unwrap(await object.list(reader, { ...EVERYTHING, direction: "inbound" }));
  return emails[0]?.id ?? "";
}

/** The message, as it is once it was approved and delivered. */
async function delivered(tenant: TestTenant, { email_id }: Things): Promise<string> {
  const object = env.MAILBOX.getByName(tenant.mailbox.id.slice(-8));
  const overseer = caller(tenant.id, ["read", "oversight"]);
  await decide({ stub: object }, overseer, { ...APPROVAL, email_id });
  await runDurableObjectAlarm(object);
  const plain: DurableObjectStub = object;
  await runInDurableObject(plain, async (instance: unknown) => {
    if (instance instanceof MailboxObject) await instance.settled();
  });
  return email_id;
}

const APPROVAL = { decision: "approve", reason: null, content_hash: null } as const;

/** What an operation needs before its sample is taken, where that is not a message that waits. */
const PREPARED: Readonly<Record<string, (tenant: TestTenant, things: Things) => Promise<Partial<Things>>>> = {
  forward_email: async (tenant) => ({ email_id: await arrived(tenant) }),
  mark_email: async (tenant) => ({ email_id: await arrived(tenant) }),
  erase_email: async (tenant) => ({ email_id: await arrived(tenant) }),
  get_identity_receipt: async (tenant, things) => ({ email_id: await delivered(tenant, things) }),
  async decide_email(tenant, { pending_id }) {
    await call("/v1/get_pending", { key: keyOf(tenant, "oversight"), json: { pending_id } });
    return {};
  },
};

async function keyIdOf(tenant: TestTenant, name: string): Promise<string> {
  const { body } = await call<{ api_keys: { id: string; name: string }[] }>("/v1/api-keys?limit=100", {
    key: keyOf(tenant, "admin"),
  });
  return body.api_keys.find((key) => key.name === name)?.id ?? "";
}

function ask(tenant: TestTenant, key: string, { path, method, json }: ReturnType<typeof sampleCalls>[number]) {
  return request(path, { method, key: keyOf(tenant, key), ...(json !== undefined && { json }) });
}

describe.each(OPERATIONS.map((operation): [string, Operation] => [operation.name, operation]))(
  "%s",
  (_name, operation) => {
    const scope = operation.scope === "public" ? "read" : (operation.scope[0] ?? "read");

    test("leaves an entry by the key that called it, before its answer", async () => {
      const tenant = await makeTenant(["gated_send"], () => [
        { name: "of an agent", scopes: ["read"], agent_id: SAMPLE_AGENT },
      ]);
      const key_id = await keyIdOf(tenant, scope);
      const things = await thingsOf(tenant);
      const prepared = (await PREPARED[operation.name]?.(tenant, things)) ?? {};
      const [sample] = sampleCalls(operation, { ...things, ...prepared });
      if (!sample) throw new Error("a sample is missing");
      const { result: answer, added } = await addedBy(tenant.id, () => ask(tenant, scope, sample));
      const own = added.filter(({ actor }) => actor.key_id === key_id);
      const label = `${sample.label} answered ${answer.status}: ${await answer.text()}`;
      const refused = NEVER_TAKEN[operation.name];
      if (refused !== undefined) return expect(answer.status, label).toBe(refused);
      // No code was mailed; the attempt to use one is an entry.
      if (operation.name !== "apply_upgrade") expect(answer.status, label).toBeLessThan(300);
      expect(own, label).not.toEqual([]);
      for (const { actor, mode, log } of own) {
        expect(actor).toMatchObject({ type: "agent", via: "rest" });
        // An account has no mode; a mailbox always has one.
        expect(mode === null).toBe(log === tenant.id);
      }
    });

    test("leaves one, too, when it is called again and changes nothing more", async () => {
      const tenant = await makeTenant(["gated_send"], () => [
        { name: "of an agent", scopes: ["read"], agent_id: SAMPLE_AGENT },
      ]);
      const key_id = await keyIdOf(tenant, scope);
      const [sample] = sampleCalls(operation, await thingsOf(tenant));
      if (!sample) throw new Error("a sample is missing");
      const first = await (await ask(tenant, scope, sample)).text();
      const { result: again, added } = await addedBy(tenant.id, () => ask(tenant, scope, sample));
      const own = added.filter(({ actor }) => actor.key_id === key_id);
      // What is refused for its state alone (409) or its number (429) went no further than the key may.
      const text = await again.text();
      // What waits for a person is the same item however often it is asked for: it was recorded when it began to wait.
      const stillWaits = again.status === 202 && text === first;
      if (again.status < 300 && !stillWaits) expect(own, `${sample.label} answered ${text}`).not.toEqual([]);
    });
  },
);
