import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { sizeOf } from "../../durable-objects/ledger/chain.ts";
import { LEDGER_VERSIONS } from "../../durable-objects/ledger/schema.ts";
import type { LogCheckpoint } from "../../durable-objects/log-rpc.ts";
import { parseCheckpoint } from "../../src/audit/checkpoint.ts";
import { verifyConsistency, verifyInclusion } from "../../src/audit/merkle-proof.ts";
import { joinedRoot, subtreesOf } from "../../src/audit/merkle-tree.ts";
import { formatVerifierKey, parseNote, parseVerifierKey, signedBy } from "../../src/audit/signed-note.ts";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";
import {
  advanceClock,
  chainOf,
  checkMailbox,
  EVERYTHING,
  inObject,
  makeMailbox,
  runAlarm,
  setUpDomain,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { noteSigner } from "../support/note-signer.ts";
import { eventsOf, inTenant } from "../support/tenant-harness.ts";

/** Checkpoints in the objects: when they are made, what they commit to, who hears of them. Against real workerd and D1. */

const TEN_MINUTES = 10 * 60_000;

interface AuditProof {
  checkpoint: string;
  hashes: string[];
  leaf_hash: string;
  size: number;
}

const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));

async function entries(box: TestMailbox, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await box.stub.list(box.agent, EVERYTHING);
}

async function checkpointOf(box: TestMailbox): Promise<LogCheckpoint> {
  const answer = await box.stub.checkpoint(box.admin);
  if (!answer.ok) throw new Error(answer.refusal.error);
  return answer.value.newest;
}

/** The note is signed by the log's own key, and its root is that of the leaves. */
async function expectSound(box: TestMailbox, { checkpoint, verifier_key, root, size }: LogCheckpoint): Promise<void> {
  const note = parseNote(checkpoint);
  if (!note) throw new Error("no note");
  expect(signedBy(note, parseVerifierKey(verifier_key))).toEqual({ signed: "valid", time: null });
  expect(parseCheckpoint(note.text)).toEqual({
    origin: `${new URL(env.PUBLIC_URL).host}/logs/${box.mailbox.id}`,
    size,
    root: bytes(root),
  });
  const leaves = (await chainOf(box)).slice(0, size).map(({ hash }) => new Uint8Array(Buffer.from(hash, "hex")));
  expect(Buffer.from(naiveRoot(leaves)).toString("base64")).toBe(root);
}

/** RFC 6962 §2.1, as it is written. */
function naiveRoot(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0] as Uint8Array;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return joinedRoot([naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split))]);
}

