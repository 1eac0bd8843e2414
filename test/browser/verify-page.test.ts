import { mkdtempSync, rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { VERIFY_PAGE_SCRIPT } from "../../clients/typescript/dist/verify-page-text.js";
import { apiOf } from "../../dev/api.ts";
import { mailTo } from "../../dev/outbox.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import { verifyRoutes } from "../../src/doors/verify.tsx";
import { killAll } from "../e2e/processes.ts";
import {
  type Answering,
  answeringWith,
  CheckingPage,
  dropFiles,
  expectNoMarkup,
  heading,
  MARKUP,
  reaches,
  said,
} from "../support/checking-page.ts";
import { expectUsable, PHONE, withPage } from "../support/chromium.ts";
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

const KEYS = `/v1/identity/public-key?tenant_id=${TENANT}`;
const published = answeringWith(keyDocument(["agents.example.com"]));
let checker: CheckingPage;

beforeAll(async () => {
  checker = await CheckingPage.start({
    path: "/verify",
    routes: verifyRoutes(),
    label: "The message, as an .eml file",
    published,
  });
  checker.keep("message.eml", await signedMail({ files: { "offer.bin": "an offer" } }));
  checker.keep("changed.eml", String(await signedMail()).replace("Bob@", "Eve@"));
  checker.keep("domain-form.eml", await signedMail({ domain_form: true }));
  // A browser asks one address once at a time, so this one is of another.
  const tenant_id = "ten_01HX0000000000000000000002";
  checker.keep("other-account.eml", await signedMail({ claim: { tenant_id } }));
  checker.keep("plain.eml", "From: Ana <ana@customer.example>\r\nSubject: Hi\r\n\r\nHello\r\n");
  checker.keep("noise.eml", Buffer.alloc(100_000, 255));
  checker.keep("large.eml", new Uint8Array(25 * 1024 * 1024 + 1));
}, 60_000);
afterAll(async () => {
  await checker?.stop();
  await killAll();
});
beforeEach(() => checker.reset());

const onPage: CheckingPage["open"] = (use, viewport) => checker.open(use, viewport);

async function pasteKey(page: Page, key: string, domains = ""): Promise<void> {
  await page.getByText("Use a key that I have").click();
  await page.getByLabel("Public key: PEM").fill(key);
  await page.getByLabel("Domains that its owner").fill(domains);
}

describe("what it says of a message", () => {
  it("verified: who wrote it, who allowed it, and by which key", () =>
    onPage(async (page) => {
      expect(await checker.choose(page, "message.eml")).toBe("Verified");
      const text = await said(page);
      for (const part of [
        FROM,
        "agt_support_responder_v2",
        "claude-sonnet-4-6",
        "a person decides each message before it leaves",
        "by a person, through a link in a mail",
        "2026-04-19T14:22:31.000Z",
        FINGERPRINT,
      ]) {
        expect(text).toContain(part);
      }
      expect(await page.locator(".checks .good").count()).toBe(3);
      expect(checker.asked).toEqual([`GET ${KEYS}`]);
      expect(await page.getByRole("status").textContent()).toMatch(/^Verified\. /);
      await checker.picture(page, "verified");
    }));

  it("not verified: why, and nothing of what it claims of an agent", () =>
    onPage(async (page) => {
      expect(await checker.choose(page, "changed.eml")).toBe("Not verified");
      const text = await said(page);
      expect(text).toContain("signature_invalid");
      expect(text).not.toContain("agt_support_responder_v2");
      expect(await page.locator(".checks .bad").count()).toBeGreaterThan(0);
      await checker.picture(page, "not-verified");
    }));

  const domainKey = DOMAIN_PUBLIC_PEM.split("\n").slice(1, -2).join("");
  it.each<[string, Answering, string, string]>([
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
  ])("in the domain-bound form: %s", (_name, answer, title, part) =>
    onPage(async (page) => {
      checker.answering = (response) =>
        (response.req.url?.startsWith("/v1/identity/pubkey/") ? answer : published)(response);
      expect(await checker.choose(page, "domain-form.eml")).toBe(title);
      expect(await said(page)).toContain(part);
      const query = new URLSearchParams({ domain: FROM.split("@")[1] ?? "", tenant_id: TENANT });
      expect(checker.asked).toEqual([`GET ${KEYS}`, `GET /v1/identity/pubkey/agt_support_responder_v2?${query}`]);
    }),
  );

  it("without identity headers: nobody is asked for any key", () =>
    onPage(async (page) => {
      expect(await checker.choose(page, "plain.eml")).toBe("No identity headers");
      expect(checker.asked).toEqual([]);
      await checker.picture(page, "unsigned");
    }));

  it.each<[string, Answering, string]>([
    ["of an account that this deployment does not know", (response) => response.writeHead(404).end(), "key_unknown"],
    [
      "of an account that may not write from that domain",
      (response) => response.writeHead(200).end(JSON.stringify(keyDocument(["other.example"]))),
      "foreign_domain",
    ],
  ])("%s: not verified", (_name, answer, reason) =>
    onPage(async (page) => {
      checker.answering = answer;
      expect(await checker.choose(page, "message.eml")).toBe("Not verified");
      expect(await said(page)).toContain(reason);
    }),
  );

  it.each<[string, Answering, RegExp]>([
    ["no answer", (response) => response.destroy(), /could not be fetched/],
    ["a breakdown", (response) => response.writeHead(503).end(), /answered 503/],
    ["an answer that is no key", (response) => response.writeHead(200).end("<html>"), /no key/],
  ])("%s where the keys should be: not checked, and why", (_name, answer, part) =>
    onPage(async (page) => {
      checker.answering = answer;
      expect(await checker.choose(page, "message.eml")).toBe("Not checked");
      expect(await said(page)).toMatch(part);
    }),
  );

  it("a file that is no mail, and one that is too large", () =>
    onPage(async (page) => {
      expect(["Not verified", "No identity headers"]).toContain(await checker.choose(page, "noise.eml"));
      await checker.offer(page, "large.eml");
      await page.getByText("This file is larger than 25 MiB").first().waitFor();
      expect(await heading(page)).toBe("Not checked");
      await checker.picture(page, "too-large");
    }));

  it("of two messages, the one chosen last, whichever keys arrive first", () =>
    onPage(async (page) => {
      const waiting: ServerResponse[] = [];
      checker.answering = (response) => void waiting.push(response);
      await checker.offer(page, "other-account.eml");
      await expect.poll(() => waiting.length).toBe(1);
      await checker.offer(page, "message.eml");
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
      expect(await checker.choose(page, "message.eml")).toBe("Verified");
      expect(await said(page)).toContain("you must know yourself");
      expect(checker.asked).toEqual([]);
      await checker.picture(page, "own-key");
      await page.getByLabel("Domains that its owner").fill("Agents.Example.com");
      await page.getByRole("button", { name: "Check the message" }).click();
      await expect.poll(() => said(page)).not.toContain("you must know yourself");
      expect(await heading(page)).toBe("Verified");
    }));

  it.each([
    ["of somebody else", OTHER_PEM, "", "Not verified", "signature_invalid"],
    ["with other domains", PUBLIC_PEM, "other.example", "Not verified", "foreign_domain"],
    ["that is none", "hello", "", "Not checked", "no key"],
    ["that is private", "-----BEGIN PRIVATE KEY-----", "", "Not checked", "private key"],
    ["with a domain that is none", PUBLIC_PEM, "me@agents.example.com", "Not checked", "is no domain"],
  ])("%s", (_name, key, domains, title, part) =>
    onPage(async (page) => {
      await pasteKey(page, key, domains);
      expect(await checker.choose(page, "message.eml")).toBe(title);
      expect(await said(page)).toContain(part);
      expect(checker.asked).toEqual([]);
    }),
  );

  it("with the domain's beside it, checks the domain-bound form", () =>
    onPage(async (page) => {
      await pasteKey(page, PUBLIC_PEM + DOMAIN_PUBLIC_PEM);
      expect(await checker.choose(page, "domain-form.eml")).toBe("Verified");
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

describe("dropping", () => {
  it("a file anywhere on the page checks it, and leaves the page where it is", () =>
    onPage(async (page) => {
      await dropFiles(page, [{ name: "dropped.eml", content: await signedMail() }]);
      expect(await heading(page)).toBe("Verified");
      expect(page.url()).toBe(checker.url);
    }));

  it("what is no file is told of", () =>
    onPage(async (page) => {
      await dropFiles(page, []);
      expect(await said(page)).toContain("That was no file");
    }));
});

it.each(["message.eml", "changed.eml", "plain.eml", "large.eml"])(
  "after %s nothing keeps anybody from using it",
  (name) =>
    expectUsable(checker.browser, checker.url, async (page) => {
      await checker.choose(page, name);
    }),
);

it("before anything was chosen nothing keeps anybody from using it", async () => {
  await expectUsable(checker.browser, checker.url);
  await onPage((page) => checker.picture(page, "start"));
});

it("without JavaScript it says so, and names the command line", () =>
  checker.expectCommand("npx multimail verify message.eml --key key.pem"));

describe("a stranger's mail", () => {
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
      await expectNoMarkup(page, async () => {
        await dropFiles(page, [{ name: `${MARKUP}\u202egnp.eml`, content: mail(TENANT) }]);
        expect(await heading(page)).toBe("Not verified");
      });
      expect(await said(page)).toContain("⟦U+202E⟧");
    }));

  it.each(["ten_x&format=pem", "../../v1/account", "ten_01/../../health", "http://evil.example/", MARKUP, ""])(
    "makes the page ask for nothing by calling its account %j",
    (tenant) =>
      onPage(async (page) => {
        await dropFiles(page, [{ name: "evil.eml", content: mail(tenant) }]);
        expect(await heading(page)).toBe("Not verified");
        expect(checker.asked).toEqual([]);
      }),
  );
});

describe("the page's policy", () => {
  it("lets it reach the published keys and nothing else, and text become no markup", () =>
    onPage(async (page) => {
      expect(await reaches(page, KEYS)).toBe(true);
      for (const path of ["/v1/account", "/v1/identity/public-key/x", "/verify", "http://127.0.0.1:1/"]) {
        expect(await reaches(page, path), path).toBe(false);
      }
      expect(checker.asked).toEqual([`GET ${KEYS}`]);
      const markup = `(() => { try { document.body.innerHTML = "<b>x</b>"; return true } catch { return false } })()`;
      expect(await page.evaluate(markup)).toBe(false);
    }));

  it("the script is kept for good under its own version only", async () => {
    const [src = ""] = /\/verify\/verifier\.js\?[0-9a-f]{16}/.exec(await (await fetch(checker.url)).text()) ?? [];
    const kept = await fetch(checker.origin + src);
    expect(kept.headers.get("cache-control")).toContain("immutable");
    expect((await kept.text()) === VERIFY_PAGE_SCRIPT).toBe(true);
    expect((await fetch(`${checker.url}/verifier.js?0`)).headers.get("cache-control")).toBe("no-cache");
    expect((await fetch(checker.url, { method: "POST" })).status).toBe(405);
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
    checker.keep("sent.eml", raw);
    checker.keep("forged.eml", String(raw).replace("reader@customer.example", "victim@customer.example"));
    await withPage(checker.browser, { viewport: PHONE }, async (page) => {
      await page.goto(`${world.base_url}/verify`);
      expect(await checker.choose(page, "sent.eml")).toBe("Verified");
      expect(await said(page)).toContain("greeter");
      await checker.offer(page, "forged.eml");
      await expect.poll(() => heading(page)).toBe("Not verified");
    });
  }, 120_000);
});
