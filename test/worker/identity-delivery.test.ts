import { env } from "cloudflare:workers";
import { compactVerify, importJWK } from "jose";
import { describe, expect, test } from "vitest";
import { backoff } from "../../durable-objects/timers.ts";
import { unwrap } from "../../src/errors.ts";
import type { TrustedKeys } from "../../src/identity/keys.ts";
import type { MessageVerdict } from "../../src/identity/verdict.ts";
import { verifyMessage } from "../../src/identity/verify-message.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { keysOfSender } from "../../src/store/identity-keys.ts";
import { decidedBy, hold, linkOf, shownBy, somebody } from "../support/approvals.ts";
import {
  APPROVED_BY_PERSON,
  advanceClock,
  caller,
  checkMailbox,
  codeOf,
  decide,
  inObject,
  loosen,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { type RelayedMail, receivedFor } from "../support/received-mail.ts";

/** What is delivered is signed, at delivery and never before (FORMATS.md §2, §4). */

function outside(start = "ana"): string {
  return `${start}-${crypto.randomUUID()}@customer.example`;
}

function to(...addresses: string[]) {
  return { to: addresses.map((address) => ({ name: null, address })) };
}

async function send(box: TestMailbox, change: Parameters<typeof submission>[1], by = box.agent): Promise<string> {
  const { id } = unwrap(await box.stub.submit(by, submission(box, change)));
  await runAlarm(box);
  return id;
}

async function trustedKeys(box: TestMailbox): Promise<TrustedKeys> {
  const keys = await keysOfSender(env.DB, env, box.mailbox.address);
  if (!keys) throw new Error("the tenant has published no keys");
  return keys;
}

async function verified(box: TestMailbox, mail: RelayedMail | undefined): Promise<MessageVerdict> {
  return verifyMessage(Buffer.from(mail?.raw ?? "", "latin1"), await trustedKeys(box));
}

const autonomous = (change = {}) => makeMailbox({ oversight_mode: "autonomous", ...change });

describe("a delivered message says who wrote it, under which oversight and who allowed it", () => {
  test("and anyone with the tenant's key can verify it", async () => {
    const box = await autonomous({ ai_disclosure: true });
    const agent = { ...box.agent, agent_id: "quotes", bound_agent_id: "quotes" };
    const address = outside();
    const change = { agent_id: "quotes", model_id: "claude-sonnet-4-6", model_provider: "anthropic" };
    const id = await send(box, { ...to(address), ...change, subject: "Zażółć 🎁" }, agent);
    const [mail] = await receivedFor(address);
    const verdict = await verified(box, mail);
    expect(verdict.reasons).toEqual([]);
    expect(verdict).toMatchObject({
      verified: true,
      headers: [{ valid: true }, { valid: true }, { valid: true }],
      agent_metadata: {
        agent_id: "quotes",
        model_id: "claude-sonnet-4-6",
        model_provider: "anthropic",
        tenant_id: box.mailbox.tenant_id,
        oversight_mode: "autonomous",
        ai_disclosure: true,
        email_id: id,
        approval_ref: null,
        approval_kind: null,
        key_id: agent.key_id,
        key_is_bound: true,
      },
    });
    expect(mail?.raw).toMatch(/^X-AI-Generated: true\r$/m);
    const email = unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email;
    expect(email.identity_headers).toEqual(verdict.identity_headers);
    expect(email.identity_verified).toBeNull();
  });

  test("a key with no agent is its own, and an agent that was only named is not said to be bound", async () => {
    const box = await autonomous();
    const [own, named] = [outside("own"), outside("named")];
    await send(box, to(own));
    await send(box, { ...to(named), agent_id: "quotes" });
    expect((await verified(box, (await receivedFor(own))[0])).agent_metadata).toMatchObject({
      agent_id: box.agent.key_id,
      key_is_bound: true,
    });
    expect((await verified(box, (await receivedFor(named))[0])).agent_metadata).toMatchObject({
      agent_id: "quotes",
      key_is_bound: false,
    });
  });

  test("an approval by link is named with its kind", async () => {
    const person = somebody("ana");
    const box = await decidedBy([person]);
    const address = outside();
    await hold(box, to(address));
    const hash = await linkOf(person);
    await shownBy(box, hash);
    await box.stub.decideByLink(hash, APPROVED_BY_PERSON);
    await runAlarm(box);
    const { agent_metadata } = await verified(box, (await receivedFor(address))[0]);
    expect(agent_metadata).toMatchObject({
      approval_kind: "human_link",
      approval_ref: expect.stringMatching(/^apr_/),
      oversight_mode: "gated_send",
    });
  });

  test("an approval by a key, and one given beforehand by the allowlist, are named too", async () => {
    const box = await makeMailbox();
    const [asked, listed] = [outside("asked"), outside("listed")];
    const id = await send(box, to(asked));
    const decision = unwrap(
      await decide(box, box.overseer, { email_id: id, decision: "approve", reason: null, content_hash: null }),
    );
    await runAlarm(box);
    expect((await verified(box, (await receivedFor(asked))[0])).agent_metadata).toMatchObject({
      approval_kind: "key",
      approval_ref: decision.approval_ref,
    });
    const entry = { recipient: listed, note: null };
    const words = unwrap(await box.stub.allow(box.admin, entry, null));
    unwrap(await box.stub.allow(box.admin, entry, "needs_approval" in words ? words.needs_approval.change : null));
    await send(box, to(listed));
    expect((await verified(box, (await receivedFor(listed))[0])).agent_metadata).toMatchObject({
      approval_kind: "allowlist",
      approval_ref: expect.any(String),
    });
  });

  test("in the domain-bound form where the mailbox has it", async () => {
    const box = await autonomous({ identity_format: "domain" });
    const address = outside();
    const id = await send(box, { ...to(address), agent_id: "quotes" });
    const [mail] = await receivedFor(address);
    expect(mail?.raw).toMatch(/^X-MultiMail-Identity: agent_id=quotes; oversight=autonomous; sig=/m);
    const verdict = await verified(box, mail);
    expect(verdict.reasons).toEqual([]);
    expect(verdict).toMatchObject({ verified: true, headers: [{ form: "domain", valid: true }, {}, {}] });
    const receipt = unwrap(await box.stub.identityReceipt(box.agent, id));
    expect(receipt.signature_header).toMatch(/^agent_id=quotes; /);
  });

  test("and nothing of it where the mailbox does not sign, but for the disclosure", async () => {
    const box = await autonomous({ identity_signing: false, ai_disclosure: true });
    const address = outside();
    const id = await send(box, to(address));
    const [mail] = await receivedFor(address);
    expect(mail?.raw.match(/^X-(?:MultiMail|MM)-.*$/gim)).toBeNull();
    expect(mail?.raw.match(/^X-AI-Generated: true\r$/gm)).toHaveLength(1);
    expect((await verified(box, mail)).verified).not.toBe(true);
    expect(codeOf(await box.stub.identityReceipt(box.agent, id))).toBe("not_found");
    const answered = (await checkMailbox(box)).find(({ action }) => action === "delivery.answered");
    expect(answered?.detail).toMatchObject({ identity_kid: null, status: "sent" });
  });

  test("hidden recipients hold a message that verifies", async () => {
    const box = await autonomous();
    const [address, hidden] = [outside(), outside("hidden")];
    await send(box, { ...to(address), bcc: [{ name: null, address: hidden }] });
    expect((await verified(box, (await receivedFor(hidden))[0])).verified).toBe(true);
  });
});

test("switching signing off waits for the operator, and the change is in the audit log", async () => {
  const box = await autonomous();
  expect(unwrap(await box.stub.update(box.admin, { identity_signing: false }, null))).toEqual({
    needs_approval: { change: expect.stringContaining("no longer signed") },
  });
  await loosen(box, { identity_signing: false });
  const updated = (await checkMailbox(box)).find(({ action }) => action === "mailbox.updated");
  expect(updated?.detail).toMatchObject({ changed: ["identity_signing"], operator_approved: true });
  unwrap(await box.stub.update(box.admin, { identity_signing: true }, null));
  const address = outside();
  await send(box, to(address));
  expect((await verified(box, (await receivedFor(address))[0])).verified).toBe(true);
});

describe("nobody who has the message is told another story than the next", () => {
  test("those whom a retry reaches get the very identity and Date that the others got", async () => {
    const box = await autonomous();
    const [first, later] = [outside("ok"), outside("once-451")];
    const id = await send(box, to(first, later));
    await advanceClock(box, backoff(1) + 60_000);
    await runAlarm(box);
    const mails = [(await receivedFor(first))[0], (await receivedFor(later)).at(-1)];
    const claims = mails.map((mail) => mail?.raw.match(/^(?:X-M\S+|Date): .*$/gm));
    expect(claims[0]?.length).toBeGreaterThan(5);
    expect(claims[1]).toEqual(claims[0]);
    expect(await status(box, id)).toBe("sent");
  });

  test("after a rotation between two attempts each of them verifies", async () => {
    const box = await autonomous();
    const [first, later] = [outside("ok"), outside("once-451")];
    const id = await send(box, to(first, later));
    unwrap(await env.TENANT.getByName(box.mailbox.tenant_id).rotateIdentityKey(box.admin, null));
    await advanceClock(box, backoff(1) + 1_000);
    await runAlarm(box);
    const [before, after] = [(await receivedFor(first))[0], (await receivedFor(later)).at(-1)];
    const verdicts = [await verified(box, before), await verified(box, after)];
    expect(verdicts.map(({ verified }) => verified)).toEqual([true, true]);
    expect(verdicts[0]?.headers[0]?.kid).not.toBe(verdicts[1]?.headers[0]?.kid);
    expect(await status(box, id)).toBe("sent");
  });
});

/** Everything that is kept anywhere of a mailbox, as text: the object's tables, D1, R2. */
async function everythingKept(box: TestMailbox): Promise<string> {
  const object = await inObject(box, (_object, state) => {
    const tables = state.storage.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      )
      .toArray();
    return tables.map(({ name }) => JSON.stringify(state.storage.sql.exec(`SELECT * FROM "${name}"`).toArray()));
  });
  const d1 = await Promise.all(
    ["audit_log", "events", "pending", "mailboxes"].map(async (table) =>
      JSON.stringify(
        (await env.DB.prepare(`SELECT * FROM ${table}`).all()).results.filter((row) =>
          JSON.stringify(row).includes(box.mailbox.id),
        ),
      ),
    ),
  );
  const { objects } = await env.STORE.list({ prefix: `raw/${box.mailbox.tenant_id}/` });
  const r2 = await Promise.all(objects.map(async ({ key }) => (await env.STORE.get(key))?.text() ?? ""));
  return [...object, ...d1, ...r2].join("\n");
}

