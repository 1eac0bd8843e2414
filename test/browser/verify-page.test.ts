import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { VERIFY_PAGE_SCRIPT } from "../../clients/typescript/dist/verify-page-text.js";
import { apiOf } from "../../dev/api.ts";
import { mailTo } from "../../dev/outbox.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import { verifyRoutes } from "../../src/doors/verify.tsx";
import { killAll } from "../e2e/processes.ts";
import { DESK, expectUsable, launchChromium, PHONE, withPage } from "../support/chromium.ts";
import {
  DOMAIN_PUBLIC_PEM,
  FINGERPRINT,
  FROM,
  keyDocument,
  OTHER_PEM,
  PUBLIC_PEM,
  signedMail,
  TENANT,
} from "../support/signed-mail.ts";

// The page /verify in a real browser: what it says of mail, what it asks for, and that a stranger's mail makes it do nothing else.
// With SCREENS=<folder> the pictures are kept there.

const SCREENS = process.env.SCREENS;
const KEYS = `/v1/identity/public-key?tenant_id=${TENANT}`;

const dir = mkdtempSync(join(tmpdir(), "verify-page-"));
const at = (name: string) => join(dir, name);

let browser: Browser;
let url: string;
/** What the page asked for besides itself, and whether anything was sent along. */
let asked: string[] = [];
type Keys = (response: ServerResponse) => void;
const published: Keys = (response) => {
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(JSON.stringify(keyDocument(["agents.example.com"])));
};
let keys: Keys = published;

const routes = new Hono().route("/", verifyRoutes());
const server = createServer(async (request, response) => {
  const address = `http://${request.headers.host}${request.url}`;
  if (request.url?.startsWith("/v1/")) {
    asked.push(`${request.method} ${request.url}`);
    keys(response);
    return;
  }
  const answer = await routes.fetch(new Request(address, { method: request.method ?? "GET" }), { PUBLIC_URL: url });
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
});

beforeAll(async () => {
  browser = await launchChromium();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  writeFileSync(at("message.eml"), await signedMail({ files: { "offer.bin": "an offer" } }));
  writeFileSync(at("changed.eml"), String(await signedMail()).replace("Bob@", "Eve@"));
  writeFileSync(at("domain-form.eml"), await signedMail({ domain_form: true }));
  // A browser asks one address once at a time, so this one is of another.
  const tenant_id = "ten_01HX0000000000000000000002";
  writeFileSync(at("other-account.eml"), await signedMail({ claim: { tenant_id } }));
  writeFileSync(at("plain.eml"), "From: Ana <ana@customer.example>\r\nSubject: Hi\r\n\r\nHello\r\n");
  writeFileSync(at("noise.eml"), Buffer.alloc(100_000, 255));
  writeFileSync(at("large.eml"), new Uint8Array(25 * 1024 * 1024 + 1));
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await new Promise((resolve) => server.close(resolve));
  await killAll();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  asked = [];
  keys = published;
});

/** Chooses a file. @returns the heading of what the page says of it. */
async function choose(page: Page, name: string): Promise<string> {
  await page.getByLabel("The message, as an .eml file").setInputFiles(at(name));
  return heading(page);
}

async function heading(page: Page): Promise<string> {
  await page.locator("#answer h2").waitFor();
  return (await page.locator("#answer h2").textContent()) ?? "";
}

async function pasteKey(page: Page, key: string, domains = ""): Promise<void> {
  await page.getByText("Use a key that I have").click();
  await page.getByLabel("Public key: PEM").fill(key);
  await page.getByLabel("Domains that its owner").fill(domains);
}

async function onPage(use: (page: Page) => Promise<void>, viewport = DESK): Promise<void> {
  await withPage(browser, { viewport }, async (page) => {
    await page.goto(`${url}/verify`);
    await use(page);
  });
}

async function picture(page: Page, name: string): Promise<void> {
  if (!SCREENS) return;
  mkdirSync(SCREENS, { recursive: true });
  for (const [look, size] of [
    ["phone", PHONE],
    ["desk", DESK],
  ] as const) {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(size);
      await page.screenshot({ path: join(SCREENS, `verify-${name}-${look}-${colorScheme}.png`), fullPage: true });
    }
  }
}

