import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { treeNodes } from "../../durable-objects/ledger/tree.ts";
import { MailboxObject } from "../../durable-objects/mailbox.ts";
import type {
  DecisionRequest,
  InboxQuery,
  MailboxChange,
  MailboxRpc,
  PersonDecision,
  Submission,
} from "../../durable-objects/mailbox-rpc.ts";
import { CompactRange } from "../../src/audit/compact-range.ts";
import { entryText, hashEntryText } from "../../src/audit/entry.ts";
import { rootOf } from "../../src/audit/merkle-tree.ts";
import { type HashedEntry, verifyChain } from "../../src/audit/verify.ts";
import { type Outcome, unwrap } from "../../src/errors.ts";
import { newId, newRoutingNumber } from "../../src/ids.ts";
import { generateDkimKeys } from "../../src/mail/dkim-keys.ts";
import type { ReceivedMessage } from "../../src/mail/message.ts";
import { defaultPlan } from "../../src/operations/new-mailbox.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Decision } from "../../src/operations/shapes/pending.ts";
import type { Caller, Scope } from "../../src/oversight/caller.ts";
import { dkimKeyContext } from "../../src/store/domains.ts";
import { deriveKeys, seal } from "../../src/store/secrets.ts";
import { entriesIn, faultsOf } from "./audit-fields.ts";

/** A mailbox in the real object, with callers for it, as tests need them. */
export interface TestMailbox {
  mailbox: Mailbox;
  stub: MailboxRpc & DurableObjectStub;
  agent: Caller;
  overseer: Caller;
  admin: Caller;
  stranger: Caller;
}

export function caller(tenant_id: string, scopes: Scope[], rest: Partial<Caller> = {}): Caller {
  return {
    tenant_id,
    key_id: newId("key", Date.now()),
    created_by: null,
    scopes,
    mailbox_ids: null,
    agent_id: null,
    bound_agent_id: null,
    test: false,
    via: "rest",
    ...rest,
  };
}

/** DKIM keys for the tests' domain, sealed as set-up does it. */
export async function setUpDomain(): Promise<void> {
  const there = await env.DB.prepare("SELECT 1 FROM domains WHERE domain = ?").bind(env.MAIL_DOMAIN).first();
  if (there) return;
  const keys = deriveKeys(env, "dkim-key");
  const stored = generateDkimKeys().map(({ selector, algorithm, public_key_base64, private_key_pem }) => ({
    selector,
    algorithm,
    public_key: public_key_base64,
    private_key: seal(keys, dkimKeyContext(env.MAIL_DOMAIN, selector), Buffer.from(private_key_pem)),
  }));
  await env.DB.prepare(
    "INSERT OR IGNORE INTO domains (domain, id, tenant_id, status, dkim_keys, created_at) VALUES (?, ?, NULL, 'verified', ?, ?)",
  )
    .bind(env.MAIL_DOMAIN, newId("dom", Date.now()), JSON.stringify(stored), new Date().toISOString())
    .run();
}

/** The old spelling, one approver, in the settings that the object decides by. */
function approversOf({ approver_email, approver_pending, approvers }: Partial<Mailbox>): Partial<Mailbox> {
  const [first = "approver@people.example"] = approvers ?? (approver_email ? [approver_email] : []);
  if (approver_email === null) return { approvers: [], approvers_pending: [] };
  return {
    ...(!approvers && approver_email && { approvers: [approver_email] }),
    ...(approver_pending && { approvers_pending: [first] }),
  };
}

