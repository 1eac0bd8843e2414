import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { isBounceAddress, readBounceAddress } from "../../src/mail/bounce-address.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import { advanceClock, makeMailbox, runAlarm, submission, type TestMailbox } from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** An address of this test's own; its beginning says what the relay answers. */
function address(box: TestMailbox, start: string): MailAddress {
  return { name: null, address: `${start}-${box.mailbox.id.slice(-8).toLowerCase()}@customer.example` };
}

/** Whom the return path of what the relay took for a recipient names. */
async function named(recipient: MailAddress) {
  const [mail] = await receivedFor(recipient.address);
  const from = mail?.envelope.from ?? "";
  expect(mail?.envelope.to).toEqual([recipient.address]);
  expect(from.split("@")[0]?.length).toBeLessThanOrEqual(64);
  return readBounceAddress(env, from, Date.now());
}

test("each recipient is written to with a return path that names them alone, at the mailbox's own domain", async () => {
  const box = await makeMailbox({ oversight_mode: "autonomous" });
  const [to, cc, bcc] = [address(box, "to"), address(box, "cc"), address(box, "bcc")];
  const message = submission(box, { to: [to], cc: [cc], bcc: [bcc] });
  const { id } = unwrap(await box.stub.submit(box.agent, message));
  await runAlarm(box);
  for (const [position, recipient] of [to, cc, bcc].entries()) {
    expect(await named(recipient)).toEqual({ email_id: id, position });
  }
  const raws = await Promise.all([to, cc, bcc].map(async ({ address }) => (await receivedFor(address))[0]));
  // The same bytes for all: nothing in them says whose copy it is, or who is in Bcc.
  expect(new Set(raws.map((mail) => mail?.raw)).size).toBe(1);
  for (const mail of raws) {
    const from = mail?.envelope.from ?? "";
    expect(isBounceAddress(from)).toBe(true);
    expect(from.endsWith(`@${env.MAIL_DOMAIN}`)).toBe(true);
    expect(mail?.raw).not.toContain(from);
    expect(mail?.raw).not.toContain(bcc.address);
  }
});

test("who was put off keeps their own place when they are tried again, and nobody gets it twice", async () => {
  const box = await makeMailbox({ oversight_mode: "autonomous" });
  const [first, again, refused] = [address(box, "ok"), address(box, "once-451"), address(box, "refuse-550")];
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { to: [first, refused, again] })));
  await runAlarm(box);
  expect(await receivedFor(again.address)).toEqual([]);
  await advanceClock(box, 3600_000);
  await runAlarm(box);
  expect(await named(again)).toEqual({ email_id: id, position: 2 });
  expect(await receivedFor(first.address)).toHaveLength(1);
  expect(await receivedFor(refused.address)).toEqual([]);
});
