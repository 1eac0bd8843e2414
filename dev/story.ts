import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import MailComposer from "nodemailer/lib/mail-composer/index.js";
import { z } from "zod";
import { dnsOverHttps } from "../src/mail/dns-over-https.ts";
import { type Email, emailShape, emailSummaryShape } from "../src/operations/shapes/email.ts";
import type { Mailbox } from "../src/operations/shapes/mailbox.ts";
import { sendAnswerShape } from "../src/operations/shapes/sending.ts";
import { type Api, apiOf, errorCode } from "./api.ts";
import { auditorVerifies } from "./audit-story.ts";
import { decideOn, linkIn, openPage } from "./decision-page.ts";
import { multimailVerify } from "./multimail-command.ts";
import { type KeptMail, mailTo } from "./outbox.ts";
import { CUSTOMER_DOMAIN, EVIL_DOMAIN, type Sender, sign, submitOverSmtp } from "./senders.ts";
import type { Transcript } from "./transcript.ts";
import { until } from "./until.ts";
import type { World } from "./world-files.ts";

/** The main job, from an agent's first word to the verified record of it. Each step takes only what a real party would have. */

const ALICE = `alice@${CUSTOMER_DOMAIN}`;
const AGENT_ID = "order-desk";

const pageShape = z.object({ emails: z.array(emailSummaryShape), cursor: z.string().nullish() });

interface Story {
  world: World;
  /** Tells this telling apart from earlier ones in the same world. */
  order: string;
  mailbox: Mailbox;
  agent: Api;
  admin: Api;
  customer: Sender;
  evil: Sender;
  transcript: Transcript;
}

async function read(api: Api, emailId: string): Promise<Email> {
  return emailShape.parse((await api("GET", `/v1/emails/${emailId}`)).body);
}

/** The agent writes, and what it wrote waits. @returns the message's id. */
async function agentSends({ agent, mailbox, order, transcript }: Story): Promise<string> {
  transcript.step("1. The agent sends, in a mailbox under gated_send");
  const answer = await agent("POST", `/v1/mailboxes/${mailbox.id}/send`, {
    to: ALICE,
    subject: `Your order ${order}`,
    markdown: `Dear Alice,\n\nyour order **${order}** leaves us on *Monday*. Is the old address still right?`,
    agent_id: AGENT_ID,
  });
  transcript.tell(`${mailbox.address} → ${ALICE}: Your order ${order}`);
  transcript.check("the API takes it with 202", answer.status === 202, answer);
  const sent = sendAnswerShape.parse(answer.body);
  transcript.check("it waits for a human: pending_send_approval", sent.status === "pending_send_approval", sent);
  return sent.id;
}

async function agentTriesToDecide({ agent, transcript }: Story, emailId: string): Promise<void> {
  transcript.step("2. The agent tries to approve its own mail");
  const answer = await agent("POST", "/v1/oversight/decide", { email_id: emailId, decision: "approve" });
  transcript.tell(`403 expected, answered ${answer.status} ${errorCode(answer)}`);
  transcript.check("it is refused with 403", answer.status === 403, answer);
  const { status } = await read(agent, emailId);
  transcript.check("the message still waits", status === "pending_send_approval", status);
}

/** @returns the decision link, as the approver finds it in the mail, and the mail's text. */
async function approverIsNotified({ world, order, transcript }: Story): Promise<{ link: string; mailText: string }> {
  transcript.step("3. The approver gets a mail");
  const notice = await until("the notification", async () =>
    (await mailTo(world.outbox_dir, world.approver_email)).find(({ parsed }) => parsed.text?.includes(order)),
  );
  transcript.tell(`${notice.file}\n${notice.parsed.from?.address} → ${world.approver_email}: ${notice.parsed.subject}`);
  transcript.check("it has a text and an HTML form", Boolean(notice.parsed.text && notice.parsed.html));
  const link = linkIn(notice.parsed.text ?? "", world.base_url);
  transcript.check("both carry the same link", notice.parsed.html?.includes(link) === true);
  return { link, mailText: notice.parsed.text ?? "" };
}

async function scannerFollowsTheLink(
  { world, order, agent, transcript }: Story,
  link: string,
  emailId: string,
): Promise<void> {
  transcript.step("4. A mail scanner follows the link before the approver does");
  const pages = [await openPage(link), await openPage(link)];
  transcript.check(
    "GET shows the page, twice",
    pages.every(({ status }) => status === 200),
    pages.map(({ status }) => status),
  );
  const { status } = await read(agent, emailId);
  transcript.check("nothing is decided by it", status === "pending_send_approval", status);
  const left = (await mailTo(world.outbox_dir, ALICE)).filter(({ parsed }) => parsed.subject?.includes(order));
  transcript.check("and nothing has left", left.length === 0, left);
}