describe("a checkpoint", () => {
  test("on demand commits to every entry there is, and is the same one until there is another entry", async () => {
    const box = await makeMailbox();
    for (const more of [0, 1, 5, 20]) {
      await entries(box, more);
      const first = await checkpointOf(box);
      expect(await checkpointOf(box)).toEqual(first);
      expect(first.size).toBe((await chainOf(box)).length);
      await expectSound(box, first);
    }
  });

  test("is made by itself ten minutes after the first new entry, and none while nothing is new", async () => {
    const box = await makeMailbox();
    const sizes = () =>
      inObject(box, (_object, { storage }) =>
        storage.sql
          .exec<{ size: number }>("SELECT size FROM checkpoints")
          .toArray()
          .map(({ size }) => size),
      );
    const due = () =>
      inObject(box, (_object, { storage }) =>
        storage.sql.exec<{ due: number }>("SELECT due FROM timers WHERE kind = 'checkpoint'").toArray(),
      );
    const begun = Date.now();
    await entries(box, 3);
    expect((await due())[0]?.due).toBeLessThanOrEqual(begun + TEN_MINUTES + 1_000);
    expect(await sizes()).toEqual([]);
    await advanceClock(box, TEN_MINUTES);
    await runAlarm(box);
    const size = (await chainOf(box)).length;
    expect(await sizes()).toEqual([size]);
    expect(await due()).toEqual([]);
    await advanceClock(box, 5 * TEN_MINUTES);
    await runAlarm(box);
    expect(await sizes()).toEqual([size]);
  });

  test("is written O(log n): an entry adds as many nodes as it completes subtrees", async () => {
    const box = await makeMailbox();
    const nodes = () =>
      inObject(
        box,
        (_object, { storage }) => storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM tree_nodes").one().n,
      );
    for (let step = 0; step < 40; step++) {
      await entries(box, 1);
      const size = (await chainOf(box)).length;
      // n leaves in complete subtrees of sizes that are n's binary digits have n minus their number of interior nodes.
      expect(await nodes()).toBe(size - subtreesOf(0, size).length);
    }
  });

  test("of another tenant's mailbox is not there, and takes an administrator", async () => {
    const [box, other] = [await makeMailbox(), await makeMailbox()];
    expect(await box.stub.checkpoint(other.admin)).toMatchObject({ ok: false, refusal: { code: "not_found" } });
    expect(await box.stub.checkpoint(box.agent)).toMatchObject({ ok: false, refusal: { code: "missing_scope" } });
    expect(await box.stub.proof(other.admin, { kind: "inclusion", seq: 0, size: 1 })).toMatchObject({ ok: false });
  });

  test("of a log that was begun before there were trees covers it from the first entry", async () => {
    const box = await makeMailbox();
    await entries(box, 9);
    await inObject(box, (object, { storage }) => {
      const made = LEDGER_VERSIONS.slice(1)
        .flat()
        .flatMap((statement) => [...statement.matchAll(/CREATE (?:UNIQUE )?(TABLE|INDEX) (\w+)/g)])
        .reverse();
      for (const [, kind, name] of made) storage.sql.exec(`DROP ${kind} ${name}`);
      storage.sql.exec("ALTER TABLE ledger DROP COLUMN ledger_version");
      Reflect.get(object, "wake").call(object);
    });
    await expectSound(box, await checkpointOf(box));
    await checkMailbox(box);
  });
});

describe("proofs", () => {
  test("lead from each entry to each checkpoint, and from each earlier size", async () => {
    const box = await makeMailbox();
    await entries(box, 12);
    const { size, root } = await checkpointOf(box);
    const chain = await chainOf(box);
    for (let seq = 0; seq < size; seq++) {
      const answer = await box.stub.proof(box.admin, { kind: "inclusion", seq, size });
      if (!answer.ok) throw new Error(answer.refusal.error);
      const { hashes, leaf_hash } = answer.value;
      expect(Buffer.from(leaf_hash ?? "", "base64").toString("hex")).toBe(chain[seq]?.hash);
      const claim = { seq, size, leafHash: bytes(leaf_hash ?? ""), root: bytes(root), proof: hashes.map(bytes) };
      expect(verifyInclusion(claim)).toBe(true);
    }
    for (let first = 1; first <= size; first++) {
      const leaves = chain.slice(0, first).map(({ hash }) => new Uint8Array(Buffer.from(hash, "hex")));
      const answer = await box.stub.proof(box.admin, { kind: "consistency", first, size });
      if (!answer.ok) throw new Error(answer.refusal.error);
      const proof = answer.value.hashes.map(bytes);
      const claim = { first, second: size, firstRoot: naiveRoot(leaves), secondRoot: bytes(root), proof };
      expect(verifyConsistency(claim)).toBe(true);
    }
  });

  test.each([
    ["an entry that is not there yet", { kind: "inclusion", seq: 1_000, size: 2_000 }],
    ["an entry beyond the size", { kind: "inclusion", seq: 1, size: 1 }],
    ["a size that shrank", { kind: "consistency", first: 2, size: 1 }],
    ["a range that is reversed", { kind: "range", start: 2, end: 1, size: 2 }],
  ] as const)("of %s are refused", async (_what, question) => {
    const box = await makeMailbox();
    await entries(box, 2);
    expect(await box.stub.proof(box.admin, question)).toMatchObject({ ok: false, refusal: { code: "invalid_range" } });
  });
});

