import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeBundles } from "../../clients/typescript/build.js";
import { checkpointLine } from "../../src/audit/export-line.ts";
import { formatVerifierKey } from "../../src/audit/signed-note.ts";
import { multimail, NODES, runOn } from "../support/multimail-program.ts";
import { last, log, other, SIZE, thief, whole, witness } from "../support/tampered-log.ts";

// `multimail verify-audit`: an export is checked offline, and the first thing that is wrong is said.

const dir = mkdtempSync(join(tmpdir(), "multimail-audit-"));
const at = (name: string) => join(dir, name);

function put(name: string, lines: readonly string[] | string): string {
  writeFileSync(at(name), typeof lines === "string" ? lines : lines.map((line) => `${line}\n`).join(""));
  return at(name);
}

const WITNESS_KEY = formatVerifierKey(witness.key);

beforeAll(async () => {
  await writeBundles();
  put("export.ndjson", whole);
  put("opened.ndjson", log.lines({ opened: true }));
  put("part.ndjson", log.part(10, 30));
  put("witnessed.ndjson", whole.with(last, checkpointLine(witness.sign(log.checkpoint(), 1_790_000_000))));
  put("missing.ndjson", whole.toSpliced(20, 1));
  put("stolen.ndjson", whole.with(last, checkpointLine(log.checkpoint(SIZE, {}, thief))));
  put("other.ndjson", other.lines());
  put("key.txt", `${log.key}\n`);
  put("witness.txt", `${WITNESS_KEY}\n`);
  put("old.checkpoint", log.checkpoint(30));
  put("forged.checkpoint", log.checkpoint(30, {}, thief));
  put("newer.checkpoint", log.checkpoint());
  put("shorter.ndjson", log.lines({ size: 20 }));
  mkdirSync(at("folder"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.each(NODES)("on Node $version", ({ path }) => {
  it("an export holds: which log, how much of it, by which key, and it ends with 0", async () => {
    const { code, out, err } = await runOn(path, ["verify-audit", at("export.ndjson"), "--key", at("key.txt")]);
    expect([code, err]).toEqual([0, ""]);
    for (const said of [
      `${at("export.ndjson")}: holds`,
      "mbx_1",
      "50, from 0 to 49: the whole log",
      "2026-11-01T00:00:00.000Z to 2026-11-01T00:00:24.000Z",
      log.key,
      "no signature can tell",
    ]) {
      expect(out).toContain(said);
    }
    expect(out).not.toContain("personal");
  });

  it("an export with a line missing does not: where, which entry, why, and it ends with 1", async () => {
    const words = ["verify-audit", at("missing.ndjson"), "--key", log.key];
    const { code, out, err } = await runOn(path, words);
    expect([code, err]).toEqual([1, ""]);
    expect(out).toBe(
      `${at("missing.ndjson")}: does not hold\n  line 21, entry 20: Entry 20 is missing; entry 21 stands there. (gap)\n`,
    );
  });
});

describe("what is given", () => {
  it("standard input is read as it comes", async () => {
    const bytes = whole.map((line) => `${line}\n`).join("");
    const { code, out } = await multimail(["verify-audit", "-", "--key", log.key], bytes);
    expect([code, out.startsWith("-: holds\n")]).toEqual([0, true]);
  });

  it("as JSON: the verdict, one line a file", async () => {
    const files = [at("export.ndjson"), at("missing.ndjson")];
    const { code, out } = await multimail(["verify-audit", ...files, "--key", log.key, "--json"]);
    expect(code).toBe(1);
    const verdicts = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(verdicts).toEqual([
      expect.objectContaining({
        file: files[0],
        ok: true,
        log: "mbx_1",
        entries: SIZE,
        size: SIZE,
        signed_by: log.key,
      }),
      { file: files[1], ok: false, fault: { code: "gap", line: 21, seq: 20, message: expect.any(String) } },
    ]);
  });

  it("exports of several logs, with the key of each", async () => {
    const files = [at("export.ndjson"), at("other.ndjson")];
    expect((await multimail(["verify-audit", ...files, "--key", log.key, "--key", other.key])).code).toBe(0);
    expect((await multimail(["verify-audit", ...files, "--key", log.key])).code).toBe(1);
  });

  it("opened fields: how many, and that nothing covers them", async () => {
    const { code, out } = await multimail(["verify-audit", at("opened.ndjson"), "--key", log.key]);
    expect(code).toBe(0);
    expect(out).toContain("17 of the entries");
    expect(out).toContain("no signature covers them");
  });

  it("a part of a log says that it is one", async () => {
    const { code, out } = await multimail(["verify-audit", at("part.ndjson"), "--key", log.key]);
    expect(code).toBe(0);
    expect(out).toContain("20, from 10 to 29, of the 50 that the log had");
  });

  it.each<[string, string[], number, string]>([
    ["an older checkpoint that it grew out of", ["export.ndjson", "--after", at("old.checkpoint")], 0, "of 30 entries"],
    ["a newer checkpoint than its own", ["shorter.ndjson", "--after", at("newer.checkpoint")], 1, "(checkpoint_older)"],
    ["a witness who signed", ["witnessed.ndjson", "--witness", WITNESS_KEY], 0, "witness.example/w1 at 2026-09-21"],
    ["the same out of a file", ["witnessed.ndjson", "--witness", at("witness.txt")], 0, "witness.example/w1 at"],
    ["a witness who did not", ["export.ndjson", "--witness", WITNESS_KEY], 1, "(not_witnessed)"],
    ["the log that it is", ["export.ndjson", "--log", "mbx_1"], 0, "holds"],
    ["another log", ["export.ndjson", "--log", "ten_1"], 1, "(other_log)"],
    ["a key that somebody else signed with", ["stolen.ndjson"], 1, "(unknown_key)"],
  ])("%s", async (_what, [file = "", ...words], code, said) => {
    const ended = await multimail(["verify-audit", at(file), "--key", log.key, ...words]);
    expect([ended.code, ended.err]).toEqual([code, ""]);
    expect(ended.out).toContain(said);
  });
});

describe("a call that cannot be meant is told so, and ends with 2", () => {
  const file = at("export.ndjson");
  const key = ["--key", log.key];
  it.each<[string, string[], string]>([
    ["no file", key, "Name the export to check"],
    ["no key", [file], "A key that the export itself brings proves nothing"],
    ["a key that is none", [file, "--key", at("export.ndjson")], "This is no verifier key"],
    ["a changed key", [file, "--key", log.key.replace("mail.test", "mail.text")], "a character of it was changed"],
    ["the key of a witness", [file, "--key", WITNESS_KEY], "signs no log"],
    ["the key of a log as a witness's", [file, ...key, "--witness", log.key], "not of a witness"],
    ["a key that is not there", [file, "--key", at("nowhere")], "there is no such file"],
    ["a file that is not there", [at("nowhere"), ...key], "there is no such file"],
    ["a folder", [at("folder"), ...key], "it is a folder"],
    ["a checkpoint that is none", [file, ...key, "--after", at("key.txt")], "is no checkpoint"],
    ["a checkpoint that another signed", [file, ...key, "--after", at("forged.checkpoint")], "would prove nothing"],
    ["one checkpoint for two exports", [file, file, ...key, "--after", at("old.checkpoint")], "name one export"],
    ["standard input twice", ["-", "-", ...key], "can be read once only"],
    ["a key from standard input", [file, "--key=-"], "are read from files"],
    ["a log twice", [file, ...key, "--log", "a", "--log", "b"], "--log is given twice"],
    ["an option of verify", [file, ...key, "--agent", "a"], "multimail verify-audit has no option --agent"],
    ["an option that nobody has", [file, ...key, "--force"], "There is no option --force"],
  ])("%s", async (_what, words, said) => {
    const { code, out, err } = await multimail(["verify-audit", ...words]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(said);
  });

  it("an option of verify-audit is none of verify", async () => {
    const { code, err } = await multimail(["verify", file, "--key", file, "--after", file]);
    expect([code, err.includes("multimail verify has no option --after")]).toEqual([2, true]);
  });

  it("a file that cannot be read does not keep the others from being checked", async () => {
    const { code, out, err } = await multimail(["verify-audit", at("nowhere"), file, ...key]);
    expect([code, out.includes("export.ndjson: holds"), err.includes("nowhere")]).toEqual([2, true, true]);
  });
});

it("what a stranger wrote into an export reaches no terminal as it is", async () => {
  const hostile = put("hostile.ndjson", ['{"\u001b[31mred":1}']);
  const { out } = await multimail(["verify-audit", hostile, "--key", log.key]);
  expect(out).not.toContain("\u001b");
});

it("help names both commands and the options of each", async () => {
  const { code, out } = await multimail(["--help"]);
  expect(code).toBe(0);
  for (const said of [
    "multimail verify MESSAGE.eml",
    "multimail verify-audit EXPORT.ndjson",
    "--after FILE",
    "--witness KEY",
  ]) {
    expect(out).toContain(said);
  }
});
