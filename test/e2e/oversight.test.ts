import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Api, apiOf } from "../../dev/api.ts";
import { decideOn, linkIn, openPage } from "../../dev/decision-page.ts";
import { mailTo } from "../../dev/outbox.ts";
import { CUSTOMER_DOMAIN } from "../../dev/senders.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import type { World } from "../../dev/world-files.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { PendingItem } from "../../src/operations/shapes/pending.ts";
import type { Template } from "../../src/operations/shapes/template.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import { SmtpDialogue } from "./smtp-dialogue.ts";

/** Whole stories over HTTP and SMTP: an agent, the people who oversee it, and a customer outside. */

const dir = mkdtempSync(join(tmpdir(), "world-"));
let running: RunningWorld;
let world: World;
let agent: Api;
let admin: Api;

beforeAll(async () => {
  running = await startWorld({ dir, port: 0 });
  world = running.world;
  agent = apiOf(world, world.keys.agent);
  admin = apiOf(world, world.keys.admin);
}, 180_000);

afterAll(async () => {
  await running?.stop();
  rmSync(dir, { recursive: true, force: true });
});

function mailboxIn(mode: Mode): Mailbox {
  const mailbox = world.mailboxes.find(({ oversight_mode }) => oversight_mode === mode);
  if (!mailbox) throw new Error(`no mailbox in mode ${mode}`);
  return mailbox;
}

/** The link in the newest mail to a person whose text has these words. */
async function linkTo(person: string, words: string): Promise<string> {
  const mail = await until(`the mail to ${person} about “${words}”`, async () =>
    (await mailTo(world.outbox_dir, person)).findLast(({ parsed }) => parsed.text?.includes(words)),
  );
  return linkIn(mail.parsed.text ?? "", world.base_url);
}

/** Opens the link in the mail about these words, looks at the page, and presses a button. */
async function decideThroughMail(words: string, decision: "approve" | "reject", shown: string[]): Promise<void> {
  const page = await openPage(await linkTo(world.approver_email, words));
  for (const text of shown) expect(page.html).toContain(text);
  expect((await decideOn(page, decision)).status).toBe(200);
}

async function writeIn(to: string, subject: string, text: string): Promise<void> {
  const client = await SmtpDialogue.open(world.smtp.inbound_port);
  const raw = [`From: alice@${CUSTOMER_DOMAIN}`, `To: ${to}`, `Subject: ${subject}`, "", text, ""].join("\r\n");
  const reply = await client.send({ from: `alice@${CUSTOMER_DOMAIN}`, to: [to] }, raw);
  client.close();
  expect(reply).toMatch(/^250/);
}

describe("a gated_all mailbox", () => {
  it("shows the agent nothing that a person has not released, and answers each query once it is approved", async () => {
    const mailbox = mailboxIn("gated_all");
    const mark = crypto.randomUUID().slice(0, 8);
    await writeIn(mailbox.address, `Question ${mark}`, "What does it cost?");

    // The query is held, and asked again it is the same one.
    const path = `/v1/mailboxes/${mailbox.id}/emails?subject_contains=${mark}`;
    const held = await agent("GET", path);
    expect(held.status).toBe(202);
    const { pending_id } = held.body as { pending_id: string };
    expect(held.body).toMatchObject({ status: "pending", pending_id: expect.stringMatching(/^pend_/) });
    expect((await agent("GET", path)).body).toMatchObject({ pending_id });

    // A person releases the mail, then allows exactly that query.
    await decideThroughMail(`Question ${mark}`, "approve", ["What does it cost?"]);
    await decideThroughMail(`(subject_contains): ${mark}`, "approve", [mark, "subject_contains"]);
    const approved = await until("the query's approval", async () => {
      const item = (await agent("GET", `/v1/oversight/pending/${pending_id}`)).body as PendingItem;
      return item.status === "approved" ? item : undefined;
    });
    const ref = approved.approval_ref ?? "";
    expect((await agent("GET", `/v1/mailboxes/${mailbox.id}/emails?approval_ref=${ref}`)).status).toBe(403);
    const answered = await agent("GET", `${path}&approval_ref=${ref}`);
    expect(answered.status).toBe(200);
    const [email] = (answered.body as { emails: EmailSummary[] }).emails;
    expect(email?.subject).toBe(`Question ${mark}`);
    expect((await agent("GET", `${path}&approval_ref=${ref}`)).status).toBe(403);

    // What was released is read freely; the answer waits, is changed by the approver, and leaves as they made it.
    const read = await agent("GET", `/v1/emails/${email?.id}`);
    expect(read.body as Email).toMatchObject({ text: expect.stringContaining("What does it cost?") });
    const reply = await agent("POST", `/v1/mailboxes/${mailbox.id}/reply/${email?.id}`, {
      markdown: `It costs ${mark}.`,
    });
    expect(reply.body).toMatchObject({
      status: "pending_send_approval",
      verdict: { outcome: "hold", rule: "mode gated_all" },
    });
    await decideThroughMail(`It costs ${mark}.`, "approve", [`It costs ${mark}.`]);
    const left = await until("the answer at the customer's", async () =>
      (await mailTo(world.outbox_dir, `alice@${CUSTOMER_DOMAIN}`)).find(({ parsed }) =>
        parsed.text?.includes(`It costs ${mark}.`),
      ),
    );
    expect(left.parsed.subject).toBe(`Re: Question ${mark}`);
  });
});

