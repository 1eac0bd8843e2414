import { env } from "cloudflare:workers";
import { test } from "vitest";
import { identityOfAttempt } from "../durable-objects/mailbox/identity.ts";
import { contentOf } from "../durable-objects/mailbox/messages.ts";
import { unwrap } from "../src/errors.ts";
import { composeMessage } from "../src/mail/compose.ts";
import { signDkim } from "../src/mail/dkim-sign.ts";
import { signingKeysOf } from "../src/store/domains.ts";
import { inObject, makeMailbox, submission } from "../test/support/mailbox-harness.ts";

/**
 * What signing with the agent's identity costs a delivery: the CPU of composing and signing a message of 8 KiB with identity
 * headers, as a multiple of the same without. Network and storage are left out. Medians, alternating within one run.
 */
const ROUNDS = 15;
/** workerd's clock shows whole milliseconds, so one measurement is of many messages. */
const MESSAGES = 40;

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

test("signing with an identity", async () => {
  const box = await makeMailbox();
  const text = "The quick brown fox jumps over the lazy dog.\n".repeat(180);
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { text, html: `<p>${text}</p>` })));
  const { identity_key, checkpoint } = await env.TENANT.getByName(box.mailbox.tenant_id).admitDelivery(null);
  await inObject(box, async (object) => {
    const message = object.messages.get(id);
    const content = contentOf(message, object.messages.bodies(message.seq));
    const dkimKeys = await signingKeysOf(env.DB, env, env.MAIL_DOMAIN);
    const input = { content, identityKey: identity_key, dkimKeys, checkpoint, preserves_bytes: true };
    const deliver = async (isSigned: boolean) => {
      const identity = isSigned ? identityOfAttempt(object, message, input) : { headers: [], date: new Date() };
      const composed = await composeMessage({
        content,
        attachments: [],
        message_id: message.rfc_message_id ?? "",
        date: identity.date,
        extra_headers: identity.headers,
      });
      await signDkim(composed, dkimKeys, new Date());
    };
    const times: Record<string, number[]> = { with: [], without: [], alone: [] };
    const measured = async (name: string, work: () => unknown) => {
      const begun = performance.now();
      for (let i = 0; i < MESSAGES; i++) await work();
      times[name]?.push((performance.now() - begun) / MESSAGES);
    };
    for (let round = 0; round < ROUNDS; round++) {
      await measured("without", () => deliver(false));
      await measured("with", () => deliver(true));
      await measured("alone", () => identityOfAttempt(object, message, input));
    }
    const [signed, plain, alone] = ["with", "without", "alone"].map((name) => median(times[name] ?? [])) as [
      number,
      number,
      number,
    ];
    console.log(
      `delivery with identity / without: ${(signed / plain).toFixed(2)}  (${signed.toFixed(2)} ms, ${plain.toFixed(2)} ms; signing alone ${alone.toFixed(2)} ms)`,
    );
  });
}, 300_000);
