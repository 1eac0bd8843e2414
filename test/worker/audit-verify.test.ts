import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { sizeOf } from "../../durable-objects/ledger/chain.ts";
import { signedNote } from "../../durable-objects/ledger/log-key.ts";
import type { LogCheckpoint } from "../../durable-objects/log-rpc.ts";
import { checkpointText } from "../../src/audit/checkpoint.ts";
import { checkpointLine } from "../../src/audit/export-line.ts";
import { NOTE_LIMITS } from "../../src/audit/signed-note.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { inObject } from "../support/mailbox-harness.ts";
import { noteSigner } from "../support/note-signer.ts";
import { inTenant } from "../support/tenant-harness.ts";

/** verify_audit_log, where the log is held to a checkpoint that somebody kept. What it finds in the log itself: audit-export.test.ts. */

interface Verdict {
  ok: boolean;
  to_seq: number;
  size: number;
  grown_from: number | null;
  fault: { code: string; line: number; seq: number | null; message: string } | null;
  next: number | null;
}

let tenant: TestTenant;
let mailbox: string;
/** As it was kept, some entries ago. */
let kept: LogCheckpoint;
/** Of another mailbox of the account. */
let foreign: LogCheckpoint;

const admin = () => keyOf(tenant, "admin");

function checkpointOf(log: string): Promise<LogCheckpoint> {
  return call<LogCheckpoint>(`/v1/audit-log/checkpoint?log=${log}`, { key: admin() }).then(({ body }) => body);
}

async function entries(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const answer = await call(`/v1/mailboxes/${mailbox}/emails`, { key: keyOf(tenant, "read") });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  }
}

beforeAll(async () => {
  tenant = await makeTenant(["gated_send", "gated_send"]);
  mailbox = tenant.mailbox.id;
  await entries(5);
  kept = await checkpointOf(mailbox);
  foreign = await checkpointOf(tenant.mailboxes[1]?.id ?? "");
  await entries(6);
});

function inMailbox<R>(work: Parameters<typeof inObject<R>>[1]): Promise<R> {
  return inObject({ stub: env.MAILBOX.getByName(mailbox.slice(-8)) }, work);
}

/** A checkpoint that the log's own key signed, of entries that the log does not have. */
function ofAnotherHistory(size: number): Promise<string> {
  const text = checkpointText({ origin: kept.origin, size, root: new Uint8Array(32).fill(7) });
  return inMailbox((object) => signedNote(object, text));
}

function ask(after: string, more: Record<string, string> = {}) {
  const query = new URLSearchParams({ log: mailbox, after, ...more });
  return call<Verdict>(`/v1/audit-log/verify?${query}`, { key: admin() });
}

