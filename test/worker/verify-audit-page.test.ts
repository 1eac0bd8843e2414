import { describe, expect, test } from "vitest";
import { readTrust } from "../../src/audit/trust.ts";
import { verifyExport } from "../../src/audit/verify-export.ts";
import { request } from "../support/door-harness.ts";
import { log, whole } from "../support/tampered-log.ts";
import { cut, exportBytes } from "../support/test-log.ts";

/** The page /verify-audit at its door, and its check where the service runs it. In a browser: `test/browser/`. */

describe("the page", () => {
  test("is for everyone, runs its own script alone, and reaches nothing but the published keys of logs", async () => {
    const response = await request("/verify-audit");
    expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
    const policy = response.headers.get("content-security-policy") ?? "";
    for (const directive of [
      "default-src 'none'",
      "script-src 'self'",
      "connect-src https://mail.test/v1/audit-log/verifier-key",
      "require-trusted-types-for 'script'",
      "form-action 'none'",
    ]) {
      expect(policy.split("; ")).toContain(directive);
    }
    expect((await response.text()).match(/<script[^>]*>[^<]*/g)).toEqual([
      expect.stringMatching(/^<script type="module" src="\/verify-audit\/verifier\.js\?[0-9a-f]{16}">$/),
    ]);
  });

  test.each(["/verify-audit", "/verify-audit/verifier.js"])("%s is read and nothing else", async (path) => {
    expect((await request(path, { method: "HEAD" })).status).toBe(200);
    const response = await request(path, { method: "POST" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    await response.text();
  });
});

test("an export is checked in the worker as everywhere else", async () => {
  const trust = readTrust({ keys: log.key });
  expect(await verifyExport(cut(exportBytes(whole), 1000), trust)).toMatchObject({ ok: true, entries: 50 });
  const opened = exportBytes(log.lines({ opened: true }));
  expect(await verifyExport([opened], trust)).toMatchObject({ ok: true, opened: 17 });
  const missing = exportBytes(whole.toSpliced(20, 1));
  expect(await verifyExport([missing], trust)).toMatchObject({ ok: false, fault: { code: "gap", line: 21, seq: 20 } });
});