/** Makes a tenant and one mailbox in it. */
export async function makeMailbox(change: Partial<Mailbox> = {}): Promise<TestMailbox> {
  await setUpDomain();
  const tenant_id = newId("ten", Date.now());
  const routing = newRoutingNumber();
  const mailbox: Mailbox = {
    ...defaultPlan(tenant_id, `agent-${routing.toLowerCase()}@${env.MAIL_DOMAIN}`),
    id: newId("mbx", Date.now(), routing),
    display_name: "Agent",
    approver_email: "approver@people.example",
    approvers: ["approver@people.example"],
    ai_disclosure: false,
    oversight_keys_may_decide: true,
    created_at: new Date().toISOString(),
    ...change,
    ...approversOf(change),
  };
  await env.DB.prepare("INSERT INTO mailboxes VALUES (?, ?, ?, ?, ?, 0)")
    .bind(mailbox.id, tenant_id, mailbox.address, routing, JSON.stringify(mailbox))
    .run();
  unwrap(
    await env.TENANT.getByName(tenant_id).provision({
      id: tenant_id,
      name: "Test",
      operator_email: "operator@people.example",
      confirmed_approvers: ["approver@people.example"],
    }),
  );
  const stub = env.MAILBOX.getByName(routing);
  const admin = caller(tenant_id, ["admin"]);
  unwrap(await stub.create(admin, mailbox));
  return {
    mailbox,
    stub,
    admin,
    agent: caller(tenant_id, ["read", "send"]),
    overseer: caller(tenant_id, ["read", "oversight"]),
    stranger: caller(newId("ten", Date.now()), ["read", "send", "admin"]),
  };
}

export function submission({ mailbox }: Pick<TestMailbox, "mailbox">, change: Partial<Submission> = {}): Submission {
  return {
    id: newId("em", Date.now(), mailbox.id.slice(-8)),
    to: [{ name: "Ana", address: "ana@customer.example" }],
    cc: [],
    bcc: [],
    reply_to: [],
    subject: "Offer",
    text: "Hello Ana",
    html: "<p>Hello Ana</p>",
    markdown: "Hello Ana",
    attachments: [],
    reply: null,
    tags: {},
    metadata: {},
    agent_id: null,
    model_id: null,
    model_provider: null,
    oversight_mode: null,
    send_at: null,
    gate_timing: null,
    template: null,
    idempotency: null,
    ...change,
  };
}

export function arrival(
  { mailbox }: Pick<TestMailbox, "mailbox">,
  change: Partial<ReceivedMessage> = {},
): ReceivedMessage {
  const id = newId("em", Date.now(), mailbox.id.slice(-8));
  return {
    id,
    raw_key: `raw/${mailbox.tenant_id}/${mailbox.id}/${id}.eml`,
    raw_size: 100,
    fingerprint: id,
    envelope_from: "ana@customer.example",
    envelope_to: mailbox.address,
    rfc_message_id: `<${id}@customer.example>`,
    in_reply_to: [],
    references: [],
    from: [{ name: "Ana", address: "ana@customer.example" }],
    reply_to: [],
    to: [{ name: null, address: mailbox.address }],
    cc: [],
    subject: "Question",
    date: null,
    markdown: "What does it cost?",
    quoted: null,
    text: "What does it cost?",
    html: null,
    bodies_key: null,
    attachments: [],
    headers: [["Subject", "Question"]],
    authentication: {
      dkim_result: "pass",
      dkim_domain: "customer.example",
      dkim_selector: "s1",
      dkim_signatures: [],
      spf_result: "pass",
      spf_domain: "customer.example",
      spf_comment: null,
      dmarc_result: "pass",
      dmarc_policy: "reject",
      arc_result: "none",
    },
    identity: null,
    flags: [],
    ...change,
  };
}

export const EVERYTHING: InboxQuery = {
  limit: 20,
  cursor: null,
  offset: 0,
  status: null,
  direction: null,
  sender: null,
  subject_contains: null,
  q: null,
  date_after: null,
  date_before: null,
  has_attachments: null,
  tag: null,
  thread_id: null,
  dkim_result: null,
  since_id: null,
  unread_only: false,
  metadata: {},
};

/** Runs `work` inside the object. */
export function inObject<R>(
  { stub }: Pick<TestMailbox, "stub">,
  work: (object: MailboxObject, state: DurableObjectState) => R | Promise<R>,
): Promise<R> {
  const plain: DurableObjectStub = stub;
  return runInDurableObject(plain, (object: unknown, state) => {
    if (!(object instanceof MailboxObject)) throw new Error("not a mailbox object");
    return work(object, state);
  });
}

/** How often one thing that is due may make another due: who is asked is found out, then they are mailed. */
const ALARMS = 5;