async function verify(after: string, more: Record<string, string> = {}): Promise<Verdict> {
  const { status, body } = await ask(after, more);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

describe("a log that has grown out of the older checkpoint", () => {
  test.each<[string, (note: string) => string]>([
    ["as a note", (note) => note],
    ["as the last line of an older export", (note) => `${checkpointLine(note)}\n`],
    ["out of a mail", (note) => `\r\n${note.replaceAll("\n", "\r\n")}\r\n`],
  ])("holds, however that was kept: %s", async (_how, form) => {
    expect(await verify(form(kept.checkpoint))).toMatchObject({ ok: true, grown_from: kept.size, fault: null });
  });

  test("holds in each part, whether it begins after that checkpoint, reaches it or ends before", async () => {
    let parts = 0;
    for (let next: number | null = 0; next !== null; parts++) {
      const verdict: Verdict = await verify(kept.checkpoint, { from_seq: String(next), limit: "3" });
      expect(verdict).toMatchObject({ ok: true, grown_from: kept.size });
      next = verdict.next;
    }
    expect(parts).toBeGreaterThan(3);
  });

  test("holds out of its newest one, out of that of an empty log, and in the account's own log", async () => {
    const newest = await checkpointOf(mailbox);
    expect(await verify(newest.checkpoint)).toMatchObject({ ok: true, grown_from: newest.size });
    const empty = await ofAnotherHistory(0);
    expect(await verify(empty, { from_seq: "3" })).toMatchObject({ ok: true, grown_from: 0 });
    const own = await checkpointOf(tenant.id);
    expect(await verify(own.checkpoint, { log: tenant.id })).toMatchObject({ ok: true, grown_from: own.size });
  });

  test("and says that it was compared with nothing where nobody brought one", async () => {
    const { body } = await call<Verdict>(`/v1/audit-log/verify?log=${mailbox}`, { key: admin() });
    expect(body).toMatchObject({ ok: true, grown_from: null });
  });

  test("is checked by the operation's own name, too", async () => {
    const json = { log: mailbox, after: kept.checkpoint };
    const { body } = await call<Verdict>("/v1/verify_audit_log", { key: admin(), json });
    expect(body).toMatchObject({ ok: true, grown_from: kept.size });
  });

  test("which is on record: what it was held to, and whether it held", async () => {
    await verify(kept.checkpoint);
    await verify(await ofAnotherHistory(kept.size));
    // With it, D1 has everything that the log has.
    await checkpointOf(tenant.id);
    const query = "/v1/audit-log?action=audit.verified&limit=2";
    const { body } = await call<{ entries: { detail: object }[] }>(query, { key: admin() });
    expect(body.entries.map(({ detail }) => detail)).toMatchObject([
      { fault: "split_view", grown_from: null },
      { fault: null, grown_from: kept.size },
    ]);
  });
});

describe("a log that has not", () => {
  test.each<[string, Record<string, string>]>([
    ["the whole log", {}],
    ["a part that has the place of that checkpoint in it", { from_seq: "1", limit: "8" }],
    ["a part that ends before it", { limit: "2" }],
    ["a part that begins after it", { from_seq: "8" }],
  ])("was written anew since: %s is named a split view", async (_what, range) => {
    const verdict = await verify(await ofAnotherHistory(kept.size), range);
    expect(verdict).toMatchObject({
      ok: false,
      fault: { code: "split_view", seq: null },
      grown_from: null,
      next: null,
    });
    expect(verdict.fault?.message).toContain(`first ${kept.size} entries`);
  });

  test.each<[string, Record<string, string>]>([
    ["the whole log", {}],
    ["a part", { from_seq: "2", limit: "2" }],
  ])("was cut off since: %s is named older than the checkpoint", async (_what, range) => {
    const verdict = await verify(await ofAnotherHistory(kept.size + 100), range);
    expect(verdict).toMatchObject({ ok: false, fault: { code: "checkpoint_older" }, grown_from: null, next: null });
    expect(verdict.fault?.message).toContain(`of ${kept.size + 100}: entries were cut off`);
  });

  test("is of the same size, and another", async () => {
    const { size } = await checkpointOf(mailbox);
    expect(await verify(await ofAnotherHistory(size))).toMatchObject({ ok: false, fault: { code: "split_view" } });
  });
});

describe("what proves nothing is refused, and leaves no trace in the log", () => {
  const textOf = ({ checkpoint }: LogCheckpoint) => checkpoint.slice(0, checkpoint.indexOf("\n\n") + 1);

  test.each<[string, () => string, string]>([
    ["nothing", () => "", "invalid_checkpoint"],
    ["no note", () => "nonsense", "invalid_checkpoint"],
    ["a note that was cut", () => kept.checkpoint.slice(0, 60), "invalid_checkpoint"],
    ["one without its signature", () => `${textOf(kept)}\n`, "invalid_checkpoint"],
    ["a signed note that is no checkpoint", () => noteSigner(kept.origin, 5).sign("hello\n"), "invalid_checkpoint"],
    ["a line of an export that has none", () => '{"proof":{"start":0,"end":1}}', "invalid_checkpoint"],
    ["a line with another kind of one", () => '{"checkpoint":7}', "invalid_checkpoint"],
    ["a verifier key", () => kept.verifier_key, "invalid_checkpoint"],
    ["one of another log", () => foreign.checkpoint, "invalid_checkpoint"],
    [
      "one that another key signed in the log's name",
      () => noteSigner(kept.origin, 5).sign(textOf(kept)),
      "invalid_checkpoint",
    ],
    ["one that was changed", () => kept.checkpoint.replace(`\n${kept.size}\n`, "\n1\n"), "invalid_checkpoint"],
    ["more than any note is", () => kept.checkpoint + " ".repeat(NOTE_LIMITS.text), "invalid_input"],
  ])("%s", async (_what, made, code) => {
    const size = () => inMailbox((object) => sizeOf(object.storage()));
    const sizeOfAccount = () => inTenant(tenant.id, (object) => sizeOf(object.storage()));
    const before = [await size(), await sizeOfAccount()];
    expect(await ask(made())).toMatchObject({ status: 422, body: { code, issues: [{ path: "after" }] } });
    expect([await size(), await sizeOfAccount()]).toEqual(before);
  });

  test("and the log of somebody else stays nobody's, whatever is brought along", async () => {
    const other = await makeTenant();
    expect(await ask(kept.checkpoint, { log: other.mailbox.id })).toMatchObject({ status: 404 });
  });
});