describe("what it says of a message", () => {
  it("verified: who wrote it, who allowed it, and by which key", () =>
    onPage(async (page) => {
      expect(await choose(page, "message.eml")).toBe("Verified");
      const text = (await page.locator("#answer").textContent()) ?? "";
      for (const said of [
        FROM,
        "agt_support_responder_v2",
        "claude-sonnet-4-6",
        "a person decides each message before it leaves",
        "by a person, through a link in a mail",
        "2026-04-19T14:22:31.000Z",
        FINGERPRINT,
      ]) {
        expect(text).toContain(said);
      }
      expect(await page.locator(".checks .good").count()).toBe(3);
      expect(asked).toEqual([`GET ${KEYS}`]);
      expect(await page.getByRole("status").textContent()).toMatch(/^Verified\. /);
      await picture(page, "verified");
    }));

  it("not verified: why, and nothing of what it claims of an agent", () =>
    onPage(async (page) => {
      expect(await choose(page, "changed.eml")).toBe("Not verified");
      const text = (await page.locator("#answer").textContent()) ?? "";
      expect(text).toContain("signature_invalid");
      expect(text).not.toContain("agt_support_responder_v2");
      expect(await page.locator(".checks .bad").count()).toBeGreaterThan(0);
      await picture(page, "not-verified");
    }));

  const domainKey = DOMAIN_PUBLIC_PEM.split("\n").slice(1, -2).join("");
  it.each<[string, Keys, string, string]>([
    [
      "verified where the deployment publishes the domain's key",
      (response) => response.writeHead(200).end(JSON.stringify({ public_key_der: domainKey })),
      "Verified",
      "The signature holds.",
    ],
    ["not verified where it has none", (response) => response.writeHead(422).end("{}"), "Not verified", "key_unknown"],
    [
      "not verified where it knows no such agent",
      (response) => response.writeHead(404).end(),
      "Not verified",
      "key_unknown",
    ],
    ["not checked where it breaks down", (response) => response.writeHead(503).end(), "Not checked", "answered 503"],
  ])("in the domain-bound form: %s", (_name, answer, title, said) =>
    onPage(async (page) => {
      keys = (response) => (response.req.url?.startsWith("/v1/identity/pubkey/") ? answer : published)(response);
      expect(await choose(page, "domain-form.eml")).toBe(title);
      expect(await page.locator("#answer").textContent()).toContain(said);
      const query = new URLSearchParams({ domain: FROM.split("@")[1] ?? "", tenant_id: TENANT });
      expect(asked).toEqual([`GET ${KEYS}`, `GET /v1/identity/pubkey/agt_support_responder_v2?${query}`]);
    }),
  );

  it("without identity headers: nobody is asked for any key", () =>
    onPage(async (page) => {
      expect(await choose(page, "plain.eml")).toBe("No identity headers");
      expect(asked).toEqual([]);
      await picture(page, "unsigned");
    }));

  it.each<[string, Keys, string]>([
    ["of an account that this deployment does not know", (response) => response.writeHead(404).end(), "key_unknown"],
    [
      "of an account that may not write from that domain",
      (response) => response.writeHead(200).end(JSON.stringify(keyDocument(["other.example"]))),
      "foreign_domain",
    ],
  ])("%s: not verified", (_name, answer, reason) =>
    onPage(async (page) => {
      keys = answer;
      expect(await choose(page, "message.eml")).toBe("Not verified");
      expect(await page.locator("#answer").textContent()).toContain(reason);
    }),
  );

  it.each<[string, Keys, RegExp]>([
    ["no answer", (response) => response.destroy(), /could not be fetched/],
    ["a breakdown", (response) => response.writeHead(503).end(), /answered 503/],
    ["an answer that is no key", (response) => response.writeHead(200).end("<html>"), /no key/],
  ])("%s where the keys should be: not checked, and why", (_name, answer, said) =>
    onPage(async (page) => {
      keys = answer;
      expect(await choose(page, "message.eml")).toBe("Not checked");
      expect(await page.locator("#answer").textContent()).toMatch(said);
    }),
  );

  it("a file that is no mail, and one that is too large", () =>
    onPage(async (page) => {
      expect(["Not verified", "No identity headers"]).toContain(await choose(page, "noise.eml"));
      await page.getByLabel("The message, as an .eml file").setInputFiles(at("large.eml"));
      await page.getByText("This file is larger than 25 MiB").first().waitFor();
      expect(await heading(page)).toBe("Not checked");
      await picture(page, "too-large");
    }));

  it("of two messages, the one chosen last, whichever keys arrive first", () =>
    onPage(async (page) => {
      const waiting: ServerResponse[] = [];
      keys = (response) => void waiting.push(response);
      const input = page.getByLabel("The message, as an .eml file");
      await input.setInputFiles(at("other-account.eml"));
      await expect.poll(() => waiting.length).toBe(1);
      await input.setInputFiles(at("message.eml"));
      await expect.poll(() => waiting.length).toBe(2);
      for (const response of waiting.toReversed()) {
        const answered = page.waitForResponse((each) => each.url().includes("public-key"));
        published(response);
        await (await answered).finished();
      }
      expect(await heading(page)).toBe("Verified");
    }));
});

