import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeBundles } from "../../clients/typescript/build.js";
import { FINGERPRINT, OTHER_PEM, PUBLIC_PEM, type SignedMailOptions, signedMail } from "../support/signed-mail.ts";

// What docs/verifying.md tells people to do, done as it stands there.

const DOCS = readFileSync("docs/verifying.md", "utf8");

function block(language: string, holding: string): string {
  const blocks = [...DOCS.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)].filter(([, name]) => name === language);
  const found = blocks.find(([, , code = ""]) => code.includes(holding))?.[2];
  if (found === undefined) throw new Error(`docs/verifying.md has no ${language} block with ${holding}`);
  return found;
}

function has(program: string): boolean {
  return spawnSync(program, ["--version"]).status === 0 || spawnSync(program, ["version"]).status === 0;
}

const dir = mkdtempSync(join(tmpdir(), "recipes-"));
beforeAll(async () => {
  await writeBundles();
  writeFileSync(join(dir, "covered.py"), block("python", "multimail-message-v1"));
  writeFileSync(join(dir, "key.pem"), PUBLIC_PEM);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs the recipe for a message. @returns what openssl said, line by line. */
async function byHand(message: Uint8Array | string, key = PUBLIC_PEM): Promise<string[]> {
  for (const name of ["message", "identity", "approval"]) rmSync(join(dir, `${name}.sig`), { force: true });
  writeFileSync(join(dir, "message.eml"), message);
  writeFileSync(join(dir, "key.pem"), key);
  const { stdout, stderr } = spawnSync("bash", ["-c", block("sh", "covered.py")], { cwd: dir, encoding: "utf8" });
  return `${stdout}${stderr}`.split("\n").filter((line) => /^Verif|occurs|Traceback/.test(line));
}

const OK = "Verified OK";

describe.skipIf(!has("python3") || !has("openssl"))("with Python and openssl alone", () => {
  it.each<[string, SignedMailOptions]>([
    ["a message with an approval, HTML and files", { files: { "offer.bin": "an offer", "empty.bin": "" } }],
    ["a long subject in several scripts", { content: { subject: "東京 grüße 👋🏽 ".repeat(30).trim() } }],
    [
      "names with commas and quotes",
      { content: { to: [{ name: 'Núñez, "Ana"', address: "Ana.N@Customer.example" }] } },
    ],
    ["text alone, with blank lines at its end", { content: { html: null, text: "one\r\ntwo\n\n\n" } }],
  ])("%s: all three signatures hold", async (_name, options) => {
    expect(await byHand(await signedMail(options))).toEqual([OK, OK, OK]);
  });

  it("a message without an approval has two", async () => {
    expect(await byHand(await signedMail({ claim: { approval_ref: null, approval_kind: null } }))).toEqual([OK, OK]);
  });

  it("a changed recipient, a changed body and another key are seen", async () => {
    const raw = String(await signedMail({ content: { html: null, text: "Pay 100 to Ana" } }));
    const [message] = await byHand(raw.replace("Bob@", "Eve@"));
    expect(message).not.toBe(OK);
    const changed = await byHand(raw.replace("Pay 100", "Pay 900"));
    expect(changed.includes(OK), changed.join()).toBe(false);
    expect((await byHand(raw, OTHER_PEM)).includes(OK)).toBe(false);
    expect(await byHand(`From: Eve <eve@evil.example>\r\n${raw}`)).toContain("From occurs 2 times");
  });

  it("openssl computes the fingerprint that the key document names", () => {
    writeFileSync(join(dir, "key.pem"), PUBLIC_PEM);
    const out = execFileSync("bash", ["-c", block("sh", "openssl pkey")], { cwd: dir, encoding: "utf8" });
    expect(`SHA256:${out.trim().replace(/=+$/, "")}`).toBe(FINGERPRINT);
  });
});

it("the module's example runs, in one file that imports nothing", async () => {
  const raw = await signedMail();
  const module = pathToFileURL("clients/typescript/dist/verify.js").href;
  const example = block("js", "multimail/verify").replace('"multimail/verify"', JSON.stringify(module));
  const given = `const keyText = ${JSON.stringify(PUBLIC_PEM)};
    const file = new Blob([Buffer.from(${JSON.stringify(raw.toString("base64"))}, "base64")]);`;
  const program = join(dir, "example.mjs");
  writeFileSync(program, `${given}\n${example}`);
  const out = execFileSync(process.execPath, [program], { encoding: "utf8" });
  expect(out.trim()).toBe("agt_support_responder_v2 apr_01HX0000000000000000000077");
});
