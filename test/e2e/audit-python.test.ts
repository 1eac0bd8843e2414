import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpointIn } from "../../dev/audit-story.ts";
import { mailTo } from "../../dev/outbox.ts";
import { until } from "../../dev/until.ts";
import { readTrust } from "../../src/audit/trust.ts";
import { verifyExport } from "../../src/audit/verify-export.ts";
import { TAMPERED_ENDS } from "../support/tampered-ends.ts";
import { TAMPERED_ENTRIES, TAMPERED_LINES } from "../support/tampered-entries.ts";
import { log, whole } from "../support/tampered-log.ts";
import { exportBytes, TestLog } from "../support/test-log.ts";
import { IdentityWorld } from "./identity-world.ts";
import { hasPython, type PythonAuditVerdict, pythonVerifyAudit } from "./python.ts";

/**
 * Exports of audit logs, judged by a second implementation that knows FORMATS.md and not our code. MULTIMAIL_PYTHON names an
 * interpreter that has `cryptography`.
 */

const dir = mkdtempSync(join(tmpdir(), "audit-python-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function put(name: string, lines: readonly string[]): string {
  const path = join(dir, name);
  writeFileSync(path, exportBytes(lines));
  return path;
}

const TAMPERINGS = Object.entries({ ...TAMPERED_ENTRIES, ...TAMPERED_LINES, ...TAMPERED_ENDS })
  // What is wrong only for who asks for more than the key.
  .filter(([, { given }]) => !given)
  .filter(([what]) => !what.includes("millions"));

describe.skipIf(!hasPython)("in Python with `cryptography` (MULTIMAIL_PYTHON names it)", () => {
  const verdicts = new Map<string, PythonAuditVerdict>();

  beforeAll(() => {
    const files = TAMPERINGS.map(([what, { lines }], index) => ({
      what,
      path: put(`tampered-${index}.ndjson`, lines),
    }));
    const all = pythonVerifyAudit(log.key, ...files.map(({ path }) => path));
    for (const [index, { what }] of files.entries()) verdicts.set(what, all[index] as PythonAuditVerdict);
  });

  it.each<[string, string[], number]>([
    ["a whole log", whole, 50],
    ["with opened fields", log.lines({ opened: true }), 50],
    ["a log of one entry", log.lines({ size: 1 }), 1],
    ["a log of none", log.lines({ size: 0 }), 0],
  ])("%s verifies, by FORMATS.md alone", (_what, lines, entries) => {
    const [verdict] = pythonVerifyAudit(log.key, put("whole.ndjson", lines));
    expect(verdict).toMatchObject({ ok: true, entries, size: entries });
  });

  it("each part of a log verifies", () => {
    const small = new TestLog(9);
    const files: string[] = [];
    for (let start = 0; start <= 9; start++) {
      for (let end = start; end <= 9; end++) files.push(put(`part-${start}-${end}.ndjson`, small.part(start, end)));
    }
    expect(pythonVerifyAudit(small.key, ...files).filter(({ ok }) => !ok)).toEqual([]);
  });

  it("so does one that grew out of an older checkpoint, and another history does not", () => {
    const after = join(dir, "after.checkpoint");
    writeFileSync(after, log.checkpoint(30));
    const forged = new TestLog(50, { change: (entry) => (entry.seq === 3 ? { ...entry, mode: "monitored" } : entry) });
    const files = [whole, log.part(10, 40), log.part(35, 40), log.lines({ size: 20 }), forged.lines()].map(
      (lines, index) => put(`after-${index}.ndjson`, lines),
    );
    const said = pythonVerifyAudit(log.key, ...files, "--after", after).map(({ ok }) => ok);
    expect(said).toEqual([true, true, false, false, false]);
  });

  it.each(TAMPERINGS.map(([what]) => what))("%s: neither verifies it", async (what) => {
    const { lines } = Object.fromEntries(TAMPERINGS)[what] ?? { lines: [] };
    const ours = await verifyExport([exportBytes(lines)], readTrust({ keys: log.key }));
    expect([ours.ok, verdicts.get(what)?.ok], JSON.stringify(verdicts.get(what))).toEqual([false, false]);
  });

  it("is short enough to be read whole", () => {
    const program = readFileSync("test/e2e/second-implementation/verify_audit.py", "utf8");
    expect(program.split("\n").length).toBeLessThan(150);
  });
});

describe.skipIf(!hasPython)("what a running world exports", () => {
  let world: IdentityWorld;
  beforeAll(async () => {
    world = await IdentityWorld.start();
  }, 120_000);
  afterAll(() => world?.stop());

  const text = async (path: string, key: string | null) => {
    const response = await fetch(`${world.world.base_url}${path}`, {
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
    });
    expect(response.status).toBe(200);
    return response.text();
  };

  it.each([
    ["a whole log", ""],
    ["without personal fields", "&personal=false"],
    ["its beginning", "&to_seq=2"],
    ["its end", "&from_seq=1"],
    ["one entry", "&from_seq=1&to_seq=2"],
  ])("%s verifies, of each log, by the key that is published", async (_what, range) => {
    const box = world.mailbox("gated_send");
    const sent = { to: "alice@customer.example", subject: "Grüße ✉", markdown: "Hello \u{1f600}" };
    expect((await world.agent("POST", `/v1/mailboxes/${box.id}/send`, sent)).status).toBe(202);
    for (const log of [box.id, world.tenantId]) {
      const key = (await text(`/v1/audit-log/verifier-key?log=${log}&format=text`, null)).trim();
      const path = join(dir, `${log}.ndjson`);
      writeFileSync(path, await text(`/v1/audit-log/export?log=${log}${range}`, world.world.keys.admin));
      expect(pythonVerifyAudit(key, path)).toMatchObject([{ ok: true }]);
      const ours = await verifyExport([readFileSync(path)], readTrust({ keys: key, log }));
      expect(ours).toMatchObject({ ok: true });
    }
  });

  it("continues from the checkpoint that went out earlier with a mail to the approver", async () => {
    const notice = await until("the notification", async () =>
      (await mailTo(world.world.outbox_dir, world.world.approver_email)).at(0),
    );
    const after = join(dir, "from-a-mail.checkpoint");
    writeFileSync(after, checkpointIn(notice.parsed.text ?? ""));
    const key = (await text(`/v1/audit-log/verifier-key?log=${world.tenantId}&format=text`, null)).trim();
    const path = join(dir, "account.ndjson");
    writeFileSync(path, await text("/v1/audit-log/export", world.world.keys.admin));
    expect(pythonVerifyAudit(key, path, "--after", after)).toMatchObject([{ ok: true }]);
  });
});