describe("the tenant's log", () => {
  async function tenantEntries(tenant: TestTenant, action: string) {
    await inTenant(tenant.id, (object) => object.settled());
    const { results } = await env.DB.prepare("SELECT entry FROM audit_log WHERE log = ? AND action = ? ORDER BY seq")
      .bind(tenant.id, action)
      .all<{ entry: string }>();
    return results.map(({ entry }) => JSON.parse(entry));
  }

  test("has each mailbox's checkpoints as entries: once each, in their order, and never an older one after a newer", async () => {
    const tenant = await makeTenant();
    const admin = keyOf(tenant, "admin");
    const box = { stub: env.MAILBOX.getByName(tenant.mailbox.id.slice(-8)), mailbox: tenant.mailbox } as TestMailbox;
    const made: LogCheckpoint[] = [];
    for (let round = 0; round < 3; round++) {
      const listed = await call(`/v1/mailboxes/${tenant.mailbox.id}/emails`, { key: keyOf(tenant, "agent") });
      expect(listed.status).toBe(200);
      const path = `/v1/audit-log/checkpoint?log=${tenant.mailbox.id}`;
      made.push((await call<LogCheckpoint>(path, { key: admin })).body);
      await runAlarm(box);
      await inObject(box, (object) => object.settled());
    }
    const again = made[0] as LogCheckpoint;
    await env.TENANT.getByName(tenant.id).recordCheckpoint(again);
    const entries = await tenantEntries(tenant, "mailbox.checkpointed");
    expect(entries.map(({ resource, detail }) => [resource.id, detail.size, detail.root, detail.checkpoint])).toEqual(
      made.map(({ log, size, root, checkpoint }) => [log, size, root, checkpoint]),
    );
  });

  test("is told of a checkpoint later where it was away, and a restart in between loses none", async () => {
    const box = await makeMailbox();
    await entries(box, 2);
    const { size } = await checkpointOf(box);
    const whole = await inObject(box, (object) => {
      const before: Cloudflare.Env = Reflect.get(object, "env");
      const away = { getByName: () => ({ recordCheckpoint: () => Promise.reject(new Error("away")) }) };
      Reflect.set(object, "env", { ...before, TENANT: away });
      return before;
    });
    await runAlarm(box);
    await inObject(box, async (object) => {
      await object.settled();
      expect(object.scheduled("report_checkpoint")).toEqual([box.mailbox.id]);
      Reflect.set(object, "env", whole);
    });
    await advanceClock(box, 5 * 60_000);
    await runAlarm(box);
    await inObject(box, async (object) => {
      await object.settled();
      expect(object.scheduled("report_checkpoint")).toEqual([]);
    });
    expect(size).toBeGreaterThan(0);
  });
});

describe("what leaves carries the account's newest checkpoint", () => {
  /** The note is the account's own, of no fewer entries than it had. */
  async function expectAccounts(note: string, tenantId: string): Promise<void> {
    const { body } = await call<{ verifier_key: string }>(`/v1/audit-log/verifier-key?log=${tenantId}`);
    const parsed = parseNote(note);
    expect(parsed && signedBy(parsed, parseVerifierKey(body.verifier_key)).signed).toBe("valid");
    expect(parseCheckpoint(parsed?.text ?? "")?.size).toBeGreaterThan(0);
  }

  test("an identity receipt, where the JWS signs it too", async () => {
    await setUpDomain();
    const tenant = await makeTenant(["autonomous"]);
    const json = { to: "ana@customer.example", subject: "Offer", text: "Hello" };
    const path = `/v1/mailboxes/${tenant.mailbox.id}/send`;
    const { body } = await call<{ id: string }>(path, { key: keyOf(tenant, "agent"), json });
    await runAlarm({ stub: env.MAILBOX.getByName(tenant.mailbox.id.slice(-8)) } as TestMailbox);
    const receipt = await call<{ checkpoint: string; jws: string }>(`/v1/emails/${body.id}/identity-receipt`, {
      key: keyOf(tenant, "read"),
    });
    expect(receipt.status, JSON.stringify(receipt.body)).toBe(200);
    await expectAccounts(receipt.body.checkpoint, tenant.id);
    const signed = JSON.parse(Buffer.from(receipt.body.jws.split(".")[1] ?? "", "base64url").toString("utf8"));
    expect(signed.checkpoint).toBe(receipt.body.checkpoint);
  });

  test("the event that webhooks will tell of", async () => {
    const tenant = await makeTenant();
    const { body } = await call<LogCheckpoint>("/v1/audit-log/checkpoint", { key: keyOf(tenant, "admin") });
    const told = (await eventsOf(tenant.id)).filter(({ type }) => type === "audit.checkpoint");
    expect(told.at(-1)?.data).toMatchObject({ size: body.size, root: body.root, checkpoint: body.checkpoint });
    await expectAccounts(told.at(-1)?.data.checkpoint, tenant.id);
  });
});

