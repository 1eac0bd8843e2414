import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { receiveEmail } from "../../email-workers/inbound.ts";
import { unwrap } from "../../src/errors.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import { inObject, makeMailbox, runAlarm, submission, type TestMailbox } from "./mailbox-harness.ts";
import { receivedFor } from "./received-mail.ts";

/** Mail that went out for good, and what comes back about it. */

/** No name exists: the DNS of these tests has no zones. */
const emptyDns: typeof fetch = async () => Response.json({ Status: 3, Answer: [] });

/** Hands a mail to the email handler, as the platform does. @returns the rejection, or null. */
export async function arrive(
  to: string,
  mail: string | Uint8Array,
  {
    from = "",
    now = Date.now,
    env: environment = env,
  }: { from?: string; now?: () => number; env?: Parameters<typeof receiveEmail>[1] } = {},
): Promise<string | null> {
  const bytes = typeof mail === "string" ? Buffer.from(mail) : mail;
  let rejection: string | null = null;
  const refuse = () => Promise.reject(new Error("not used"));
  await receiveEmail(
    {
      ...{ from, to, rawSize: bytes.byteLength, headers: new Headers(), canBeForwarded: false },
      raw: new Blob([new Uint8Array(bytes)]).stream(),
      setReject: (reason) => {
        rejection = reason;
      },
      forward: refuse,
      reply: refuse,
    },
    environment,
    { now, fetch: emptyDns },
  );
  return rejection;
}

export const autonomous = () => makeMailbox({ oversight_mode: "autonomous" });

/** An address of this test's own; its beginning says what the relay answers. */
export function addressFor(box: TestMailbox, start: string): MailAddress {
  return { name: null, address: `${start}-${box.mailbox.id.slice(-8).toLowerCase()}@customer.example` };
}

/** Sends, and delivers. @returns the message's id. */
export async function sent(box: TestMailbox, to: MailAddress[], change = {}): Promise<string> {
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to, ...change })));
  await runAlarm(box);
  return id;
}

/** @returns the return path under which the newest mail reached an address. */
export async function returnPath({ address }: MailAddress): Promise<string> {
  const from = (await receivedFor(address)).at(-1)?.envelope.from;
  expect(from).toMatch(/^bounces\+/);
  return from ?? "";
}

export async function read(box: TestMailbox, id: string) {
  return unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email;
}

/** The events of a mailbox, as D1 has them. */
export async function eventsOf(box: TestMailbox): Promise<{ type: string; data: Record<string, unknown> }[]> {
  await inObject(box, (object) => object.drain());
  const { results } = await env.DB.prepare("SELECT body FROM events WHERE log = ? ORDER BY sequence")
    .bind(box.mailbox.id)
    .all<{ body: string }>();
  return results.map(({ body }) => JSON.parse(body));
}

/** Everything of a mailbox that a report could change: its rows, its chain's length, its tenant's list, what lies in R2. */
export async function everything(box: TestMailbox): Promise<object> {
  const { suppressions } = unwrap(
    await env.TENANT.getByName(box.mailbox.tenant_id).listSuppressions(box.admin, { limit: 100, cursor: null }),
  );
  const { objects } = await env.STORE.list({ prefix: `returned/${box.mailbox.tenant_id}/` });
  const rows = await inObject(box, (_object, { storage: { sql } }) => ({
    deliveries: sql.exec("SELECT * FROM deliveries").toArray(),
    messages: sql.exec("SELECT status, record FROM messages").toArray(),
    returned: sql.exec("SELECT * FROM returned").toArray(),
    entries: sql.exec("SELECT count(*) AS n FROM entries").one(),
  }));
  return { suppressions, keys: objects.map(({ key }) => key), ...rows };
}

/** Whether the tenant does not write to an address, and why. */
export async function suppressionOf(box: TestMailbox, { address }: MailAddress): Promise<string | null> {
  const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
  return unwrap(await tenant.findSuppression(box.admin, address))?.reason ?? null;
}