const SIGNED = /x-multimail-|x-mm-identity|dkim-signature:|signature_header|"signatures"/i;

describe("nothing is signed for what is not delivered", () => {
  const cases: [string, (box: TestMailbox, address: string) => Promise<string>, Partial<TestMailbox["mailbox"]>][] = [
    ["held", (box, address) => send(box, to(address)), {}],
    [
      "rejected",
      async (box, address) => {
        const id = await send(box, to(address));
        const request = { email_id: id, decision: "reject", reason: null, content_hash: null } as const;
        unwrap(await decide(box, box.overseer, request));
        return id;
      },
      {},
    ],
    [
      "cancelled",
      async (box, address) => {
        const id = await send(box, to(address));
        unwrap(await box.stub.cancel(box.agent, id, null));
        return id;
      },
      {},
    ],
    [
      "blocked",
      async (box, address) => {
        unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, blocklist: ["customer.example"] }, null));
        return send(box, to(address));
      },
      { oversight_mode: "autonomous" },
    ],
    [
      "expired",
      async (box, address) => {
        const id = await send(box, to(address));
        await advanceClock(box, 8 * 24 * 3600_000);
        await runAlarm(box);
        return id;
      },
      {},
    ],
    [
      "deferred by the relay, then cancelled",
      async (box) => {
        const id = await send(box, to(outside("defer-451")));
        unwrap(await box.stub.cancel(box.agent, id, null));
        return id;
      },
      { oversight_mode: "autonomous" },
    ],
    ["refused by the relay", (box) => send(box, to(outside("refuse-550"))), { oversight_mode: "autonomous" }],
    [
      "of a test key, which never leaves",
      async (box, address) => send(box, to(address), { ...box.agent, test: true }),
      { oversight_mode: "autonomous" },
    ],
  ];
  test.each(cases)("%s", async (_what, make, settings) => {
    const box = await makeMailbox(settings);
    const address = outside();
    const id = await make(box, address);
    await runAlarm(box);
    expect(await receivedFor(address)).toEqual([]);
    const kept = await everythingKept(box);
    expect(kept).toContain(id);
    expect(kept).not.toMatch(SIGNED);
    expect(codeOf(await box.stub.identityReceipt(box.agent, id))).not.toBe("ok");
  });

  test("and the same search finds what was", async () => {
    const box = await autonomous();
    await send(box, to(outside()));
    const kept = await everythingKept(box);
    expect(kept.match(/x-multimail-signature/gi)?.length).toBeGreaterThanOrEqual(2);
    expect(kept).toContain("signature_header");
  });
});

