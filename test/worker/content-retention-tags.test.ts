import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import type { EmailRecord } from "../../src/store/email-record.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { boxOf } from "../support/erased-person.ts";
import {
  advanceClock,
  arrival,
  caller,
  checkMailbox,
  inObject,
  runAlarm,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { withCode } from "../support/operator-codes.ts";

/** Whoever may tag is an agent as a rule: a tag of theirs keeps what a message says for longer, and never for less long. */

const DAY = 24 * 3600_000;

async function keeping(content_retention: object): Promise<{ tenant: TestTenant; box: TestMailbox; operator: Caller }> {
  const tenant = await makeTenant(["autonomous"]);
  const path = `/v1/mailboxes/${tenant.mailbox.id}`;
  const json = { content_retention };
  const { status } = await withCode(tenant, path, { key: keyOf(tenant, "admin"), method: "PATCH", json });
  expect(status).toBe(200);
  return { tenant, box: boxOf(tenant), operator: caller(tenant.id, ["send", "admin"]) };
}

async function received(box: TestMailbox): Promise<string> {
  return (await box.stub.receive(arrival(box)))?.email_id ?? "";
}

async function isGoneAfter(box: TestMailbox, days: number, id: string): Promise<boolean> {
  await advanceClock(box, days * DAY + 60_000);
  await runAlarm(box);
  return inObject(box, (object) => object.messages.get(id).content_expired_at !== null);
}

const tag = async (box: TestMailbox, by: Caller, id: string, key: string) =>
  unwrap(await box.stub.tag(by, id, { [key]: "" }));
const untag = async (box: TestMailbox, by: Caller, id: string, key: string) =>
  unwrap(await box.stub.untag(by, id, key));

describe("by a key without admin", () => {
  test("a tag with a shorter period shortens nothing, in a mailbox that keeps all nor in one that does not", async () => {
    for (const [days, last] of [
      [null, 400],
      [30, 29],
    ] as const) {
      const { box, tenant } = await keeping({ days, tags: { newsletter: 1 } });
      const id = await received(box);
      await tag(box, caller(tenant.id, ["send"]), id, "newsletter");
      expect(await isGoneAfter(box, last, id)).toBe(false);
      if (days !== null) expect(await isGoneAfter(box, days + 1, id)).toBe(true);
    }
  });

  test("nor does one that a message is submitted with", async () => {
    const { box } = await keeping({ days: null, tags: { newsletter: 1 } });
    const { id } = unwrap(await box.stub.submit(box.agent, submission(box, { tags: { newsletter: "" } })));
    await runAlarm(box);
    expect(await isGoneAfter(box, 400, id)).toBe(false);
  });

  test("a tag with a longer period lengthens", async () => {
    const { box } = await keeping({ days: 2, tags: { invoice: 10 } });
    const id = await received(box);
    await tag(box, box.agent, id, "invoice");
    expect(await isGoneAfter(box, 9, id)).toBe(false);
    expect(await isGoneAfter(box, 11, id)).toBe(true);
  });

  test.each(["agent", "operator"] as const)(
    "taking a tag off that lengthens shortens nothing, whoever set it (%s)",
    async (who) => {
      const { box, operator } = await keeping({ days: 2, tags: { contract: null } });
      const id = await received(box);
      await tag(box, who === "agent" ? box.agent : operator, id, "contract");
      await untag(box, box.agent, id, "contract");
      expect(await isGoneAfter(box, 400, id)).toBe(false);
    },
  );

  test("a tag of the operator's stays theirs when it is given another text", async () => {
    const { box, operator } = await keeping({ days: null, tags: { newsletter: 1 } });
    const id = await received(box);
    await tag(box, operator, id, "newsletter");
    unwrap(await box.stub.tag(box.agent, id, { newsletter: "weekly" }));
    expect(await isGoneAfter(box, 2, id)).toBe(true);
  });

  test("a tag of the operator's that was taken off shortens no longer, nor once an agent gives it again", async () => {
    const { box, operator } = await keeping({ days: null, tags: { newsletter: 1 } });
    const id = await received(box);
    await tag(box, operator, id, "newsletter");
    await untag(box, box.agent, id, "newsletter");
    await tag(box, box.agent, id, "newsletter");
    expect(await isGoneAfter(box, 400, id)).toBe(false);
  });
});

describe("by a key with admin", () => {
  test("a tag shortens, also where an agent had given it before", async () => {
    const { box, operator } = await keeping({ days: null, tags: { newsletter: 1 } });
    const id = await received(box);
    await tag(box, box.agent, id, "newsletter");
    await tag(box, operator, id, "newsletter");
    expect(await isGoneAfter(box, 2, id)).toBe(true);
  });

  test("taking a tag off shortens, also one that an agent had taken off before", async () => {
    const { box, operator } = await keeping({ days: 2, tags: { contract: null } });
    const [one, two] = [await received(box), await received(box)];
    for (const id of [one, two]) await tag(box, box.agent, id, "contract");
    await untag(box, operator, one, "contract");
    await untag(box, box.agent, two, "contract");
    expect(await box.stub.untag(box.agent, two, "contract")).toMatchObject({ refusal: { code: "not_found" } });
    await untag(box, operator, two, "contract");
    expect(await box.stub.untag(operator, two, "contract")).toMatchObject({ refusal: { code: "not_found" } });
    expect(await isGoneAfter(box, 3, one)).toBe(true);
    expect(await isGoneAfter(box, 3, two)).toBe(true);
  });
});

test("each message whose content was removed says so in its record", async () => {
  const { tenant, box } = await keeping({ days: 1 });
  const [one, two] = [await received(box), await received(box)];
  expect(await isGoneAfter(box, 2, one)).toBe(true);
  const entries = (await checkMailbox(box)).filter(({ action }) => action === "content.expired");
  expect(entries.map(({ resource, detail }) => [resource, detail])).toEqual([
    [{ type: "email", id: one }, { days: 1 }],
    [{ type: "email", id: two }, { days: 1 }],
  ]);
  const { body } = await call<EmailRecord>(`/v1/emails/${two}/record`, { key: keyOf(tenant, "admin") });
  expect(body.steps.find(({ entry }) => entry?.action === "content.expired")).toMatchObject({
    part: "erased",
    text: "MultiMail removed what it said, since the mailbox keeps that no longer than 1 day.",
  });
});
