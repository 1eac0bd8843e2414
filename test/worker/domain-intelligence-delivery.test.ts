import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { DomainReport } from "../../src/operations/shapes/domain-intelligence.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { domainName, setZones } from "../support/domain-zones.ts";
import { askedUnder, honestDomain } from "../support/looked-up.ts";
import {
  arrival,
  decide,
  inObject,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

/** What is asked once a message was let go, and what the mailbox learns from what came of it. */

const to = (...addresses: string[]) => ({ to: addresses.map((address) => ({ name: null, address })) });

async function submit(box: TestMailbox, addresses: string[]): Promise<SendAnswer> {
  return unwrap(await box.stub.submit(box.agent, submission(box, { ...to(...addresses), look_up: true })));
}

async function approve(box: TestMailbox, email_id: string): Promise<void> {
  unwrap(await decide(box, box.overseer, { email_id, decision: "approve", reason: null, content_hash: null }));
}

function outcomes(box: TestMailbox, id: string): Promise<Record<string, [state: string, code: number | null]>> {
  return inObject(box, ({ messages }) =>
    Object.fromEntries(
      messages.deliveries(messages.get(id).seq).map(({ recipient, state, code }) => [recipient, [state, code]]),
    ),
  );
}

describe("the whole name of a recipient's domain", () => {
  test("is asked for once a human approved, and not before", async () => {
    const domain = domainName();
    await honestDomain(domain);
    const box = await makeMailbox();
    const { id } = await submit(box, [`ana@eu.${domain}`]);
    await runAlarm(box);
    expect(await askedUnder(`eu.${domain}`)).toEqual([]);
    await approve(box, id);
    await runAlarm(box);
    expect(await askedUnder(`eu.${domain}`)).not.toEqual([]);
    expect(await status(box, id)).toBe("sent");
  });

  test("is never asked for if a human rejects", async () => {
    const domain = domainName();
    await honestDomain(domain);
    const box = await makeMailbox();
    const { id } = await submit(box, [`ana@secret.${domain}`]);
    unwrap(await decide(box, box.overseer, { email_id: id, decision: "reject", reason: null, content_hash: null }));
    await runAlarm(box);
    expect(await askedUnder(`secret.${domain}`)).toEqual([]);
  });

  test("with a null MX ends the delivery to whoever is there, and to nobody else (RFC 7505)", async () => {
    const domain = domainName();
    await honestDomain(domain, { [`closed.${domain}`]: { MX: ["0 ."] } });
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id } = await submit(box, [`ana@${domain}`, `bob@closed.${domain}`]);
    await runAlarm(box);
    expect(await outcomes(box, id)).toMatchObject({
      [`ana@${domain}`]: ["accepted", 250],
      [`bob@closed.${domain}`]: ["bounced", 556],
    });
    expect(await status(box, id)).toBe("sent");
  });

  test("with nobody left to try, the message has failed, and no server was asked", async () => {
    const domain = domainName();
    await setZones({ [domain]: { MX: ["0 ."] } });
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id } = await submit(box, [`ana@${domain}`]);
    await runAlarm(box);
    expect(await status(box, id)).toBe("send_failed");
    expect(await outcomes(box, id)).toEqual({ [`ana@${domain}`]: ["bounced", 556] });
    const received = await fetch(`${env.SMTP_RECEIVED_URL}?to=${encodeURIComponent(`ana@${domain}`)}`);
    expect(await received.json()).toEqual([]);
  });

  test.each(["away", "silent"] as const)("that cannot be had (%s) does not stop the delivery", async (how) => {
    const domain = domainName();
    await setZones({ [domain]: how });
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id } = await submit(box, [`ana@${domain}`]);
    await runAlarm(box);
    expect(await status(box, id)).toBe("sent");
  });
});

describe("what came of earlier mail to a domain", () => {
  const report = async (box: TestMailbox, domain: string): Promise<DomainReport> =>
    unwrap(await box.stub.checkDomain(box.agent, domain));

  test("three refusals speak against it, and three answers for it", async () => {
    const domain = domainName();
    await honestDomain(domain, { [`closed.${domain}`]: { MX: ["0 ."] } });
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    for (const name of ["a", "b", "c"]) await submit(box, [`${name}@closed.${domain}`]);
    await runAlarm(box);
    const after = await report(box, `closed.${domain}`);
    expect(after.history).toEqual({ bounces: 3, complaints: 0, replies: 0 });
    expect(after.reasons.map(({ reason }) => reason)).toContain("domain_bounces");
    const { domain_intelligence } = await submit(box, [`d@closed.${domain}`]);
    expect(domain_intelligence?.reasons.map(({ reason }) => reason)).toContain("domain_bounces");
    expect((await report(box, domain)).history.bounces).toBe(0);
  });

  test("an answer counts only where DMARC proves it, and where it answers something", async () => {
    const domain = domainName();
    await honestDomain(domain);
    const box = await makeMailbox({ oversight_mode: "autonomous" });
    const { id } = await submit(box, [`ana@${domain}`]);
    await runAlarm(box);
    const from = [{ name: null, address: `ana@${domain}` }];
    const rfc = `<${id}@${env.MAIL_DOMAIN}>`;
    const proven = arrival(box, { from, in_reply_to: [rfc] });
    const unproven = arrival(box, { from, in_reply_to: [rfc] });
    unproven.authentication = { ...unproven.authentication, dmarc_result: "none" };
    const stray = arrival(box, { from, in_reply_to: ["<nothing@elsewhere.example>"] });
    for (const mail of [proven, unproven, stray]) await box.stub.receive(mail);
    expect((await report(box, domain)).history).toEqual({ bounces: 0, complaints: 0, replies: 1 });
  });
});

test("a domain that a human let be written to is what look-alikes are compared with, in every mailbox of the account", async () => {
  const domain = `bookkeeper-${Math.random().toString(36).slice(2, 8)}.example`;
  await honestDomain(domain);
  const box = await makeMailbox();
  const { id } = await submit(box, [`ana@${domain}`]);
  await approve(box, id);
  await runAlarm(box);
  const known = await env.DB.prepare("SELECT domain FROM known_domains WHERE tenant_id = ?")
    .bind(box.mailbox.tenant_id)
    .all<{ domain: string }>();
  expect(known.results).toEqual([{ domain }]);

  const twin = domain.replace("bookkeeper", "bookeeper");
  await honestDomain(twin);
  const { domain_intelligence } = await submit(box, [`ana@${twin}`]);
  expect(domain_intelligence?.reasons).toContainEqual({
    reason: "near_domain",
    weight: 0.5,
    because: `${twin} is nearly ${domain}, and it is a different domain.`,
  });
  expect(domain_intelligence?.domains[0]?.resembles).toMatchObject({ twin: domain });
});

test("the deployment's own domain is what look-alikes are compared with, too", async () => {
  const box = await makeMailbox();
  const { domain_intelligence } = await submit(box, ["ana@agemts.test"]);
  expect(domain_intelligence?.domains[0]?.resembles).toMatchObject({ twin: env.MAIL_DOMAIN });
});