describe("a receipt", () => {
  test("is made at delivery, and any JOSE library verifies it", async () => {
    const box = await makeMailbox();
    const address = outside();
    const id = await send(box, to(address));
    expect(codeOf(await box.stub.identityReceipt(box.agent, id))).toBe("wrong_state");
    const request = { email_id: id, decision: "approve", reason: null, content_hash: null } as const;
    unwrap(await decide(box, box.overseer, request));
    await runAlarm(box);
    const { jws, ...fields } = unwrap(await box.stub.identityReceipt(box.agent, id));
    const [key] = (await trustedKeys(box)).p256;
    const { payload, protectedHeader } = await compactVerify(jws, await importJWK({ ...key, alg: "ES256" } as never));
    expect(protectedHeader).toEqual({ alg: "ES256", kid: fields.kid, typ: "multimail-receipt+jwt" });
    expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(fields);
    expect(fields).toMatchObject({ verified: true, issuer: env.PUBLIC_URL, payload: { email_id: id } });
    const [mail] = await receivedFor(address);
    expect(mail?.raw).toContain(`X-MultiMail-Identity: ${fields.signature_header}\r\n`);
    const [encoded = ""] = fields.signature_header.split(".");
    expect(JSON.parse(Buffer.from(encoded, "base64url").toString())).toEqual(fields.payload);
  });

  test("is nobody else's, and reading it is in the audit log", async () => {
    const box = await autonomous();
    const id = await send(box, to(outside()));
    expect(codeOf(await box.stub.identityReceipt(box.stranger, id))).toBe("not_found");
    expect(codeOf(await box.stub.identityReceipt(caller(box.mailbox.tenant_id, ["send"]), id))).toBe("missing_scope");
    unwrap(await box.stub.identityReceipt(box.agent, id));
    expect((await checkMailbox(box)).map(({ action }) => action)).toContain("identity.receipt_read");
  });
});

