import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import { findWorld } from "../../dev/world-files.ts";
import { killAll, run } from "./processes.ts";

const dir = mkdtempSync(join(tmpdir(), "demo-"));
const DEMO = ["dev/node24.js", "dev/demo.ts", "--dir", dir];
let running: RunningWorld | null = null;

afterAll(async () => {
  killAll();
  await running?.stop();
  rmSync(dir, { recursive: true, force: true });
});

function marks(output: string): { passed: number; failed: number } {
  const lines = output.split("\n");
  return {
    passed: lines.filter((line) => line.startsWith("  ✓ ")).length,
    failed: lines.filter((line) => line.startsWith("  ✗ ")).length,
  };
}

it("plays the main job in a world that it starts and stops itself", async () => {
  const demo = run("node", DEMO);
  expect([await demo.ended, marks(demo.output()).failed, await demo.gone()], demo.output()).toEqual([0, 0, true]);
  expect(marks(demo.output()).passed).toBeGreaterThanOrEqual(20);
  expect(existsSync(join(dir, "outbox"))).toBe(true);
  expect(await findWorld(dir)).toBeNull();
}, 180_000);

it("plays it again in a world that runs, and leaves that running", async () => {
  running = await startWorld({ dir, port: 0 });
  const demo = run("node", DEMO);
  expect([await demo.ended, marks(demo.output()).failed], demo.output()).toEqual([0, 0]);
  expect(demo.output()).toContain(running.world.base_url);
  expect(await findWorld(dir)).not.toBeNull();
}, 180_000);

it("ends with 1 and marks what failed when a sender's key is gone from the DNS", async () => {
  const file = running?.world.zones_file ?? "";
  const { "s1._domainkey.customer.example": _gone, ...zones } = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify(zones));
  const demo = run("node", DEMO);
  expect(await demo.ended, demo.output()).toBe(1);
  expect(demo.output()).toContain("✗ dkim_result is pass");
}, 180_000);
