import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiOf } from "../../dev/api.ts";
import { mailTo } from "../../dev/outbox.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import { killAll } from "../e2e/processes.ts";
import { heading, said } from "../support/checking-page.ts";
import { DESK, expectUsable, follow, keepLooks, launchChromium, PHONE, withPage } from "../support/chromium.ts";

// The operator checks the account's logs in a real browser, against a whole world. With SCREENS=<folder> the pictures are kept.

const dir = mkdtempSync(join(tmpdir(), "console-audit-"));

let browser: Browser;
let running: RunningWorld;
/** The operator's session. */
let cookies: Awaited<ReturnType<BrowserContext["cookies"]>>;
let url: string;
let mailbox: { id: string; address: string };

async function signIn(page: Page, address: string): Promise<void> {
  const { console_url, outbox_dir } = running.world;
  const before = (await mailTo(outbox_dir, address)).length;
  await page.goto(console_url);
  await page.getByLabel("Your email address").fill(address);
  await follow(page, page.getByRole("button", { name: "Send me a link" }));
  const link = await until("the mail with the link", async () => {
    const texts = (await mailTo(outbox_dir, address)).slice(before).map(({ parsed }) => parsed.text ?? "");
    return texts.flatMap((text) => /\S+\/console\/enter\/\S+/.exec(text) ?? [])[0] ?? null;
  });
  await page.goto(link);
  await follow(page, page.getByRole("button", { name: "Sign in" }));
}

beforeAll(async () => {
  browser = await launchChromium();
  running = await startWorld({ dir, port: 0 });
  const { world } = running;
  const found = world.mailboxes.find(({ oversight_mode }) => oversight_mode === "gated_send");
  if (!found) throw new Error("the world has no mailbox where sending waits");
  mailbox = found;
  url = `${world.console_url}/audit`;
  const send = apiOf(world, world.keys.agent);
  for (const subject of ["First offer", "Second offer", "Third offer"]) {
    const json = { to: "customer@customer.example", subject, text: "Hello" };
    expect((await send("POST", `/v1/mailboxes/${mailbox.id}/send`, json)).status).toBe(202);
  }
  await withPage(browser, { viewport: DESK }, async (page, context) => {
    await signIn(page, world.operator_email);
    cookies = await context.cookies();
  });
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await running?.stop();
  await killAll();
  rmSync(dir, { recursive: true, force: true });
});

/** Uses the page of the logs in the operator's session. */
async function onPage(use: (page: Page) => Promise<void>, viewport = DESK): Promise<void> {
  await withPage(browser, { viewport }, async (page, context) => {
    await context.addCookies(cookies);
    await page.goto(url);
    await use(page);
  });
}

const rowOf = (page: Page, log: string) => page.locator("li", { has: page.locator(`[data-log="${log}"]`) });

/** Checks a log. @returns the heading of what the page says of it. */
async function check(page: Page, log: string): Promise<string> {
  const row = rowOf(page, log);
  await row.getByRole("button").click();
  // The answer moves beside the button that was pressed; the label comes back once it is there.
  await row.getByRole("button", { name: "Check in this browser" }).waitFor();
  await row.locator("#answer h2").waitFor();
  return (await row.locator("#answer h2").textContent()) ?? "";
}

/** Has what the server answers to an export changed on its way. */
async function tamper(page: Page, change: (text: string) => string, log = mailbox.id): Promise<void> {
  await page.route("**/console/audit/export?*", async (route) => {
    const response = await route.fetch({ url: `${url}/export?log=${log}` });
    await route.fulfill({ response, body: change(await response.text()) });
  });
}

/** The name of the account's log: the first one that is listed. */
const accountsLog = async (page: Page) => (await page.locator("[data-log]").first().getAttribute("data-log")) ?? "";

/** Has the export end in an error after its first octets, as a connection that is lost does. */
async function breakOff(page: Page): Promise<void> {
  await page.evaluate(`{
    const [real, parts] = [window.fetch, [new TextEncoder().encode('{"action":')]];
    const pull = (controller) => {
      const part = parts.pop();
      if (part) controller.enqueue(part);
      else controller.error(new TypeError("lost"));
    };
    window.fetch = (path, options) =>
      path.startsWith("/console/audit/export") ? Promise.resolve(new Response(new ReadableStream({ pull }))) : real(path, options);
  }`);
}