describe("a key of one's own", () => {
  it("is used, nothing is fetched, and whose domain it is stays with the reader", () =>
    onPage(async (page) => {
      await pasteKey(page, PUBLIC_PEM);
      expect(await choose(page, "message.eml")).toBe("Verified");
      expect(await page.locator("#answer").textContent()).toContain("you must know yourself");
      expect(asked).toEqual([]);
      await picture(page, "own-key");
      await page.getByLabel("Domains that its owner").fill("Agents.Example.com");
      await page.getByRole("button", { name: "Check the message" }).click();
      await expect.poll(() => page.locator("#answer").textContent()).not.toContain("you must know yourself");
      expect(await heading(page)).toBe("Verified");
    }));

  it.each([
    ["of somebody else", OTHER_PEM, "", "Not verified", "signature_invalid"],
    ["with other domains", PUBLIC_PEM, "other.example", "Not verified", "foreign_domain"],
    ["that is none", "hello", "", "Not checked", "no key"],
    ["that is private", "-----BEGIN PRIVATE KEY-----", "", "Not checked", "private key"],
    ["with a domain that is none", PUBLIC_PEM, "me@agents.example.com", "Not checked", "is no domain"],
  ])("%s", (_name, key, domains, title, said) =>
    onPage(async (page) => {
      await pasteKey(page, key, domains);
      expect(await choose(page, "message.eml")).toBe(title);
      expect(await page.locator("#answer").textContent()).toContain(said);
      expect(asked).toEqual([]);
    }),
  );

  it("with the domain's beside it, checks the domain-bound form", () =>
    onPage(async (page) => {
      await pasteKey(page, PUBLIC_PEM + DOMAIN_PUBLIC_PEM);
      expect(await choose(page, "domain-form.eml")).toBe("Verified");
    }));
});

