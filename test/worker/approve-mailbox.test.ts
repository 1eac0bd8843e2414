import { env } from "cloudflare:workers";
import PostalMime from "postal-mime";
import { describe, expect, test } from "vitest";
import { approveRoutes } from "../../src/doors/approve.tsx";
import { unwrap } from "../../src/errors.ts";
import { findDecisionTokens, hashDecisionToken } from "../../src/oversight/decision-links.ts";
import { OPEN_POLICY } from "../../src/oversight/rules/policy-type.ts";
import { decidedBy, hold, mailsTo, somebody } from "../support/approvals.ts";
import {
  arrival,
  checkMailbox,
  EVERYTHING,
  inObject,
  runAlarm,
  status,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { wordsOf } from "../support/page-words.ts";
import { receivedFor } from "../support/received-mail.ts";

// The decision page over the real mailbox object: what a person presses is what happens, and the page says how it stands.

const app = approveRoutes();

async function pathFor(person: string): Promise<string> {
  const token = (await mailsTo(person)).flatMap(({ text }) => findDecisionTokens(text)).at(-1);
  if (token === undefined) throw new Error(`${person} was mailed no link`);
  return `${env.PUBLIC_URL}/v1/approve/${token}`;
}

async function open(path: string): Promise<string> {
  return (await app.request(path, {}, env)).text();
}

/** What the browser sends for the page's form: hidden fields, then what the person typed and pressed. */
async function press(path: string, decision: string, typed: Record<string, string> = {}): Promise<Response> {
  const page = await open(path);
  const hidden = [...page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
  const fields = new URLSearchParams(hidden.map(([, name = "", value = ""]) => [name, value]));
  for (const [name, value] of Object.entries({ ...typed, decision })) fields.append(name, value);
  const headers = { "Content-Type": "application/x-www-form-urlencoded", Origin: env.PUBLIC_URL };
  return app.request(path, { method: "POST", body: fields.toString(), headers }, env);
}

async function everything(page: Response | string): Promise<string> {
  return wordsOf(typeof page === "string" ? page : await page.text());
}

function template(box: TestMailbox) {
  return box.stub.proposeTemplate(box.agent, {
    id: null,
    name: "Shipping notice",
    subject: "Your order {{order}}",
    markdown: "It ships on {{day}}.",
    variables: [
      { name: "order", type: "number", required: true, max_length: 12 },
      { name: "day", type: "text", required: true, max_length: 30 },
    ],
    allowed_domains: ["customer.example"],
  });
}

describe("approving with changes", () => {
  test("sends what the person made of it, with signature and disclosure once, and to nobody left out", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { ai_disclosure: true, signature_block: "Acme Ltd" });
    const [kept, dropped] = [somebody("kept"), somebody("dropped")];
    await hold(box, { to: [kept, dropped].map((address) => ({ name: null, address })) });
    const path = await pathFor(ana);
    const typed = { subject: "Corrected offer", body: "Hello,\r\n\r\nit is **12** euros.", without: dropped };
    expect((await press(path, "approve_edited", typed)).status).toBe(303);
    expect(await everything(await open(path))).toMatch(/Approved Approved by ana-/);
    await runAlarm(box);
    const [mail] = await receivedFor(kept);
    const { subject, text, html } = await PostalMime.parse(Buffer.from(mail?.raw ?? "", "latin1"));
    expect(subject).toBe("Corrected offer");
    expect(text?.trim()).toBe("Hello,\n\nit is 12 euros.\n\nThis email was written by an AI agent.\n\n-- \nAcme Ltd");
    expect(html).toContain("<strong>12</strong>");
    expect(await receivedFor(dropped)).toEqual([]);
    await checkMailbox(box);
  });

  test("of the subject alone leaves the body as it is, the formatted version of mail that came as HTML too", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { ai_disclosure: true });
    const to = somebody("to");
    const html = "<p>Hello <b>Ana</b></p>";
    await hold(box, { to: [{ name: null, address: to }], markdown: null, html });
    expect((await press(await pathFor(ana), "approve_edited", { subject: "Other", body: "Hello Ana" })).status).toBe(
      303,
    );
    await runAlarm(box);
    const [mail] = await receivedFor(to);
    const sent = await PostalMime.parse(Buffer.from(mail?.raw ?? "", "latin1"));
    expect(sent.subject).toBe("Other");
    expect(sent.html?.trim()).toBe(`${html}\n<p>This email was written by an AI agent.</p>`);
  });

  test("under a quorum of two needs the other person, who sees what was changed and by whom", async () => {
    const [ana, bert] = [somebody("ana"), somebody("bert")];
    const box = await decidedBy([ana, bert], { quorum: 2 });
    const id = await hold(box);
    const [hers, his] = [await pathFor(ana), await pathFor(bert)];
    expect((await press(his, "approve")).status).toBe(303);
    expect(await everything(await open(hers))).toContain(`1 of 2 people have approved: ${bert}`);
    expect((await press(hers, "approve_edited", { subject: "Corrected", body: "Hello Ana" })).status).toBe(303);
    expect(await status(box, id)).toBe("pending_send_approval");
    expect(await everything(await open(hers))).toMatch(/You have approved this .* 1 of 2 people have approved: ana-/);
    expect(await everything(await open(his))).toContain("the message was changed after this link was mailed");
    await runAlarm(box);
    const again = await pathFor(bert);
    expect(again).not.toBe(his);
    const page = await everything(await open(again));
    expect(page).toMatch(/It was changed once .*-Subject: Offer \+Subject: Corrected/);
    expect(page).toContain(`1 of 2 people have approved: ${ana}`);
    expect((await press(again, "approve")).status).toBe(303);
    expect(await status(box, id)).not.toBe("pending_send_approval");
    expect(await everything(await open(hers))).toMatch(/Approved .* 2 of 2 people have approved/);
    await checkMailbox(box);
  });

  test("cannot pass a rule that blocks: nothing is decided, nothing is changed, and the form comes back", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const rule = {
      name: "prices",
      in: ["body" as const],
      keywords: ["free of charge"],
      pattern: null,
      action: "block" as const,
    };
    unwrap(await box.stub.setPolicy(box.admin, { ...OPEN_POLICY, content: [rule] }, null));
    const id = await hold(box);
    const path = await pathFor(ana);
    const answer = await press(path, "approve_edited", { body: "It is free of charge." });
    expect(answer.status).toBe(409);
    const page = await answer.text();
    expect(page).toContain("It is free of charge.</textarea>");
    expect(await everything(page)).toMatch(/prices.* Nothing was decided\./);
    expect(await status(box, id)).toBe("pending_send_approval");
    expect((await press(path, "approve")).status).toBe(303);
    await checkMailbox(box);
  });

  test("by two people at once: one wins, the other is told and gets their words back", async () => {
    const [ana, bert] = [somebody("ana"), somebody("bert")];
    const box = await decidedBy([ana, bert]);
    await hold(box);
    const paths = [await pathFor(ana), await pathFor(bert)];
    const answers = await Promise.all(
      paths.map((path, i) => press(path, "approve_edited", { subject: `Version ${i}`, body: "Hello" })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 409]);
    const lost = answers.findIndex(({ status }) => status === 409);
    expect(await everything(answers[lost] ?? "")).toMatch(
      new RegExp(`Already decided .*What you had written Subject Version ${lost}`),
    );
    await checkMailbox(box);
  });
});