describe("a templates_only mailbox that is autonomous", () => {
  it("sends what an approved template makes, by itself, and nothing else", async () => {
    const mailbox = mailboxIn("autonomous");
    const mark = crypto.randomUUID().slice(0, 8);
    const policy = await admin("PUT", `/v1/mailboxes/${mailbox.id}/policy`, { templates_only: true });
    expect(policy).toMatchObject({ status: 200, body: { templates_only: true } });
    const free = await agent("POST", `/v1/mailboxes/${mailbox.id}/send`, {
      to: `bob-${mark}@${CUSTOMER_DOMAIN}`,
      subject: "Anything",
      markdown: "Anything",
    });
    expect(free).toMatchObject({ status: 403, body: { code: "denied_by_policy" } });

    const made = await agent("POST", "/v1/templates", {
      mailbox_id: mailbox.id,
      name: `shipped ${mark}`,
      subject: "Your order {{order}}",
      markdown: "Dear {{name}},\n\nyour order **{{order}}** has left us.",
      variables: [
        { name: "order", type: "text", max_length: 20 },
        { name: "name", type: "text", max_length: 60 },
      ],
      allowed_domains: [CUSTOMER_DOMAIN],
    });
    expect(made.status).toBe(202);
    const template = made.body as Template;
    const send = (variables: Record<string, string>, to = `bob-${mark}@${CUSTOMER_DOMAIN}`) =>
      agent("POST", `/v1/mailboxes/${mailbox.id}/send`, { to, template_id: template.id, variables });
    expect((await send({ order: "A-1", name: "Bob" })).status).toBe(409);
    await decideThroughMail(`shipped ${mark}`, "approve", ["has left us."]);

    const sent = await send({ order: `A-${mark}`, name: "Bob **x** https://evil.example 1 < 2" });
    expect(sent.status).toBe(202);
    expect(sent.body).toMatchObject({ status: "queued", approval_ref: expect.stringMatching(/^apr_/) });
    const left = await until("the mail at the customer's", async () =>
      (await mailTo(world.outbox_dir, `bob-${mark}@${CUSTOMER_DOMAIN}`)).at(-1),
    );
    expect(left.parsed.subject).toBe(`Your order A-${mark}`);
    expect(left.parsed.text).toContain("Bob **x** https://evil.example 1 < 2");
    expect(left.parsed.html).not.toContain('href="https://evil.example');
    expect(await mailTo(world.outbox_dir, `bob-${mark}@${CUSTOMER_DOMAIN}`)).toHaveLength(1);

    expect((await send({ order: "A-2", name: "x\r\nBcc: spy@evil.example" })).status).toBe(422);
    expect((await send({ order: "A-2", name: "Bob [click](https://evil.example) <b>x</b>" })).status).toBe(422);
    expect((await send({ order: "A-2" })).status).toBe(422);
    expect((await send({ order: "A-2", name: "Bob", price: "1" })).status).toBe(422);
    expect(await send({ order: "A-2", name: "Bob" }, "bob@elsewhere.example")).toMatchObject({
      status: 403,
      body: { code: "denied_by_policy" },
    });
  });
});