const picture = (page: Page, name: string) => keepLooks(page, `console-audit-${name}`, process.env.SCREENS);

describe("the operator's check of a log", () => {
  it("holds: which log, all of it, under which checkpoint, and by whose word the key is right", () =>
    onPage(async (page) => {
      await follow(page, page.getByRole("link", { name: "Queue" }));
      await follow(page, page.getByRole("link", { name: "Audit log" }));
      await picture(page, "start");
      expect(await check(page, mailbox.id)).toBe("Holds");
      const text = await said(page);
      const { host } = new URL(url);
      for (const part of [mailbox.address, mailbox.id, ": the whole log", `/logs/${mailbox.id}`, `Key from${host}`]) {
        expect(text).toContain(part);
      }
      expect(text).not.toContain("Opened");
      expect(await page.getByRole("status").textContent()).toMatch(/^Holds\. /);
      await picture(page, "holds");
    }));

  it("holds for the account's own log too, and the newest check's answer stands beside its button", () =>
    onPage(async (page) => {
      expect(await check(page, mailbox.id)).toBe("Holds");
      const accounts = await accountsLog(page);
      expect(accounts).toMatch(/^ten_/);
      expect(await check(page, accounts)).toBe("Holds");
      expect(await said(page)).toContain(accounts);
      expect(await page.locator("#answer").count()).toBe(1);
    }));

  it.each<[string, (text: string) => string, RegExp]>([
    ["one byte of an entry is another", (text) => text.replace('"message.held"', '"message.hold"'), /wrong_hash/],
    ["an entry is left out", (text) => text.split("\n").toSpliced(1, 1).join("\n"), /gap/],
    ["the end is cut off", (text) => `${text.trim().split("\n").slice(0, -1).join("\n")}\n`, /truncated/],
  ])("does not hold where %s", (_what, change, fault) =>
    onPage(async (page) => {
      await tamper(page, change);
      expect(await check(page, mailbox.id)).toBe("Does not hold");
      expect(await said(page)).toMatch(fault);
      if (fault.source === "wrong_hash") await picture(page, "fault");
    }),
  );

  it("does not hold where it is the whole and good export of another log", () =>
    onPage(async (page) => {
      await tamper(page, (text) => text, await accountsLog(page));
      expect(await check(page, mailbox.id)).toBe("Does not hold");
      expect(await said(page)).toContain("other_log");
    }));

  it("does not hold under a key of their own that is not the log's, and with no key of its kind nothing is fetched", () =>
    onPage(async (page) => {
      const asked: string[] = [];
      page.on("request", (request) => asked.push(new URL(request.url()).pathname));
      const own = page.getByLabel("Verifier key of the log");
      await page.getByText("Use my own key or checkpoint").click();
      await own.fill("hello");
      expect(await check(page, mailbox.id)).toBe("Not checked");
      expect(asked).toEqual([]);
      const key = new URLSearchParams({ log: await accountsLog(page), format: "text" });
      const published = await fetch(`${running.world.base_url}/v1/audit-log/verifier-key?${key}`);
      await own.fill(await published.text());
      expect(await check(page, mailbox.id)).toBe("Does not hold");
      expect(await said(page)).toContain("wrong_origin");
      expect(asked).toEqual(["/console/audit/export"]);
    }));

  it.each<[string, (page: Page) => Promise<unknown>, RegExp]>([
    ["they are signed out", (page) => page.context().clearCookies(), /You are signed out/],
    [
      "the server breaks down",
      (page) => page.route("**/audit/export?*", (route) => route.fulfill({ status: 503 })),
      /503/,
    ],
    ["the export breaks off", breakOff, /broke off before its end/],
    ["nothing answers", (page) => page.route("**/audit/export?*", (route) => route.abort()), /could not be fetched/],
  ])("is not made where %s, and says so", (_what, prepare, part) =>
    onPage(async (page) => {
      await prepare(page);
      expect(await check(page, mailbox.id)).toBe("Not checked");
      expect(await said(page)).toMatch(part);
    }),
  );
});