describe("what is no message", () => {
  test("a held query is shown to the letter, allowed once, and shown as used afterwards", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { oversight_mode: "gated_all" });
    const asked = { operation: "search_email", input: { q: "invoice" }, approval_ref: null };
    const query = { ...EVERYTHING, q: "invoice" };
    const held = await box.stub.list({ ...box.agent, asked }, query);
    expect(held).toMatchObject({ ok: false, refusal: { code: "held" } });
    await runAlarm(box);
    const path = await pathFor(ana);
    expect(await everything(await open(path))).toMatch(
      /Search the messages in the mailbox .*Words to search for q invoice/,
    );
    expect((await press(path, "approve", { note: "Fine." })).status).toBe(303);
    expect(await everything(await open(path))).toMatch(
      /The request was allowed once; the agent has not used that yet\. Fine\./,
    );
    const view = await box.stub.openLink(hashDecisionToken(path.slice(path.lastIndexOf("/") + 1)));
    const approval_ref = view.state === "decided" ? view.outcome.approval_ref : null;
    unwrap(await box.stub.list({ ...box.agent, asked: { ...asked, approval_ref } }, query));
    expect(await everything(await open(path))).toContain("The request was allowed, and the agent got its answer.");
  });

  test("mail that arrived is released", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { oversight_mode: "gated_all" });
    const message = arrival(box);
    await box.stub.receive(message);
    await runAlarm(box);
    const path = await pathFor(ana);
    expect(await everything(await open(path))).toContain("Let the agent read this email?");
    expect((await press(path, "approve_edited", { body: "x" })).status).toBe(422);
    expect((await press(path, "approve")).status).toBe(303);
    expect(await status(box, message.id)).toBe("unread");
  });

  test("a template is approved, and its next version shows what is new", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    const { id } = unwrap(await template(box));
    await runAlarm(box);
    const path = await pathFor(ana);
    expect(await everything(await open(path))).toMatch(
      /Shipping notice Version 1\..*order: a number, at most 12 characters/,
    );
    expect((await press(path, "approve")).status).toBe(303);
    expect(await everything(await open(path))).toContain("The template can be used by the agent from now on.");
    const { name, variables, allowed_domains } = unwrap(await box.stub.template(box.agent, id));
    const next = {
      id,
      name,
      variables,
      allowed_domains,
      subject: "Your order {{order}}",
      markdown: "It left on {{day}}.",
    };
    unwrap(await box.stub.proposeTemplate(box.agent, next));
    await runAlarm(box);
    expect(await everything(await open(await pathFor(ana)))).toMatch(
      /What is new since the approved version .*-It ships on \{\{day\}\}\. \+It left on \{\{day\}\}\./,
    );
  });

  test("a request for more freedom can be rejected, and by no link be approved", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana]);
    unwrap(
      await box.stub.requestUpgrade(box.agent, { change: { oversight_mode: "autonomous" }, reason: "I am good." }),
    );
    await runAlarm(box);
    const path = await pathFor(ana);
    const page = await open(path);
    expect(await everything(page)).toMatch(
      /The agent asks for more freedom .*autonomous.*The agent's reason: I am good\..*In the last 30 days/,
    );
    expect(page).not.toContain('value="approve');
    expect((await press(path, "approve")).status).toBe(422);
    expect((await press(path, "reject", { note: "Not yet." })).status).toBe(303);
    expect(await everything(await open(path))).toMatch(
      /Rejected .*The request was rejected; nothing was changed\. Not yet\./,
    );
    expect(await inObject(box, (object) => object.settings().oversight_mode)).toBe("gated_send");
  });

  test("a mailbox without a time limit says that it waits", async () => {
    const ana = somebody("ana");
    const box = await decidedBy([ana], { expires_after: null });
    await hold(box);
    expect(await everything(await open(await pathFor(ana)))).toContain("no limit: it waits until someone decides");
    expect((await mailsTo(ana))[0]?.text).toContain("It waits until someone decides.");
  });
});
