import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiOf } from "../../dev/api.ts";
import { mailTo } from "../../dev/outbox.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import { pageHeaders } from "../../src/doors/approve/headers.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { killAll } from "../e2e/processes.ts";
import { DESK, expectUsable, follow, keepPictures, launchChromium, PHONE, withPage } from "../support/chromium.ts";
import { PAGES } from "../support/console-pages.tsx";

// The console in a real browser: every page can be used by everybody, on a phone and on a desk, in both colour schemes, without
// scripts; and a person signs in and decides in a whole world. With SCREENS=<folder> the pictures are kept there.

const SCREENS = process.env.SCREENS;

let browser: Browser;

beforeAll(async () => {
  browser = await launchChromium();
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await killAll();
});

describe("every page, on phone and desk, light and dark", () => {
  let url: string;
  const server = createServer((request, response) => {
    const page = PAGES[(request.url ?? "").slice(1)];
    if (page === undefined) response.writeHead(404).end();
    else response.writeHead(200, pageHeaders(url, url)).end(page);
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it.each(Object.keys(PAGES))("%s: nothing keeps anybody from using it", { timeout: 60_000 }, async (name) => {
    await expectUsable(browser, `${url}/${name}`);
    await keepPictures(browser, `${url}/${name}`, `console-${name}`, SCREENS);
  });

  it("what can be pressed is large enough for a thumb", async () => {
    await withPage(browser, { viewport: PHONE, javaScriptEnabled: false }, async (page) => {
      for (const name of ["sign-in", "enter", "queue-chosen", "results"]) {
        await page.goto(`${url}/${name}`);
        const targets =
          "button, .quiet, .pick, summary, input:not([type=hidden]):not([type=checkbox]), select, .button-link";
        for (const target of await page.locator(targets).all()) {
          if (!(await target.isVisible())) continue;
          const box = await target.boundingBox();
          expect(Math.round(box?.height ?? 0), await target.innerHTML()).toBeGreaterThanOrEqual(48);
        }
      }
    });
  });

  it("a box is checked by its whole cell, and by keyboard; the buttons come after the last row", async () => {
    await withPage(browser, { viewport: PHONE, javaScriptEnabled: false }, async (page) => {
      await page.goto(`${url}/queue`);
      const boxes = page.locator(".pick input");
      await page
        .locator(".pick")
        .first()
        .click({ position: { x: 3, y: 3 } });
      expect(await boxes.first().isChecked()).toBe(true);
      await boxes.nth(1).focus();
      await page.keyboard.press("Space");
      expect(await boxes.nth(1).isChecked()).toBe(true);
      await boxes.last().focus();
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      expect(await page.locator("button.approve:focus").count()).toBe(1);
    });
  });
});

describe("a person in a whole world", () => {
  const dir = mkdtempSync(join(tmpdir(), "console-"));
  let running: RunningWorld;

  beforeAll(async () => {
    running = await startWorld({ dir, port: 0 });
  }, 180_000);
  afterAll(async () => {
    await running?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function ask(subject: string, more: Record<string, unknown> = {}): Promise<SendAnswer> {
    const { world } = running;
    const mailbox = world.mailboxes.find(({ oversight_mode }) => oversight_mode === "gated_send");
    const json = { to: "customer@customer.example", subject, text: `${subject}, in full.`, ...more };
    return (await apiOf(world, world.keys.agent)("POST", `/v1/mailboxes/${mailbox?.id}/send`, json)).body as SendAnswer;
  }

  async function signIn(page: Page): Promise<void> {
    const { world } = running;
    await page.goto(world.console_url);
    await page.getByLabel("Your email address").fill(world.approver_email);
    const before = (await mailTo(world.outbox_dir, world.approver_email)).length;
    await follow(page, page.getByRole("button", { name: "Send me a link" }));
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Look into your inbox");
    const link = await until("the mail with the link", async () => {
      const mails = (await mailTo(world.outbox_dir, world.approver_email)).slice(before);
      const texts = mails.map(({ parsed }) => /\S+\/console\/enter\/\S+/.exec(parsed.text ?? "")?.[0]);
      return texts.find((text) => text !== undefined) ?? null;
    });
    await page.goto(link);
    await follow(page, page.getByRole("button", { name: "Sign in" }));
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("What waits for you");
  }

  it("signs in by mail, looks, approves two of three at once, changes the third, and signs out", {
    timeout: 120_000,
  }, async () => {
    const { world } = running;
    for (const subject of ["First offer", "Second offer", "Third offer"])
      expect((await ask(subject)).pending_id).toBeTruthy();
    await withPage(browser, { viewport: PHONE, javaScriptEnabled: false }, async (page, context) => {
      await signIn(page);
      const [cookie] = await context.cookies();
      expect(cookie).toMatchObject({ name: "multimail_console", httpOnly: true, sameSite: "Lax", secure: false });
      for (const subject of ["First offer", "Second offer"]) await page.getByLabel(`Select ${subject}`).check();
      await follow(page, page.getByRole("button", { name: "Approve selected" }));
      expect(await page.locator(".lede").textContent()).toBe("2 approved.");
      await follow(page, page.getByRole("link", { name: "Back to the queue" }));
      expect(await page.locator(".item").count()).toBe(1);

      await follow(page, page.getByRole("link", { name: "Third offer" }));
      await page.getByText("Change it before it is sent").click();
      await page.getByLabel("Subject").fill("Third and better offer");
      await follow(page, page.getByRole("button", { name: /^Approve with these changes/ }));
      expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Approved");
      await follow(page, page.getByRole("link", { name: "Back to the queue" }));
      expect(await page.locator("main").textContent()).toContain("Nothing waits for you here.");

      await follow(page, page.getByRole("button", { name: "Sign out", exact: true }));
      expect(await context.cookies()).toEqual([]);
      await page.goBack();
      await page.reload();
      expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Sign in to decide");
    });
    const subjects = await until("the three messages", async () => {
      const mails = await mailTo(world.outbox_dir, "customer@customer.example");
      return mails.length === 3 ? mails.map(({ parsed }) => parsed.subject) : null;
    });
    expect(subjects.sort()).toEqual(["First offer", "Second offer", "Third and better offer"]);
  });

  it("a page on another site decides nothing in their session", { timeout: 60_000 }, async () => {
    const { world } = running;
    await ask("Not by strangers");
    const evil = createServer((_request, response) => {
      const form = `<form method="post" action="${world.base_url}/console/queue"><input name="decision" value="approve"><button>Win</button></form>`;
      response.writeHead(200, { "content-type": "text/html" }).end(form);
    });
    await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve));
    try {
      await withPage(browser, { viewport: DESK }, async (page) => {
        await signIn(page);
        // Another site in the browser's eyes: localhost and 127.0.0.1 are not the same.
        const host = new URL(world.base_url).hostname === "localhost" ? "127.0.0.1" : "localhost";
        await page.goto(`http://${host}:${(evil.address() as AddressInfo).port}/`);
        const [answer] = await Promise.all([
          page.waitForResponse((response) => response.request().method() === "POST"),
          page.getByRole("button").click(),
        ]);
        expect(answer.status()).toBe(403);
        await page.goto(`${world.console_url}/queue`);
        expect(await page.locator(".item").count()).toBe(1);
      });
    } finally {
      await new Promise((resolve) => evil.close(resolve));
    }
  });
});
