import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundles, writeBundles } from "../../clients/typescript/build.js";
import { type Ended, multimail, NO_NETWORK, NODES, PROGRAM, runOn } from "../support/multimail-program.ts";
import {
  DOMAIN_PUBLIC_PEM,
  FINGERPRINT,
  FROM,
  keyDocument,
  OTHER_PEM,
  PUBLIC_JWK,
  PUBLIC_PEM,
  signedMail,
  TENANT,
} from "../support/signed-mail.ts";

// `multimail verify`, and the program as a whole.

const dir = mkdtempSync(join(tmpdir(), "multimail-"));
const at = (name: string) => join(dir, name);

function put(name: string, content: Uint8Array | string): string {
  writeFileSync(at(name), content);
  return at(name);
}

beforeAll(async () => {
  await writeBundles();
  put("message.eml", await signedMail({ files: { "offer.bin": "an offer" } }));
  put("changed.eml", String(await signedMail()).replace("Bob@", "Eve@"));
  put(
    "autonomous.eml",
    await signedMail({ claim: { oversight_mode: "autonomous", approval_ref: null, approval_kind: null } }),
  );
  put("domain-form.eml", await signedMail({ domain_form: true }));
  put("plain.eml", "From: Ana <ana@customer.example>\r\nSubject: Hi\r\n\r\nHello\r\n");
  put("key.pem", PUBLIC_PEM);
  put("key.json", JSON.stringify(PUBLIC_JWK));
  put("keys.json", JSON.stringify({ keys: [PUBLIC_JWK] }));
  put("document.json", JSON.stringify(keyDocument(["agents.example.com"])));
  put("elsewhere.json", JSON.stringify(keyDocument(["other.example"])));
  put("other.pem", OTHER_PEM);
  put("domain.pem", DOMAIN_PUBLIC_PEM);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const BARE = "must know yourself";

describe("the bundles", () => {
  it("need nothing but themselves: the program a few modules of Node that reach no network, the others nothing", async () => {
    const built = await bundles();
    expect([...(built.get("command.js")?.imports ?? [])].sort()).toEqual([
      "node:crypto",
      "node:fs",
      "node:process",
      "node:url",
      "node:util",
    ]);
    expect(built.get("verify.js")?.imports).toEqual([]);
    expect(built.get("verify-page.js")?.imports).toEqual([]);
    expect(built.get("verify-audit-page.js")?.imports).toEqual([]);
  });

  it("name the licences of what is in them", async () => {
    for (const [name, { text }] of await bundles()) expect(text, name).toContain("noble-curves - MIT License");
  });

  it.each([
    ["verify-page", "VERIFY_PAGE_SCRIPT"],
    ["verify-audit-page", "VERIFY_AUDIT_PAGE_SCRIPT"],
  ])("what the worker serves as %s is the script that was built", (name, constant) => {
    const module = readFileSync(`clients/typescript/dist/${name}-text.js`, "utf8");
    const script = readFileSync(`clients/typescript/dist/${name}.js`, "utf8");
    expect(module === `export const ${constant} = ${JSON.stringify(script)};\n`).toBe(true);
  });
});

it("the tests' guard does shut the network", async () => {
  const tries = 'try { await fetch("http://127.0.0.1:9") } catch (e) { console.log(e.message) }';
  const out = execFileSync(process.execPath, ["--import", NO_NETWORK, "--input-type=module", "-e", tries]);
  expect(String(out)).toContain("a way out of the process: fetch");
});

describe.each(NODES)("on Node $version", ({ path }) => {
  it("says that a message is verified, who wrote it and who allowed it, and ends with 0", async () => {
    const { code, out, err } = await runOn(path, ["verify", at("message.eml"), "--key", at("document.json")]);
    expect([code, err]).toEqual([0, ""]);
    const [first, ...rest] = out.split("\n");
    expect(first).toBe(`${at("message.eml")}: verified`);
    for (const said of [
      FROM,
      "agt_support_responder_v2",
      "claude-sonnet-4-6, by anthropic",
      "gated_send, a person decides each message before it leaves",
      "apr_01HX0000000000000000000077, by a person, through a link in a mail",
      "2026-04-19T14:22:31.000Z",
      TENANT,
      FINGERPRINT,
    ]) {
      expect(rest.join("\n")).toContain(said);
    }
    expect(rest.filter((line) => line.startsWith("  valid "))).toHaveLength(3);
    expect(out).not.toContain(BARE);
  });

  it("says that a changed message is not verified, why, and nothing of an agent, and ends with 1", async () => {
    const { code, out, err } = await runOn(path, ["verify", at("changed.eml"), "--key", at("document.json")]);
    expect([code, err]).toEqual([1, ""]);
    expect(out.split("\n")[0]).toBe(`${at("changed.eml")}: not verified`);
    expect(out).toMatch(/not valid {3}X-MultiMail-Signature: .* \(signature_invalid\)/);
    expect(out).not.toContain("agt_support_responder_v2");
  });
});

describe("what it takes as a key, and as a message", () => {
  it.each(["key.pem", "key.json", "keys.json", "document.json"])("%s", async (key) => {
    const { code, out } = await multimail(["verify", at("message.eml"), "--key", at(key)]);
    expect(code, out).toBe(0);
    expect(out.includes(BARE), "says that the key says nothing of domains").toBe(key !== "document.json");
  });

  it("a message from standard input", async () => {
    const message = readFileSync(at("message.eml"));
    const { code, out } = await multimail(["verify", "-", "--key", at("key.pem")], message);
    expect([code, out.split("\n")[0]]).toEqual([0, "-: verified"]);
  });

  it("several messages: the worst decides, and each is judged", async () => {
    const paths = ["message.eml", "changed.eml", "plain.eml"].map(at);
    const { code, out } = await multimail(["verify", ...paths, "--key", at("key.pem")]);
    expect(code).toBe(1);
    for (const [path, verdict] of [
      [paths[0], "verified"],
      [paths[1], "not verified"],
      [paths[2], "no identity headers"],
    ]) {
      expect(out).toContain(`${path}: ${verdict}\n`);
    }
  });

  it("a message in the domain-bound form needs the domain's key", async () => {
    const call = ["verify", at("domain-form.eml"), "--key", at("document.json")];
    expect((await multimail(call)).code).toBe(1);
    const { code, out } = await multimail([...call, "--ed25519", at("domain.pem")]);
    expect(code, out).toBe(0);
  });
});

describe("what is not verified", () => {
  it.each([
    ["a key of somebody else", ["message.eml", "--key", "other.pem"], "signature_invalid"],
    ["a document that lists other domains", ["message.eml", "--key", "elsewhere.json"], "foreign_domain"],
    [
      "a domain that the reader did not name",
      ["message.eml", "--key", "key.pem", "--domain", "x.example"],
      "foreign_domain",
    ],
    ["no identity headers", ["plain.eml", "--key", "key.pem"], "no identity headers"],
  ])("%s", async (_name, words, said) => {
    const call = words.map((word) => (/\.(eml|pem|json)$/.test(word) ? at(word) : word));
    const { code, out, err } = await multimail(["verify", ...call]);
    expect([code, err]).toEqual([1, ""]);
    expect(out).toContain(said);
  });

  it("the reader's domains take the place of the document's", async () => {
    const call = ["verify", at("message.eml"), "--key", at("elsewhere.json"), "--domain", "Agents.Example.com."];
    const { code, out } = await multimail(call);
    expect(code, out).toBe(0);
    expect(out).not.toContain(BARE);
  });
});

describe("what the reader demands", () => {
  it.each([
    [["--agent", "agt_support_responder_v2"], 0],
    [["--agent", "somebody-else"], 1],
    [["--mode", "gated_send,gated_all"], 0],
    [["--mode", "autonomous"], 1],
    [["--require-approval"], 0],
    [["--max-age", "36500d"], 0],
    [["--max-age", "1h"], 1],
  ])("%j ends with %i", async (words, code) => {
    const ended = await multimail(["verify", at("message.eml"), "--key", at("key.pem"), ...words]);
    expect(ended.code, ended.out).toBe(code);
    const [first] = ended.out.split("\n");
    expect(first?.endsWith(code === 0 ? ": verified" : ": verified, but it does not pass")).toBe(true);
  });

  it("a message that nobody approved does not pass --require-approval", async () => {
    const call = ["verify", at("autonomous.eml"), "--key", at("key.pem")];
    expect((await multimail(call)).code).toBe(0);
    expect((await multimail([...call, "--require-approval"])).code).toBe(1);
  });
});

describe("--json", () => {
  it("prints one object a line, in ASCII", async () => {
    const paths = ["message.eml", "changed.eml", "plain.eml"].map(at);
    const { code, out } = await multimail(["verify", ...paths, "--key", at("document.json"), "--json", "--agent", "x"]);
    expect(code).toBe(1);
    const [first, second, third] = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(first).toMatchObject({
      file: at("message.eml"),
      verified: true,
      passed: false,
      reasons: [],
      from: FROM,
      key: { fingerprint: FINGERPRINT },
      domains_unknown: false,
      agent_metadata: { agent_id: "agt_support_responder_v2", oversight_mode: "gated_send" },
      policy: { passed: false, results: [{ rule: "agent", passed: false }] },
    });
    expect(second).toMatchObject({ verified: false, agent_metadata: null, key: null });
    expect(third).toMatchObject({ verified: null, headers: [], claim: null });
  });
});

describe("calls that cannot be meant", () => {
  it.each([
    [[], "Say what to do"],
    [["check"], "There is no command check"],
    [["verify"], "Name the message"],
    [["verify", "a.eml"], "Say whose key you trust"],
    [["verify", "a.eml", "--key"], "--key needs a value"],
    [["verify", "a.eml", "--key", "--json"], "--key needs a value"],
    [["verify", "a.eml", "--key="], "--key needs a value"],
    [["verify", "a.eml", "--key=-"], "The key is read from a file"],
    [["verify", "a.eml", "--key", "k", "--key", "l"], "--key is given twice"],
    [["verify", "a.eml", "--key", "k", "--kee", "l"], "There is no option --kee"],
    [["verify", "a.eml", "--key", "k", "-x"], "There is no option -x"],
    [["verify", "a.eml", "--key", "k", "--__proto__", "l"], "There is no option --__proto__"],
    [["verify", "a.eml", "--key", "k", "--json=yes"], "--json takes no value"],
    [["verify", "a.eml", "--key", "k", "--max-age", "soon"], "--max-age soon is no time"],
    [["verify", "a.eml", "--key", "k", "--max-age", "0d"], "--max-age 0d is no time"],
    [["verify", "a.eml", "--key", "k", "--mode", "gated"], "There is no mode gated"],
    [["verify", "a.eml", "--key", "k", "--agent", "a b"], "--agent a b is no agent's id"],
    [["verify", "a.eml", "--key", "k", "--domain", "me@example.com"], "--domain me@example.com is no domain"],
    [["verify", "-", "-", "--key", "k"], "Standard input can be read once only"],
    [["verify", "a.eml", "--key", "k", "--\u001b[31m", "l"], "There is no option --⟦U+001B⟧[31m"],
  ])("%j", async (words, said) => {
    const { code, out, err } = await multimail(words);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(`multimail: ${said}`);
    expect(err).toContain("multimail --help");
    expect(err.trim().split("\n")).toHaveLength(2);
  });

  it("--help and --version are none of them", async () => {
    for (const words of [["--help"], ["-h"], ["help"], ["verify", "--help"]]) {
      const { code, out } = await multimail(words);
      expect([code, out.includes("--require-approval")]).toEqual([0, true]);
    }
    expect(await multimail(["--version"])).toMatchObject({ code: 0, out: "0.1.0\n" });
  });
});

describe("files that cannot be used are told of in one sentence", () => {
  const PRIVATE =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMuKw1bAf1moYnZctjptbb/myoE7SmMz1y+bGHVphQTI\n-----END PRIVATE KEY-----";
  it.each<[string, string, string, string]>([
    ["no message there", "gone.eml", "key.pem", "there is no such file"],
    ["a folder", "folder", "key.pem", "it is a folder"],
    ["no key there", "message.eml", "gone.pem", "there is no such file"],
    ["a folder as the key", "message.eml", "folder", "it is a folder"],
    ["a message as the key", "message.eml", "message.eml", "This is no key"],
    ["a private key", "message.eml", "private.pem", "This is a private key"],
    ["a key of another curve", "message.eml", "domain.pem", "not a P-256 key"],
    ["a key that is too large", "message.eml", "large.pem", "is larger than 64 KiB"],
    ["a list in place of a key", "message.eml", "list.json", "This JSON is a list"],
    ["a message that is too large", "large.eml", "key.pem", "is larger than 25 MiB"],
  ])("%s", async (_name, message, key, said) => {
    mkdirSync(at("folder"), { recursive: true });
    put("private.pem", PRIVATE);
    put("large.pem", "x".repeat(64 * 1024 + 1));
    put("list.json", "[1]");
    put("large.eml", new Uint8Array(25 * 1024 * 1024 + 1));
    const { code, out, err } = await multimail(["verify", at(message), "--key", at(key)]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(said);
    expect(err.trim().split("\n"), err).toHaveLength(1);
  });

  it("a device without an end", async () => {
    const { code, err } = await multimail(["verify", "/dev/zero", "--key", at("key.pem")]);
    expect([code, err]).toEqual([2, "multimail: /dev/zero is larger than 25 MiB.\n"]);
  });

  it("one of several: the others are judged all the same", async () => {
    const { code, out } = await multimail(["verify", at("gone.eml"), at("message.eml"), "--key", at("key.pem")]);
    expect([code, out.split("\n")[0]]).toEqual([2, `${at("message.eml")}: verified`]);
  });
});

describe("whatever the file holds, there is a verdict", () => {
  const noise = Buffer.alloc(3_000_000, Buffer.from([0, 255, 27, 91, 13, 10, 45, 45, 128, 7, 46]));
  it.each<[string, Uint8Array | string]>([
    ["nothing", ""],
    ["three megabytes of noise", noise],
    ["a header of 100 KB", `X-MultiMail-Signature: ${"a".repeat(100_000)}\r\nFrom: a@b.example\r\n\r\nx`],
    ["base64 garbage", "X-MultiMail-Identity: %%%.===\r\nX-MM-Identity-Sig: ;;;=\r\nFrom: a@b.example\r\n\r\nx"],
    ["ten thousand identity headers", `${"X-MultiMail-Signature: 30\r\n".repeat(10_000)}From: a@b.example\r\n\r\nx`],
    ["deep JSON", `X-MultiMail-Identity: ${Buffer.from("[".repeat(600)).toString("base64url")}.AA\r\n\r\nx`],
  ])("%s", async (_name, content) => {
    const { code, out, err } = await multimail(["verify", put("odd.eml", content), "--key", at("key.pem")]);
    expect([code, err]).toEqual([1, ""]);
    expect(out).toMatch(/odd\.eml: (not verified|no identity headers)\n/);
  });
});

describe("a stranger's mail commands no terminal", () => {
  // Clears the screen, sets the title, writes elsewhere; with C1 codes, reordering and invisible characters.
  const EVIL = "\u001b[2J\u001b]0;owned\u0007\u009b31m\u202ethgir\u200b\r\u0008";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there.
  const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]/;
  const claim = Buffer.from(JSON.stringify({ agent_id: EVIL, tenant_id: EVIL, kid: EVIL, mailbox: EVIL }));
  const mail = [
    `X-MultiMail-Identity: ${claim.toString("base64url")}.MEUC`,
    `X-MM-Identity-Sig: tenant=${EVIL}; agent=${EVIL}; oversight=${EVIL}; sig=AAAA`,
    `X-MultiMail-Agent-Id: ${EVIL}`,
    `X-MultiMail-Signature: ${EVIL}`,
    `From: "${EVIL}" <a${EVIL}@b.example>`,
    "",
    EVIL,
  ].join("\r\n");

  it.each([[[]], [["--json"]]])("with %j", async (words) => {
    const name = put(`evil\u001b[31m\u009b.eml`, mail);
    const ended = await multimail([
      "verify",
      name,
      at(`gone${EVIL.replace("\r", "")}`),
      "--key",
      at("key.pem"),
      ...words,
    ]);
    expect(ended.code).toBe(2);
    expect(ended.out).not.toMatch(OBEYED);
    expect(ended.err).not.toMatch(OBEYED);
    expect(ended.out).not.toBe("");
  });
});

it("a reader that has read enough ends it without a word", async () => {
  const child = spawn("bash", ["-c", `${process.execPath} ${PROGRAM} --help | true; echo "$\{PIPESTATUS[0]}"`]);
  const ended = await new Promise<Ended>((resolve) => {
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("close", (code) => resolve({ code, out, err }));
  });
  expect([ended.err, ended.out.trim()]).toEqual(["", "0"]);
});
