import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findWorld, loadSecrets, type World } from "../../dev/world-files.ts";
import { killAll, type Program, run, whileRunning } from "./processes.ts";

/** README's commands are run as they stand there; only the world's folder is another one, so that yours is left alone. */

const dir = mkdtempSync(join(tmpdir(), "readme-"));
const README = readFileSync("README.md", "utf8");
const PACKAGE: { scripts: Record<string, string> } = JSON.parse(readFileSync("package.json", "utf8"));
const blocks = [...README.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? "");
const commands = blocks.find((block) => block.includes("npm start")) ?? "";
const api = blocks.find((block) => block.includes("curl")) ?? "";

describe("README", () => {
  it.each(["npm ci && npm start", "npm ci && npm run demo", "npm ci && npm test"])(
    "names `%s` on its first screen",
    (command) => {
      expect(README.slice(0, README.indexOf("\n## "))).toContain(command);
      expect(commands).toContain(command);
    },
  );

  it("names only scripts that exist", () => {
    const named = [...README.matchAll(/(?:^|&& |`)npm (?:run )?([a-z][a-z:]*)/gm)].map((match) => match[1] ?? "");
    const scripts = named.filter((name) => name !== "ci");
    expect(scripts.length).toBeGreaterThan(0);
    for (const script of scripts) expect(Object.keys(PACKAGE.scripts)).toContain(script);
  });

  it("names every setting of the worker", () => {
    const names = [...readFileSync("src/env.ts", "utf8").matchAll(/^ {2}([A-Z_]+)\??: (?:string|")/gm)].map(
      (match) => match[1],
    );
    expect(names).toContain("MASTER_KEY");
    expect(names.filter((name) => !README.includes(`\`${name}\``))).toEqual([]);
  });

  it("names every dependency", () => {
    const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(Object.keys(dependencies).filter((name) => !README.includes(`| ${name} |`))).toEqual([]);
  });
});

/** Starts a command as README's first screen has it, in a folder of its own. */
function runAsWritten(command: "npm start" | "npm run demo", ...more: string[]): Program {
  const written = new RegExp(`^npm ci && (${command})\\s+#`, "m").exec(commands)?.[1];
  if (written === undefined) throw new Error(`README's first screen does not have ${command}.`);
  const [program = "", ...words] = written.split(" ");
  return run(program, [...words, "--", "--dir", dir, ...more]);
}

function marks(output: string): { passed: number; failed: number } {
  const lines = output.split("\n");
  return {
    passed: lines.filter((line) => line.startsWith("  ✓ ")).length,
    failed: lines.filter((line) => line.startsWith("  ✗ ")).length,
  };
}

afterAll(async () => {
  await killAll();
  rmSync(dir, { recursive: true, force: true });
});

it("`npm run demo` plays the main job in a world that it starts and stops itself", async () => {
  const demo = runAsWritten("npm run demo");
  expect([await demo.ended, marks(demo.output()).failed, await demo.gone()], demo.output()).toEqual([0, 0, true]);
  expect(marks(demo.output()).passed).toBeGreaterThanOrEqual(20);
  expect(existsSync(join(dir, "outbox"))).toBe(true);
  expect(await findWorld(dir)).toBeNull();
}, 180_000);

describe("while `npm start` runs", () => {
  let program: Program;
  let world: World;

  beforeAll(async () => {
    program = runAsWritten("npm start", "--port", "0");
    world = await whileRunning(program, "the world", () => findWorld(dir));
  }, 180_000);

  it("`npm start` prints where everything is", async () => {
    await whileRunning(program, "its last line", () => (program.output().includes("Ctrl-C") ? true : null));
    for (const said of [world.base_url, world.keys.agent, world.outbox_dir, world.doh_url]) {
      expect(program.output()).toContain(said);
    }
  });

  it("the API in ten lines does what it says", async () => {
    const script = api.replaceAll("./.local/world.json", join(dir, "world.json"));
    expect(script).not.toBe(api);
    // Each command that answers ends its answer with a line of its own.
    const shell = run("bash", ["-euo", "pipefail", "-c", script.replace(/^curl .*/gm, "$&; echo")]);
    expect(await shell.ended, shell.output()).toBe(0);
    const answers = shell
      .output()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(answers).toHaveLength(4);
    const [pending, decision, listed, log] = answers;
    expect(pending).toMatchObject({ kind: "send", status: "pending_send_approval", subject: "Hello" });
    expect(["approved", "approved_and_sent"]).toContain(decision.status);
    expect(listed.emails).toMatchObject([{ id: pending.email_id, subject: "Hello" }]);
    expect(log.entries.length).toBeGreaterThan(0);
  });

  it("the call that makes a tenant is one that `POST /setup` takes", async () => {
    const body = /^ {3}curl .*\/setup .*-d '(\{[\s\S]*?\})'$/m.exec(README)?.[1] ?? "";
    const { SETUP_TOKEN } = await loadSecrets(join(dir, ".dev.vars"));
    const response = await fetch(`${world.base_url}/setup`, {
      method: "POST",
      headers: { authorization: `Bearer ${SETUP_TOKEN}`, "content-type": "application/json" },
      body,
    });
    expect([response.status, Object.keys(Object(await response.json()).keys ?? {})]).toEqual([201, ["agent", "admin"]]);
  });

  it("`npm run demo` plays the main job again in that world, and leaves it running", async () => {
    const demo = runAsWritten("npm run demo");
    expect([await demo.ended, marks(demo.output()).failed], demo.output()).toEqual([0, 0]);
    expect(demo.output()).toContain(world.base_url);
    expect(await findWorld(dir)).not.toBeNull();
  }, 180_000);

  it("`npm run demo` ends with 1 and marks what failed when a sender's key is gone from the DNS", async () => {
    const { "s1._domainkey.customer.example": _gone, ...zones } = JSON.parse(readFileSync(world.zones_file, "utf8"));
    writeFileSync(world.zones_file, JSON.stringify(zones));
    const demo = runAsWritten("npm run demo");
    expect(await demo.ended, demo.output()).toBe(1);
    expect(demo.output()).toContain("✗ dkim_result is pass");
  }, 180_000);

  it("Ctrl-C stops `npm start` and leaves nothing behind", async () => {
    program.interrupt("SIGINT");
    await program.ended;
    expect(await program.gone()).toBe(true);
    expect(await findWorld(dir)).toBeNull();
  });
});
