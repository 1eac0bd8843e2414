import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import type { Browser, Page } from "playwright-core";
import { expect } from "vitest";
import type { AppEnvironment } from "../../src/doors/serve.ts";
import { DESK, keepLooks, launchChromium, PHONE, withPage } from "./chromium.ts";

/** A page that checks files (/verify, /verify-audit) in a real browser, at a deployment that answers for published keys as a test wants. */

/** How the deployment answers when the page asks it for a key. */
export type Answering = (response: ServerResponse) => void;

/** @returns what answers with this as JSON. */
export function answeringWith(value: unknown): Answering {
  return (response) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(value));
  };
}

/** Text that must stay text on a page: a script that runs, or an image that fails to load, sets `window.owned`. */
export const MARKUP = `<img src=x onerror="window.owned=1"><script>window.owned=1</script><a href="javascript:owned=1">x</a>`;

export interface CheckedHere {
  path: string;
  routes: Hono<AppEnvironment>;
  /** Of the input that a file is chosen in. */
  label: string;
  /** How keys are published, unless a test says otherwise. */
  published: Answering;
}

export class CheckingPage {
  readonly browser: Browser;
  /** Of the deployment. */
  readonly origin: string;
  /** What the page asked for besides itself, in this test. */
  asked: string[] = [];
  /** How the deployment answers in this test. */
  answering: Answering;
  private readonly here: CheckedHere;
  private readonly server: Server;
  private readonly dir = mkdtempSync(join(tmpdir(), "checking-page-"));

  private constructor(here: CheckedHere, browser: Browser, server: Server) {
    this.here = here;
    this.browser = browser;
    this.server = server;
    this.answering = here.published;
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const routes = new Hono().route("/", here.routes);
    server.on("request", async (request, response: ServerResponse) => {
      if (request.url?.startsWith("/v1/")) {
        this.asked.push(`${request.method} ${request.url}`);
        this.answering(response);
        return;
      }
      const asked = new Request(`${this.origin}${request.url}`, { method: request.method ?? "GET" });
      const answer = await routes.fetch(asked, { PUBLIC_URL: this.origin });
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
  }

  /** Starts a browser and the deployment. */
  static async start(here: CheckedHere): Promise<CheckingPage> {
    const browser = await launchChromium();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new CheckingPage(here, browser, server);
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** As before any test. */
  reset(): void {
    this.asked = [];
    this.answering = this.here.published;
  }

  get url(): string {
    return this.origin + this.here.path;
  }

  /** Keeps a file that can be chosen. */
  keep(name: string, content: string | Uint8Array): void {
    writeFileSync(join(this.dir, name), content);
  }

  async open(use: (page: Page) => Promise<void>, viewport = DESK): Promise<void> {
    await withPage(this.browser, { viewport }, async (page) => {
      await page.goto(this.url);
      await use(page);
    });
  }

  /** Chooses a file, and waits for nothing. */
  async offer(page: Page, name: string): Promise<void> {
    await page.getByLabel(this.here.label).setInputFiles(join(this.dir, name));
  }

  /** Chooses a file. @returns the heading of what the page says of it. */
  async choose(page: Page, name: string): Promise<string> {
    await this.offer(page, name);
    return heading(page);
  }

  /** Expects that without scripts the page offers no form, but names the command that does the same. */
  async expectCommand(command: string): Promise<void> {
    await withPage(this.browser, { viewport: PHONE, javaScriptEnabled: false }, async (page) => {
      await page.goto(this.url);
      expect(await page.locator("noscript").textContent()).toContain(command);
      expect(await page.locator("form").isVisible()).toBe(false);
      await this.picture(page, "no-script");
    });
  }

  /** Keeps pictures of the page as it stands, where SCREENS names a folder. */
  async picture(page: Page, name: string): Promise<void> {
    await keepLooks(page, `${this.here.path.slice(1)}-${name}`, process.env.SCREENS);
  }
}

/** @returns the heading of what a page says of what it checked, once it says something. */
export async function heading(page: Page): Promise<string> {
  await page.locator("#answer h2").waitFor();
  return (await page.locator("#answer h2").textContent()) ?? "";
}

/** @returns all that a page says of what it checked. */
export async function said(page: Page): Promise<string> {
  return (await page.locator("#answer").textContent()) ?? "";
}

/** Drops files on the page, as a browser does. */
export async function dropFiles(page: Page, files: { name: string; content: string | Uint8Array }[]): Promise<void> {
  const encoded = files.map(({ name, content }) => ({ name, content: Buffer.from(content).toString("base64") }));
  const transfer = await page.evaluateHandle(
    `(() => {
      const transfer = new DataTransfer();
      for (const { name, content } of ${JSON.stringify(encoded)})
        transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
      return transfer;
    })()`,
  );
  await page.dispatchEvent("main", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
}

/** Expects that what `show` puts on a page, where it has MARKUP in it, stays text. */
export async function expectNoMarkup(page: Page, show: () => Promise<void>): Promise<void> {
  const elements = () => page.evaluate<number>("document.querySelectorAll('img,script,a').length");
  const before = await elements();
  await show();
  expect(await elements()).toBe(before);
  expect(await page.evaluate("window.owned")).toBeUndefined();
}

/** @returns whether the page's policy lets it ask for an address. What is answered does not count. */
export function reaches(page: Page, address: string): Promise<boolean> {
  return page.evaluate<boolean>(`fetch(${JSON.stringify(address)}, {mode: "no-cors"}).then(() => true, () => false)`);
}
