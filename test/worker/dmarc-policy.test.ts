import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { receiveEmail } from "../../email-workers/inbound.ts";
import { unwrap } from "../../src/errors.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import { call, keyOf, makeTenant, type RefusalBody, type TestTenant } from "../support/door-harness.ts";
import {
  APPROVED_BY_PERSON,
  chainOf,
  checkMailbox,
  codeOf,
  EVERYTHING,
  inObject,
  makeMailbox,
  REJECTED_BY_PERSON,
  status,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

/** What a mailbox does with mail whose author is not proven, from the mail server's word to the agent's inbox. */

const ZONE: Readonly<Record<string, string>> = {
  "_dmarc.bank.example": "v=DMARC1; p=reject",
  "_dmarc.shop.example": "v=DMARC1; p=quarantine",
  "_dmarc.club.example": "v=DMARC1; p=none",
};

/** A DNS-over-HTTPS server with that zone; `dead` is down. */
const dns: typeof fetch = async (input) => {
  const name = new URL(String(input)).searchParams.get("name") ?? "";
  const type = new URL(String(input)).searchParams.get("type");
  if (name.endsWith("dead.example")) return Response.json({ Status: 2 });
  const text = type === "TXT" ? ZONE[name] : undefined;
  if (text === undefined) return Response.json({ Status: 3 });
  return Response.json({ Status: 0, Answer: [{ name, type: 16, TTL: 60, data: JSON.stringify(text) }] });
};

let arrived = 0;

/** Hands a mail to the email handler, as the platform does, with the real mailbox object behind it. @returns the rejection. */
async function arrive(box: TestMailbox, from: string, extra = ""): Promise<string | null> {
  const mail = `${extra}From: ${from}\r\nMessage-ID: <${++arrived}@x.example>\r\nSubject: Pay now\r\n\r\nPay.\r\n`;
  const raw = Buffer.from(mail);
  let rejection: string | null = null;
  const refuse = () => Promise.reject(new Error("not used"));
  await receiveEmail(
    {
      ...{ from: "x@evil.example", to: box.mailbox.address, raw: new Blob([raw]).stream(), rawSize: raw.byteLength },
      ...{ headers: new Headers(), canBeForwarded: false, forward: refuse, reply: refuse },
      setReject: (reason) => {
        rejection = reason;
      },
    },
    env,
    { now: Date.now, fetch: dns },
  );
  return rejection;
}

const set = (dmarc_fail_action: Mailbox["dmarc_fail_action"], more: Partial<Mailbox> = {}) =>
  makeMailbox({ dmarc_fail_action, ...more });

const seenBy = async (box: TestMailbox, who: "agent" | "overseer") =>
  unwrap(await box.stub.list(box[who], EVERYTHING)).emails;
const storedKeys = async (box: TestMailbox) =>
  (await env.STORE.list({ prefix: `raw/${box.mailbox.tenant_id}/` })).objects.map(({ key }) => key);
const actions = async (box: TestMailbox) => (await chainOf(box)).map(({ action }) => action);

const PERSON = { address: "approver@people.example", via: "console" } as const;
const BANK = "boss@bank.example";

describe("flag", () => {
  test("is what a new mailbox does: the agent sees the message, its flag and the reason", async () => {
    const box = await makeMailbox();
    expect(await arrive(box, BANK)).toBeNull();
    const [email] = await seenBy(box, "agent");
    expect(email).toMatchObject({ status: "unread", dmarc_result: "fail", flags: ["dmarc_fail"] });
    const read = unwrap(
      await box.stub.read(box.agent, email?.id ?? "", { mark_read: false, include_html: false }),
    ).email;
    expect(read.authentication).toMatchObject({
      checks: {
        dkim: { result: "none", reason: "The message has no signature." },
        spf: { result: "none", reason: expect.stringContaining("no Received line") },
        dmarc: { result: "fail", by: null, domain: "bank.example", policy: "reject", disposition: "reject" },
        arc: { result: "none" },
      },
    });
    await checkMailbox(box);
  });
});

describe("quarantine", () => {
  test("hides the message from the agent by every way, and shows it to whoever oversees", async () => {
    const box = await set("quarantine");
    expect(await arrive(box, BANK)).toBeNull();
    const [email] = await seenBy(box, "overseer");
    const id = email?.id ?? "";
    expect(email).toMatchObject({ status: "spam_quarantined", flags: ["dmarc_fail"] });
    expect(await seenBy(box, "agent")).toEqual([]);
    const options = { mark_read: false, include_html: false };
    expect(codeOf(await box.stub.read(box.agent, id, options))).toBe("not_found");
    expect(codeOf(await box.stub.mark(box.agent, id, { status: "unread" }))).toBe("not_found");
    expect(codeOf(await box.stub.tags(box.agent, id))).toBe("not_found");
    expect(codeOf(await box.stub.thread(box.agent, email?.thread_id ?? "", { limit: 5, cursor: null }))).toBe(
      "not_found",
    );
    expect(unwrap(await box.stub.list(box.agent, { ...EVERYTHING, q: "pay" })).emails).toEqual([]);
    expect(await actions(box)).toContain("message.set_aside");
    expect((await inObject(box, (object) => object.waiting.all())).length).toBe(0);
    await checkMailbox(box);
  });

  test.each([
    ["approve", "unread"],
    ["reject", "rejected"],
  ] as const)("an oversight key only puts it before a person, who may %s", async (decision, after) => {
    const box = await set("quarantine", { oversight_keys_may_decide: false });
    await arrive(box, BANK);
    const [email] = await seenBy(box, "overseer");
    const id = email?.id ?? "";
    const asked = unwrap(await box.stub.mark(box.overseer, id, { status: "unread" }));
    expect(asked.status).toBe("pending_inbound_approval");
    expect(await seenBy(box, "agent")).toEqual([]);
    const view = await box.stub.openItem(PERSON, id, "show");
    const hash = view.state === "open" ? view.item.content_hash : "";
    const word = decision === "approve" ? APPROVED_BY_PERSON : REJECTED_BY_PERSON;
    expect(await box.stub.decideInSession(PERSON, id, hash, word)).toMatchObject({ state: "decided" });
    expect(await status(box, id)).toBe(after);
    expect((await seenBy(box, "agent")).map((each) => each.id)).toEqual(after === "unread" ? [id] : []);
    await checkMailbox(box);
  });

  test("where people let oversight keys decide, one releases it, and the agent may then read it", async () => {
    const box = await set("quarantine", { oversight_keys_may_decide: true });
    await arrive(box, BANK);
    const [email] = await seenBy(box, "overseer");
    expect(unwrap(await box.stub.mark(box.overseer, email?.id ?? "", { status: "unread" })).status).toBe("unread");
    expect(await seenBy(box, "agent")).toMatchObject([{ id: email?.id, status: "unread", flags: ["dmarc_fail"] }]);
    await checkMailbox(box);
  });

  test("what an agent put aside itself stays its own", async () => {
    const box = await set("quarantine");
    await arrive(box, "friend@nobody.example");
    const [email] = await seenBy(box, "agent");
    unwrap(await box.stub.mark(box.agent, email?.id ?? "", { status: "spam_quarantined" }));
    expect(await seenBy(box, "agent")).toMatchObject([{ status: "spam_quarantined" }]);
    expect(unwrap(await box.stub.mark(box.agent, email?.id ?? "", { status: "unread" })).status).toBe("unread");
  });

  test("sets aside also where all mail is held: nobody is mailed a question for each forged message", async () => {
    const box = await set("quarantine", { oversight_mode: "gated_all" as Mode });
    await arrive(box, BANK);
    expect(await seenBy(box, "overseer")).toMatchObject([{ status: "spam_quarantined" }]);
    expect(await inObject(box, (object) => object.waiting.all())).toEqual([]);
  });
});

describe("reject", () => {
  test("answers the sending server, stores nothing, and leaves an entry", async () => {
    const box = await set("reject");
    expect(await arrive(box, BANK)).toMatch(/^550 5\.7\.1 [ -~]+$/);
    expect(await seenBy(box, "overseer")).toEqual([]);
    expect(await storedKeys(box)).toEqual([]);
    const entry = (await checkMailbox(box)).find(({ action }) => action === "message.refused");
    expect(entry?.detail).toMatchObject({ because: "dmarc", dmarc_result: "fail" });
  });

  test.each<[string, string, string, string | undefined]>([
    ["asks for quarantine", "boss@shop.example", "", "spam_quarantined"],
    ["asks for nothing", "boss@club.example", "", "unread"],
    ["has no record", "boss@nobody.example", "", "unread"],
    ["does not answer", "boss@dead.example", "", "spam_quarantined"],
    ["is one of two in the From field", `${BANK}, x@evil.example`, "", "spam_quarantined"],
    ["is in the second of two From fields", BANK, "From: x@evil.example\r\n", "spam_quarantined"],
  ])("never refuses mail whose domain %s", async (_what, from, extra, wanted) => {
    const box = await set("reject");
    expect(await arrive(box, from, extra)).toBeNull();
    expect((await seenBy(box, "overseer"))[0]?.status).toBe(wanted);
    expect((await seenBy(box, "agent"))[0]?.status).toBe(wanted === "unread" ? wanted : undefined);
    await checkMailbox(box);
  });
});

describe("the setting, at the doors", () => {
  const update = (tenant: TestTenant, json: Record<string, unknown>) =>
    call<Mailbox & RefusalBody>(`/v1/mailboxes/${tenant.mailbox.id}`, {
      ...{ method: "PATCH", key: keyOf(tenant, "admin"), json },
    });

  test("is shown, taken, and its sealers are kept in A-labels, each once", async () => {
    const tenant = await makeTenant();
    expect(tenant.mailbox).toMatchObject({ dmarc_fail_action: "flag", trusted_arc_sealers: [] });
    expect(await update(tenant, { dmarc_fail_action: "quarantine" })).toMatchObject({
      ...{ status: 200, body: { dmarc_fail_action: "quarantine" } },
    });
    expect(await update(tenant, { trusted_arc_sealers: ["BÜCHER.example", "bücher.example."] })).toMatchObject({
      status: 202,
      body: { change: expect.stringMatching(/on the word of xn--bcher-kva\.example[^,]*$/) },
    });
  });

  test.each<[string, Record<string, unknown>]>([
    ["an unknown action", { dmarc_fail_action: "delete" }],
    ["no action", { dmarc_fail_action: null }],
    ["a sealer that is no domain", { trusted_arc_sealers: ["not a domain"] }],
    ["an address for a sealer", { trusted_arc_sealers: ["192.0.2.1"] }],
    ["a public suffix, which many share", { trusted_arc_sealers: ["co.uk"] }],
    ["any sealer", { trusted_arc_sealers: ["*"] }],
    ["21 sealers", { trusted_arc_sealers: Array.from({ length: 21 }, (_, n) => `l${n}.example`) }],
  ])("%s is not taken and changes nothing", async (_what, json) => {
    const tenant = await makeTenant();
    expect(await update(tenant, json)).toMatchObject({ status: 422, body: { code: "invalid_input" } });
    const { body } = await call<Mailbox>(`/v1/mailboxes/${tenant.mailbox.id}`, { key: keyOf(tenant, "agent") });
    expect(body).toMatchObject({ dmarc_fail_action: "flag", trusted_arc_sealers: [] });
  });
});

describe("the setting", () => {
  test("tightens at once and loosens only with the operator's word", async () => {
    const box = await makeMailbox();
    const change = async (to: Partial<Pick<Mailbox, "dmarc_fail_action" | "trusted_arc_sealers">>) =>
      unwrap(await box.stub.update(box.admin, to, null));
    expect(await change({ dmarc_fail_action: "reject" })).toMatchObject({ mailbox: { dmarc_fail_action: "reject" } });
    expect(await change({ dmarc_fail_action: "flag" })).toMatchObject({
      needs_approval: { change: expect.stringContaining("only flagged (now refused)") },
    });
    expect(await change({ trusted_arc_sealers: ["evil.example"] })).toMatchObject({
      needs_approval: { change: expect.stringContaining("on the word of evil.example") },
    });
    expect(await arrive(box, BANK)).toMatch(/^550/);
  });

  test("of a mailbox that was made before there was one is to flag", async () => {
    const box = await makeMailbox();
    await inObject(box, (_object, { storage }) => {
      storage.sql.exec(
        "UPDATE settings SET mailbox = json_remove(mailbox, '$.dmarc_fail_action', '$.trusted_arc_sealers')",
      );
    });
    await arrive(box, BANK);
    expect(await seenBy(box, "agent")).toMatchObject([{ flags: ["dmarc_fail"] }]);
  });
});