describe("without a mouse", () => {
  it("the form is walked through in its order, and sent by Enter", () =>
    onPage(async (page) => {
      const stops = [];
      for (let n = 0; n < 4; n++) {
        await page.keyboard.press("Tab");
        stops.push(await page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"));
      }
      expect(stops).toEqual(["Skip to the form", "message", "Use a key that I have", "Check the message"]);
      await page.keyboard.press("Enter");
      expect(await heading(page)).toBe("Not checked");
      expect(await page.evaluate("document.activeElement.id")).toBe("message");
    }));

  it("what can be pressed is large enough for a thumb", () =>
    onPage(async (page) => {
      await page.getByText("Use a key that I have").click();
      for (const target of await page.locator("button, summary, input, textarea").all()) {
        const box = await target.boundingBox();
        expect(Math.round(box?.height ?? 0), await target.evaluate((e) => e.outerHTML)).toBeGreaterThanOrEqual(48);
      }
    }, PHONE));
});

/** Drops files on the page, as a browser does. */
async function dropFiles(page: Page, files: { name: string; content: string }[]): Promise<void> {
  const transfer = await page.evaluateHandle(
    `(() => {
      const transfer = new DataTransfer();
      for (const { name, content } of ${JSON.stringify(files)})
        transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
      return transfer;
    })()`,
  );
  await page.dispatchEvent("main", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
}

describe("dropping", () => {
  it("a file anywhere on the page checks it, and leaves the page where it is", () =>
    onPage(async (page) => {
      await dropFiles(page, [{ name: "dropped.eml", content: (await signedMail()).toString("base64") }]);
      expect(await heading(page)).toBe("Verified");
      expect(page.url()).toBe(`${url}/verify`);
    }));

  it("what is no file is told of", () =>
    onPage(async (page) => {
      await dropFiles(page, []);
      expect(await page.locator("#answer").textContent()).toContain("That was no file");
    }));
});

it.each(["message.eml", "changed.eml", "plain.eml", "large.eml"])(
  "after %s nothing keeps anybody from using it",
  (name) =>
    expectUsable(browser, `${url}/verify`, async (page) => {
      await choose(page, name);
    }),
);

it("before anything was chosen nothing keeps anybody from using it", async () => {
  await expectUsable(browser, `${url}/verify`);
  await onPage((page) => picture(page, "start"));
});

it("without JavaScript it says so, and names the command line", () =>
  withPage(browser, { viewport: PHONE, javaScriptEnabled: false }, async (page) => {
    await page.goto(`${url}/verify`);
    expect(await page.locator("noscript").textContent()).toContain("npx multimail verify message.eml --key key.pem");
    expect(await page.locator("form").isVisible()).toBe(false);
    await picture(page, "no-script");
  }));

describe("a stranger's mail", () => {
  const MARKUP = `<img src=x onerror="window.owned=1"><script>window.owned=1</script><a href="javascript:owned=1">x</a>`;
  const claim = { agent_id: MARKUP, tenant_id: MARKUP, kid: MARKUP, mailbox: MARKUP, email_id: "\u202egnp.exe" };
  const payload = Buffer.from(JSON.stringify(claim)).toString("base64url");
  const mail = (tenant: string) =>
    [
      `X-MultiMail-Identity: ${payload}.MEUC`,
      `X-MM-Identity-Sig: tenant=${MARKUP}; agent=${MARKUP}; oversight=${MARKUP}; sig=AAAA`,
      `X-MultiMail-Agent-Id: ${MARKUP}`,
      `X-MultiMail-Tenant: ${tenant}`,
      "X-MultiMail-Oversight-Mode: autonomous",
      `X-MultiMail-Signature: ${MARKUP}`,
      `From: "${MARKUP.replaceAll('"', "'")}" <ana@customer.example>`,
      "",
      MARKUP,
    ].join("\r\n");

  it("becomes no markup, runs no script, and its file's name neither", () =>
    onPage(async (page) => {
      const before = await page.evaluate<number>("document.querySelectorAll('img,script,a').length");
      const content = Buffer.from(mail(TENANT)).toString("base64");
      await dropFiles(page, [{ name: `${MARKUP}\u202egnp.eml`, content }]);
      expect(await heading(page)).toBe("Not verified");
      expect(await page.evaluate("document.querySelectorAll('img,script,a').length")).toBe(before);
      expect(await page.evaluate("window.owned")).toBeUndefined();
      expect(await page.locator("#answer").textContent()).toContain("⟦U+202E⟧");
    }));

  it.each(["ten_x&format=pem", "../../v1/account", "ten_01/../../health", "http://evil.example/", MARKUP, ""])(
    "makes the page ask for nothing by calling its account %j",
    (tenant) =>
      onPage(async (page) => {
        const content = Buffer.from(mail(tenant)).toString("base64");
        await dropFiles(page, [{ name: "evil.eml", content }]);
        expect(await heading(page)).toBe("Not verified");
        expect(asked).toEqual([]);
      }),
  );
});

describe("the page's policy", () => {
  it("lets it reach the published keys and nothing else, and text become no markup", () =>
    onPage(async (page) => {
      const fetches = (path: string) =>
        page.evaluate<boolean>(`fetch(${JSON.stringify(path)}, {mode: "no-cors"}).then(() => true, () => false)`);
      expect(await fetches(KEYS)).toBe(true);
      for (const path of ["/v1/account", "/v1/identity/public-key/x", "/verify", "http://127.0.0.1:1/"]) {
        expect(await fetches(path), path).toBe(false);
      }
      expect(asked).toEqual([`GET ${KEYS}`]);
      const markup = `(() => { try { document.body.innerHTML = "<b>x</b>"; return true } catch { return false } })()`;
      expect(await page.evaluate(markup)).toBe(false);
    }));

  it("the script is kept for good under its own version only", async () => {
    const [src = ""] = /\/verify\/verifier\.js\?[0-9a-f]{16}/.exec(await (await fetch(`${url}/verify`)).text()) ?? [];
    const kept = await fetch(url + src);
    expect(kept.headers.get("cache-control")).toContain("immutable");
    expect((await kept.text()) === VERIFY_PAGE_SCRIPT).toBe(true);
    expect((await fetch(`${url}/verify/verifier.js?0`)).headers.get("cache-control")).toBe("no-cache");
    expect((await fetch(`${url}/verify`, { method: "POST" })).status).toBe(405);
  });
});

describe("in a whole world", () => {
  const worldDir = mkdtempSync(join(tmpdir(), "verify-world-"));
  let running: RunningWorld;
  beforeAll(async () => {
    running = await startWorld({ dir: worldDir, port: 0 });
  }, 180_000);
  afterAll(async () => {
    await running?.stop();
    rmSync(worldDir, { recursive: true, force: true });
  });

  it("a mail that an agent sent is verified by whoever got it, and not once it was changed", async () => {
    const { world } = running;
    const mailbox = world.mailboxes.find(({ oversight_mode }) => oversight_mode === "autonomous");
    const json = { to: "reader@customer.example", subject: "Grüße ✓", markdown: "Hello **you**", agent_id: "greeter" };
    await apiOf(world, world.keys.agent)("POST", `/v1/mailboxes/${mailbox?.id}/send`, json);
    const raw = await until("the mail", async () => {
      const [mail] = await mailTo(world.outbox_dir, "reader@customer.example");
      return mail?.raw ?? null;
    });
    writeFileSync(at("sent.eml"), raw);
    writeFileSync(at("forged.eml"), String(raw).replace("reader@customer.example", "victim@customer.example"));
    await withPage(browser, { viewport: PHONE }, async (page) => {
      await page.goto(`${world.base_url}/verify`);
      expect(await choose(page, "sent.eml")).toBe("Verified");
      expect(await page.locator("#answer").textContent()).toContain("greeter");
      await page.getByLabel("The message, as an .eml file").setInputFiles(at("forged.eml"));
      await expect.poll(() => heading(page)).toBe("Not verified");
    });
  }, 120_000);
});