test("the audit entry of a delivery has every signature, the DKIM selectors and the key", async () => {
  const box = await autonomous();
  const address = outside();
  const id = await send(box, to(address));
  const [mail] = await receivedFor(address);
  const entry = (await checkMailbox(box)).find(({ action }) => action === "delivery.answered");
  const { headers } = await verified(box, mail);
  expect(entry?.detail).toMatchObject({ identity_kid: headers[0]?.kid, dkim_signed: true });
  const selectors = [...(mail?.raw ?? "").matchAll(/^DKIM-Signature:(?:.|\r\n[ \t])*?\bs=([^;\s]+)/gim)].map(
    ([, s]) => s,
  );
  expect(selectors).toHaveLength(2);
  expect([entry?.detail?.dkim_selectors].flat().sort()).toEqual(selectors.sort());
  expect(entry?.resource).toEqual({ type: "email", id });
  // Sealed, since a signature would let a guess of the content be confirmed.
  expect(JSON.stringify(entry?.detail)).not.toMatch(/MEU|MEQ|MEY/);
  expect(entry?.sealed).toBeDefined();
});

describe("the answer to a send", () => {
  test.each([
    ["signs", {}, { identity_signed: true, identity_forms: ["compact", "identity_sig", "message_signature"] }],
    [
      "signs by its domain",
      { identity_format: "domain" },
      { identity_forms: ["domain", "identity_sig", "message_signature"] },
    ],
    ["does not sign", { identity_signing: false }, { identity_signed: false, identity_forms: [] }],
  ] as const)("says what will be signed where a mailbox %s", async (_what, settings, expected) => {
    const box = await makeMailbox(settings);
    const answer = unwrap(await box.stub.submit(box.agent, submission(box)));
    expect(answer.authentication).toMatchObject(expected);
    const id = `sig_${answer.id.slice(3)}`;
    expect(answer.identity_sig_id).toBe(answer.authentication.identity_signed ? id : undefined);
  });

  test("identity_sig_id names the receipt", async () => {
    const box = await autonomous();
    const answer = unwrap(await box.stub.submit(box.agent, submission(box, to(outside()))));
    await runAlarm(box);
    const receipt = unwrap(await box.stub.identityReceipt(box.agent, answer.identity_sig_id ?? ""));
    expect(receipt.payload.email_id).toBe(answer.id);
  });
});
