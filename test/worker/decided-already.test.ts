import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import { pendingIdOf } from "../../src/ids.ts";
import {
  advanceClock,
  decide,
  loosen,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";

/** A decision on what waits no more is a 409 with how it stands and whose doing that was; on what is not there, a 404. */

const DAY = 24 * 3600_000;

type Ending = (box: TestMailbox, id: string) => Promise<void>;

const rejected: Ending = async (box, email_id) => {
  unwrap(await decide(box, box.overseer, { email_id, decision: "reject", reason: "No.", content_hash: null }));
};
const approved: Ending = async (box, email_id) => {
  unwrap(await decide(box, box.overseer, { email_id, decision: "approve", reason: null, content_hash: null }));
};
const cancelled: Ending = async (box, id) => {
  unwrap(await box.stub.cancel(box.agent, id, "Not needed."));
};
const expired: Ending = async (box) => {
  await advanceClock(box, 8 * DAY);
  await runAlarm(box);
};

interface Expected {
  code: string;
  /** `who` stands for the key whose doing it was. */
  error: RegExp;
  detail: (box: TestMailbox) => Record<string, unknown>;
}

const ENDINGS: [name: string, ending: Ending, now: string, expected: Expected][] = [
  [
    "rejected",
    rejected,
    "rejected",
    {
      code: "already_decided",
      error: /^This was rejected by key_\w+ at 2\S+Z\.$/,
      detail: ({ overseer }) => ({ status: "rejected", decision: "rejected", decided_by: overseer.key_id }),
    },
  ],
  [
    "approved",
    approved,
    "queued",
    {
      code: "already_decided",
      error: /^This was approved by key_\w+ at 2\S+Z\.$/,
      detail: ({ overseer }) => ({ status: "queued", decision: "approved", decided_by: overseer.key_id }),
    },
  ],
  [
    "cancelled",
    cancelled,
    "cancelled",
    {
      code: "wrong_state",
      error: /^Nothing waits here: it was cancelled by key_\w+ at 2\S+Z\.$/,
      detail: ({ agent }) => ({ status: "cancelled", cancelled_by: agent.key_id, cancelled_at: expect.any(String) }),
    },
  ],
  [
    "expired",
    expired,
    "expired",
    { code: "wrong_state", error: /^Nothing waits here: it is expired\.$/, detail: () => ({ status: "expired" }) },
  ],
];

describe.each(ENDINGS)("a decision on what is %s", (_name, ending, now, { code, error, detail }) => {
  test.each(["approve", "reject"] as const)(
    "%s: refused, with the state and who, and nothing changes",
    async (verb) => {
      const box = await makeMailbox();
      const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
      await box.stub.pendingItems(box.overseer, [id]);
      await ending(box, id);
      expect(await status(box, id)).toBe(now);
      for (const email_id of [id, pendingIdOf(id)]) {
        const request = { email_id, decision: verb, reason: null, content_hash: null };
        const outcome = await box.stub.decide(box.overseer, request);
        expect(outcome).toMatchObject({
          ok: false,
          refusal: { code, error: expect.stringMatching(error), detail: detail(box) },
        });
      }
      expect(await status(box, id)).toBe(now);
    },
  );
});

test("a cancellation that came after an approval names who approved", async () => {
  const box = await makeMailbox();
  await loosen(box, { paused: true });
  const { id } = unwrap(await box.stub.submit(box.agent, submission(box)));
  await approved(box, id);
  await cancelled(box, id);
  const outcome = await decide(box, box.overseer, {
    email_id: id,
    decision: "approve",
    reason: null,
    content_hash: null,
  });
  expect(outcome).toMatchObject({
    ok: false,
    refusal: { code: "already_decided", detail: { status: "cancelled", decided_by: box.overseer.key_id } },
  });
});
