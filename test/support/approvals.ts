import { env } from "cloudflare:workers";
import PostalMime from "postal-mime";
import type { MessageItem } from "../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../src/errors.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { findDecisionTokens, hashDecisionToken } from "../../src/oversight/decision-links.ts";
import { makeMailbox, runAlarm, submission, type TestMailbox } from "./mailbox-harness.ts";
import { receivedFor } from "./received-mail.ts";

/** A mailbox whose people are this test's own, and what they are mailed. */

export function somebody(name: string): string {
  return `${name}-${crypto.randomUUID()}@people.example`;
}

/** Makes a mailbox decided by these people, all of them confirmed by the operator. */
export async function decidedBy(people: string[], change: Partial<Mailbox> = {}): Promise<TestMailbox> {
  const box = await makeMailbox({ approvers: people, approver_email: people[0] ?? null, ...change });
  const delegates = (change.delegations ?? []).map(({ delegate }) => delegate);
  for (const person of [...people, ...delegates]) {
    await env.TENANT.getByName(box.mailbox.tenant_id).confirmApprover(box.admin, person);
  }
  return box;
}

/** Submits a message that is held, and has whoever is asked first mailed. */
export async function hold(box: TestMailbox, change: Parameters<typeof submission>[1] = {}): Promise<string> {
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, change)));
  await runAlarm(box);
  return id;
}

/** The mails that a person was sent, as text, the oldest first. */
export async function mailsTo(person: string): Promise<{ subject: string; text: string }[]> {
  const mails = await receivedFor(person);
  return Promise.all(
    mails.map(async ({ raw }) => {
      const { subject = "", text = "" } = await PostalMime.parse(Buffer.from(raw, "latin1"));
      return { subject, text };
    }),
  );
}

/** SHA-256 of every link that a person was mailed, the oldest first. */
export async function linksOf(person: string): Promise<string[]> {
  const mails = await mailsTo(person);
  return mails.flatMap(({ text }) => findDecisionTokens(text)).map(hashDecisionToken);
}

/** The newest link that a person was mailed. */
export async function linkOf(person: string): Promise<string> {
  const hash = (await linksOf(person)).at(-1);
  if (hash === undefined) throw new Error(`${person} was mailed no link`);
  return hash;
}

/** What a link shows, where it is open and about a message. */
export async function shownBy({ stub }: TestMailbox, hash: string): Promise<MessageItem> {
  const view = await stub.openLink(hash);
  if (view.state !== "open" || (view.item.kind !== "send" && view.item.kind !== "inbound")) {
    throw new Error(`the link shows ${JSON.stringify(view)}`);
  }
  return view.item;
}