describe("by the doors", () => {
  test("anyone reads what checks a log, as JSON and as a line; a log that is not there is not_found", async () => {
    const tenant = await makeTenant();
    for (const log of [tenant.id, tenant.mailbox.id]) {
      const { status, body } = await call<{ verifier_key: string; origin: string }>(
        `/v1/audit-log/verifier-key?log=${log}`,
      );
      expect(status).toBe(200);
      expect(formatVerifierKey(parseVerifierKey(body.verifier_key))).toBe(body.verifier_key);
      expect(parseVerifierKey(body.verifier_key).name).toBe(body.origin);
      expect(body.origin).toBe(`${new URL(env.PUBLIC_URL).host}/logs/${log}`);
    }
    const unknown = [
      `${tenant.id.slice(0, -1)}x`,
      "mbx_01JD0000000000000000000000",
      "em_01JD0000000000000000000000",
      "..",
    ];
    for (const log of unknown) {
      expect((await call(`/v1/audit-log/verifier-key?log=${log}`)).status).toBe(404);
    }
    expect((await call("/v1/audit-log/verifier-key")).status).toBe(422);
  });

  test("an administrator proves an entry to a checkpoint; a bound key only of its mailboxes", async () => {
    const tenant = await makeTenant(["gated_send"], ([own]) => [
      { name: "bound", scopes: ["admin"], mailboxes: [own] },
    ]);
    const [admin, bound] = [keyOf(tenant, "admin"), keyOf(tenant, "bound")];
    const { body } = await call<AuditProof>(`/v1/audit-log/proof?log=${tenant.mailbox.id}&seq=0`, {
      key: admin,
    });
    const { root } = parseCheckpoint(parseNote(body.checkpoint)?.text ?? "") ?? {};
    const proof = body.hashes.map(bytes);
    const claim = { seq: 0, size: body.size, leafHash: bytes(body.leaf_hash), proof };
    expect(verifyInclusion({ ...claim, root: root ?? new Uint8Array() })).toBe(true);
    expect((await call(`/v1/audit-log/checkpoint?log=${tenant.mailbox.id}`, { key: bound })).status).toBe(200);
    expect((await call("/v1/audit-log/checkpoint", { key: bound })).status).toBe(403);
    const other = await makeTenant();
    for (const log of [tenant.id, tenant.mailbox.id]) {
      expect((await call(`/v1/audit-log/checkpoint?log=${log}`, { key: keyOf(other, "admin") })).status).toBe(404);
    }
    for (const query of ["seq=0&first=1", "", "seq=-1", "seq=1e9", "first=99999999"]) {
      expect((await call(`/v1/audit-log/proof?${query}`, { key: admin })).status).toBe(422);
    }
  });
});