async function approverApproves({ agent, order, transcript }: Story, link: string, emailId: string): Promise<void> {
  transcript.step("5. The approver opens the link and approves");
  const page = await openPage(link);
  transcript.check("the page shows what will leave", page.html.includes(order) && page.html.includes(ALICE));
  const outcome = await decideOn(page, "approve", "The date is right.");
  transcript.check(
    "the page says it is approved",
    outcome.status === 200 && /approved/i.test(outcome.html),
    outcome.status,
  );
  const again = await openPage(link);
  transcript.check(
    "the link now shows the outcome, not the content",
    !again.html.includes("leaves us on"),
    again.status,
  );
  const email = await until("the message to be sent", async () => {
    const now = await read(agent, emailId);
    return now.status === "sent" ? now : null;
  });
  transcript.check("the message is sent, with a reference to the approval", email.approval_ref !== null, email);
}

/** @returns the mail as it left. */
async function mailLeavesSigned(story: Story): Promise<KeptMail> {
  const { world, order, transcript } = story;
  transcript.step("6. The mail leaves, signed");
  const delivered = await until("the delivered mail", async () =>
    (await mailTo(world.outbox_dir, ALICE)).find(({ parsed }) => parsed.subject?.includes(order)),
  );
  transcript.tell(`${delivered.file}\n${delivered.parsed.messageId}`);
  const { results } = await dkimVerify(delivered.raw, { resolver: dnsOverHttps(world.doh_url, fetch) });
  const own = story.mailbox.address.split("@")[1];
  const passed = results.filter(({ status, signingDomain }) => status.result === "pass" && signingDomain === own);
  transcript.check(
    `every DKIM signature verifies for ${own}: ${passed.map(({ algo, selector }) => `${algo} ${selector}`).join(", ")}`,
    passed.length > 0 && passed.length === results.length,
    results.map(({ status }) => status),
  );
  transcript.check(
    "both bodies hold what was approved",
    [delivered.parsed.text, delivered.parsed.html].every((body) => body?.includes(order)),
  );
  return delivered;
}