/** Runs the object's alarm as the platform would, until nothing is due, what it started has ended and D1 has everything. */
export async function runAlarm(box: Pick<TestMailbox, "stub">): Promise<void> {
  for (let alarm = 0; alarm < ALARMS; alarm++) {
    await runDurableObjectAlarm(box.stub);
    const due = await inObject(box, async (object, state) => {
      await object.settled();
      return state.storage.sql.exec("SELECT 1 FROM timers WHERE due <= ?", object.now()).toArray().length;
    });
    if (due === 0) return;
  }
}

/** Sets the object's clock `ms` ahead of real time. It lasts until the object is evicted. */
export async function advanceClock(box: TestMailbox, ms: number): Promise<void> {
  await inObject(box, (object) => {
    object.clock = () => Date.now() + ms;
  });
}

/** The object's chain as it holds it; no entry has a field that its action does not name. */
export async function chainOf(box: TestMailbox): Promise<HashedEntry[]> {
  const chain = await inObject(box, (_object, state) =>
    state.storage.sql
      .exec<{ entry: string; hash: string }>("SELECT entry, hash FROM entries ORDER BY seq")
      .toArray()
      .map(({ entry, hash }): HashedEntry => ({ ...JSON.parse(entry), hash })),
  );
  expect(chain.flatMap((entry) => faultsOf(entry, null))).toEqual([]);
  return chain;
}

/** The nodes that the object keeps are the tree over its entries. */
async function checkTree(box: TestMailbox, chain: HashedEntry[]): Promise<void> {
  const range = new CompactRange(0);
  for (const { hash } of chain) range.append(new Uint8Array(Buffer.from(hash, "hex")));
  const kept = await inObject(box, (_object, { storage }) => rootOf(chain.length, treeNodes(storage.sql)));
  expect(Buffer.from(kept).toString("hex")).toBe(Buffer.from(range.joined([])).toString("hex"));
}

/** Everything that must hold of a mailbox at any moment: its chain verifies, and what D1 has of it is the same. */
export async function checkMailbox(box: TestMailbox): Promise<HashedEntry[]> {
  const chain = await chainOf(box);
  expect(verifyChain(chain)).toBeNull();
  await checkTree(box, chain);
  // Each says what its action's row says, its sealed fields too.
  await entriesIn(box.stub);
  const { results } = await env.DB.prepare("SELECT seq, hash, entry FROM audit_log WHERE log = ? ORDER BY seq")
    .bind(box.mailbox.id)
    .all<{ seq: number; hash: string; entry: string }>();
  for (const [index, row] of results.entries()) {
    expect(row.seq).toBe(index);
    expect(hashEntryText(row.entry)).toBe(row.hash);
    expect(row.hash).toBe(chain[index]?.hash);
    expect(entryText(JSON.parse(row.entry))).toBe(row.entry);
  }
  return chain;
}

/** Makes a change that loosens, as if the operator had allowed it in these very words. */
export async function loosen({ stub, admin }: TestMailbox, change: MailboxChange): Promise<void> {
  const asked = unwrap(await stub.update(admin, change, null));
  const words = "needs_approval" in asked ? asked.needs_approval.change : null;
  expect(unwrap(await stub.update(admin, change, words))).toHaveProperty("mailbox");
}

export async function status(box: TestMailbox, id: string): Promise<string> {
  return inObject(box, (object) => object.messages.get(id).status);
}

/** Decides as a key that has read the item, unless the request names the content itself. */
export async function decide(
  { stub }: Pick<TestMailbox, "stub">,
  by: Caller,
  request: DecisionRequest,
): Promise<Outcome<Decision>> {
  if (request.content_hash === null && by.scopes.includes("oversight")) {
    await stub.pendingItems(by, [request.email_id]);
  }
  return stub.decide(by, request);
}

export const APPROVED_BY_PERSON: PersonDecision = { decision: "approve", note: null, edit: null };
export const REJECTED_BY_PERSON: PersonDecision = { decision: "reject", note: null, edit: null };

/** The code of a refusal, or `ok`. */
export function codeOf(outcome: Outcome<unknown>): string {
  return outcome.ok ? "ok" : outcome.refusal.code;
}