describe("a witness", () => {
  const witness = noteSigner("witness.example/w1", 7, "cosignature/v1");
  const stranger = noteSigner("witness.example/w1", 8, "cosignature/v1");
  const second = noteSigner("other.example/w2", 9, "cosignature/v1");

  async function witnessed() {
    const tenant = await makeTenant();
    const key = keyOf(tenant, "admin");
    const json = { witnesses: [witness, second].map((each) => formatVerifierKey(each.key)) };
    expect((await call("/v1/account", { method: "PATCH", key, json })).status).toBe(200);
    const { body } = await call<LogCheckpoint>("/v1/audit-log/checkpoint", { key });
    return { tenant, key, body };
  }

  const cosign = (checkpoint: string) => call<LogCheckpoint>("/v1/audit-log/cosign", { json: { checkpoint } });

  test("that the account named co-signs, and the checkpoint goes out with its line from then on", async () => {
    const { key, body } = await witnessed();
    const answer = await cosign(witness.sign(body.checkpoint, 1_700_000_000));
    expect(answer).toMatchObject({ status: 200, body: { size: body.size, witnesses: 1 } });
    const both = await cosign(second.sign(body.checkpoint, 1_700_000_100));
    expect(both.body.witnesses).toBe(2);
    const { body: later } = await call<{ witnessed: LogCheckpoint }>("/v1/audit-log/checkpoint", { key });
    const note = parseNote(later.witnessed.checkpoint);
    if (!note) throw new Error("no note");
    expect(signedBy(note, witness.key)).toEqual({ signed: "valid", time: 1_700_000_000 });
    expect(signedBy(note, second.key)).toEqual({ signed: "valid", time: 1_700_000_100 });
    expect(signedBy(note, parseVerifierKey(body.verifier_key)).signed).toBe("valid");
  });

  test("signing again takes the place of its earlier line, and an earlier line brought again changes nothing", async () => {
    const { tenant, body } = await witnessed();
    const earlier = witness.sign(body.checkpoint, 1_700_000_000);
    await cosign(earlier);
    await cosign(witness.sign(body.checkpoint, 1_700_000_500));
    const size = () => inTenant(tenant.id, (object) => sizeOf(object.storage()));
    const before = await size();
    const again = await cosign(earlier);
    expect(again.status).toBe(200);
    expect(await size()).toBe(before);
    const note = parseNote(again.body.checkpoint);
    expect(note?.signatures).toHaveLength(2);
    expect(note && signedBy(note, witness.key)).toEqual({ signed: "valid", time: 1_700_000_500 });
  });

  test.each([
    ["without a witness's line", (note: string) => note, "not_witnessed"],
    [
      "by somebody whom the account did not name, under its name",
      (note: string) => stranger.sign(note, 1),
      "not_witnessed",
    ],
    [
      "of a note whose size was changed",
      (note: string) => witness.sign(note.replace(/\n\d+\n/, "\n1\n"), 1),
      "invalid_checkpoint",
    ],
    ["of no note", () => "nonsense", "invalid_checkpoint"],
    [
      "of a note that another key signed as this log",
      (note: string) => {
        const text = parseNote(note)?.text ?? "";
        return witness.sign(noteSigner(text.split("\n")[0] ?? "", 3).sign(text), 1);
      },
      "invalid_checkpoint",
    ],
  ])("is not believed %s, and nothing is kept", async (_what, made, code) => {
    const { key, body } = await witnessed();
    expect(await cosign(made(body.checkpoint))).toMatchObject({ status: 422, body: { code } });
    const { body: later } = await call<{ witnessed: null }>("/v1/audit-log/checkpoint", { key });
    expect(later.witnessed).toBeNull();
  });

  test("is named at once, and taken away only by the operator", async () => {
    const { key } = await witnessed();
    const json = { witnesses: [formatVerifierKey(witness.key)] };
    expect((await call("/v1/account", { method: "PATCH", key, json })).status).toBe(202);
    const { body } = await call<{ witnesses: string[] }>("/v1/account", { key: key });
    expect(body.witnesses ?? []).not.toEqual(json.witnesses);
    expect((await call("/v1/account", { method: "PATCH", key, json: { witnesses: ["x+y+z"] } })).status).toBe(422);
  });
});

test("a mailbox that was never made has no log, and asking for it writes nothing", async () => {
  const stub = env.MAILBOX.getByName("ZZZZZZZZ");
  expect(await stub.verifierKey("mbx_01JD00000000000000ZZZZZZZZ")).toBeNull();
  const plain: DurableObjectStub = stub;
  const tables = await runInDurableObject(plain, (_object, { storage }) =>
    storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'ledger'").toArray(),
  );
  expect(tables).toEqual([]);
});