/** Anyone may do this: it takes the mail and the public key, no account, and no server at all once the key is there. */
async function anyoneVerifies({ world, mailbox, transcript }: Story, { file, raw }: KeptMail): Promise<void> {
  transcript.step("7. Anyone checks offline which agent wrote it, and who let it go");
  const keyUrl = `${world.base_url}/v1/identity/public-key?tenant_id=${mailbox.tenant_id}`;
  const dir = mkdtempSync(join(tmpdir(), "multimail-"));
  try {
    const key = join(dir, "key.json");
    writeFileSync(key, await (await fetch(keyUrl)).text());
    transcript.tell(`curl '${keyUrl}' > key.json\nnpx multimail verify ${file} --key key.json`);
    const [verdict] = await multimailVerify(file, "--key", key);
    const agent = verdict?.agent_metadata;
    transcript.tell(`agent ${agent?.agent_id}, ${agent?.oversight_mode}, approved as ${agent?.approval_ref}`);
    transcript.check("the mail is verified, with the agent and the approval", verdict?.verified === true, verdict);
    const isNamed = agent?.agent_id === AGENT_ID && agent.approval_kind === "human_link";
    transcript.check("it is order-desk's, and a human allowed it by the link", isNamed, agent);

    const tampered = join(dir, "tampered.eml");
    writeFileSync(tampered, raw.toString("latin1").replace("Monday", "Sunday"), "latin1");
    const [caught] = await multimailVerify(tampered, "--key", key);
    const reasons = caught?.reasons.map(({ reason }) => reason) ?? [];
    transcript.tell(`with Sunday in place of Monday: ${reasons.join(", ")}`);
    transcript.check(
      "one word changed is caught",
      caught?.verified === false && reasons.includes("body_changed"),
      caught,
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A reply to `delivered` from Alice, unsigned. */
function replyTo(delivered: KeptMail, text: string): Promise<Buffer> {
  const { messageId = "", subject = "", from } = delivered.parsed;
  return new MailComposer({
    from: { name: "Alice", address: ALICE },
    to: from?.address ?? "",
    subject: `Re: ${subject}`,
    inReplyTo: messageId,
    references: [messageId],
    text: `${text}\n\nOn Friday, ${from?.address} wrote:\n> Is the old address still right?\n`,
  })
    .compile()
    .build();
}

/** Waits until the agent's inbox has the message whose text begins with `text`, and reads it. */
async function arrives({ agent, mailbox }: Story, text: string): Promise<Email> {
  return until(`"${text}" in the inbox`, async () => {
    const { body } = await agent("GET", `/v1/mailboxes/${mailbox.id}/emails?direction=inbound&limit=20`);
    for (const { id } of pageShape.parse(body).emails) {
      const email = await read(agent, id);
      if (email.markdown.startsWith(text)) return email;
    }
    return null;
  });
}

/** @returns the reply's id. */
async function replyComesIn(story: Story, delivered: KeptMail, emailId: string): Promise<string> {
  const { world, mailbox, agent, customer, order, transcript } = story;
  transcript.step(`8. Alice replies over SMTP, signed by ${CUSTOMER_DOMAIN}`);
  const text = `Yes, ${order} to the old address please.`;
  const envelope = { from: ALICE, to: [mailbox.address] };
  const answer = await submitOverSmtp(
    world.smtp.inbound_port,
    envelope,
    await sign(customer, await replyTo(delivered, text)),
  );
  transcript.tell(answer.text);
  transcript.check("the mail server takes it with 250", answer.code === 250, answer);

  transcript.step("9. The agent reads the reply");
  const email = await arrives(story, text);
  const { dkim_result, dkim_domain, spf_result, dmarc_result } = email;
  transcript.tell(`dkim ${dkim_result} (${dkim_domain}), spf ${spf_result}, dmarc ${dmarc_result}`);
  transcript.check(
    "dkim_result is pass, for Alice's domain",
    dkim_result === "pass" && dkim_domain === CUSTOMER_DOMAIN,
    email,
  );
  transcript.check("SPF and DMARC pass too", spf_result === "pass" && dmarc_result === "pass", email.authentication);
  transcript.check(
    "it is in the thread of the mail it answers",
    email.thread_id === (await read(agent, emailId)).thread_id,
  );
  transcript.check(
    "the quoted history is split off",
    email.quoted?.includes("Is the old address") === true,
    email.quoted,
  );
  return email.id;
}

/** @returns the forgery's id. */
async function forgeryComesIn(story: Story, delivered: KeptMail): Promise<string> {
  const { world, mailbox, customer, evil, order, transcript } = story;
  transcript.step(`10. ${EVIL_DOMAIN} forges a reply and signs it as ${CUSTOMER_DOMAIN} with its own key`);
  const text = `Please send ${order} to another address.`;
  const envelope = { from: ALICE, to: [mailbox.address] };
  const raw = await sign(evil, await replyTo(delivered, text), customer);
  const answer = await submitOverSmtp(world.smtp.inbound_port, envelope, raw);
  transcript.check("it is taken, to be judged", answer.code === 250, answer);
  const email = await arrives(story, text);
  transcript.tell(`dkim ${email.dkim_result}`);
  transcript.check("the agent reads dkim_result fail", email.dkim_result === "fail", email.authentication);
  return email.id;
}

/** Plays the whole story in `world`; what it checks ends in `transcript`. @throws Error if it cannot go on. */
export async function playStory(
  world: World,
  senders: { customer: Sender; evil: Sender },
  transcript: Transcript,
  now: number,
): Promise<void> {
  const mailbox = world.mailboxes.find(({ oversight_mode }) => oversight_mode === "gated_send");
  if (!mailbox) throw new Error("The world has no mailbox under gated_send.");
  const story: Story = {
    world,
    order: `M-${now.toString(36).toUpperCase()}`,
    mailbox,
    agent: apiOf(world, world.keys.agent),
    admin: apiOf(world, world.keys.admin),
    ...senders,
    transcript,
  };
  const emailId = await agentSends(story);
  await agentTriesToDecide(story, emailId);
  const { link, mailText } = await approverIsNotified(story);
  await scannerFollowsTheLink(story, link, emailId);
  await approverApproves(story, link, emailId);
  const delivered = await mailLeavesSigned(story);
  await anyoneVerifies(story, delivered);
  const replyId = await replyComesIn(story, delivered, emailId);
  const forgeryId = await forgeryComesIn(story, delivered);
  await auditorVerifies(story, { mailbox, emailIds: [emailId, replyId, forgeryId], mailText });
}