it("a second press while a check is under way fetches nothing more", () =>
  onPage(async (page) => {
    let [fetched, release] = [0, () => {}];
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    await page.route("**/console/audit/export?*", async (route) => {
      fetched += 1;
      await held;
      await route.continue();
    });
    const button = rowOf(page, mailbox.id).getByRole("button");
    await button.click();
    await rowOf(page, mailbox.id).getByRole("button", { name: "Checking…" }).waitFor();
    await button.dispatchEvent("click");
    release();
    await rowOf(page, mailbox.id).locator("#answer h2").waitFor();
    expect(fetched).toBe(1);
  }));

it("the export is downloaded from the page, as a file that /verify-audit takes", () =>
  onPage(async (page) => {
    const download = page.waitForEvent("download");
    await rowOf(page, mailbox.id).getByRole("link", { name: "Download the export" }).click();
    const file = await download;
    expect(file.suggestedFilename()).toMatch(new RegExp(`^${mailbox.id}-0-\\d+\\.ndjson$`));
    const path = join(dir, file.suggestedFilename());
    await file.saveAs(path);
    await follow(page, page.getByRole("link", { name: "Check an export that you have as a file" }));
    await page.getByLabel("The export, as an .ndjson file").setInputFiles(path);
    expect(await heading(page)).toBe("Holds");
  }));

it("its policy lets it reach exports and published keys and nothing else", () =>
  onPage(async (page) => {
    const fetches = (path: string) =>
      page.evaluate<boolean>(`fetch(${JSON.stringify(path)}).then(() => true, () => false)`);
    expect(await fetches(`/v1/audit-log/verifier-key?log=${mailbox.id}`)).toBe(true);
    for (const path of ["/console/queue", "/v1/audit-log/export", "/v1/account", "http://127.0.0.1:1/"]) {
      expect(await fetches(path), path).toBe(false);
    }
  }));

describe("nothing keeps anybody from using it", () => {
  const enter = async (page: Page) => {
    await page.context().addCookies(cookies);
    await page.goto(url);
  };

  it.each<[string, (page: Page) => Promise<void>]>([
    ["before a check", async () => {}],
    [
      "after one that holds",
      async (page) => {
        expect(await check(page, mailbox.id)).toBe("Holds");
      },
    ],
    [
      "after one that does not",
      async (page) => {
        await tamper(page, (text) => text.replace('"message.held"', '"message.hold"'));
        expect(await check(page, mailbox.id)).toBe("Does not hold");
      },
    ],
  ])("%s", (_when, prepare) =>
    expectUsable(browser, url, async (page) => {
      await enter(page);
      await prepare(page);
    }),
  );

  it("without JavaScript it offers the download, and names the command line", () =>
    withPage(browser, { viewport: PHONE, javaScriptEnabled: false }, async (page) => {
      await enter(page);
      expect(await page.locator("noscript").textContent()).toContain("npx multimail verify-audit");
      expect(await page.getByRole("button", { name: "Check in this browser" }).count()).toBe(0);
      expect(await rowOf(page, mailbox.id).getByRole("link", { name: "Download the export" }).isVisible()).toBe(true);
      await picture(page, "no-script");
    }));

  it("what can be pressed is large enough for a thumb", () =>
    onPage(async (page) => {
      for (const target of await page.locator("main button, main .quiet, summary").all()) {
        const box = await target.boundingBox();
        expect(Math.round(box?.height ?? 0), await target.innerHTML()).toBeGreaterThanOrEqual(48);
      }
    }, PHONE));
});

it("an approver has no way to it", () =>
  withPage(browser, { viewport: PHONE }, async (page) => {
    await signIn(page, running.world.approver_email);
    expect(await page.getByRole("link", { name: "Audit log" }).count()).toBe(0);
    const answer = await page.goto(url);
    expect(answer?.status()).toBe(404);
  }));
