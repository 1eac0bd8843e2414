import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { pageHeaders } from "../../src/doors/approve/headers.ts";
import { expectUsable, keepPictures, launchChromium, withPage } from "../support/chromium.ts";
import { RECORD_PAGES } from "../support/record-pages.tsx";

// The record of a message in a real browser: on a phone, on a desk, and on paper. With SCREENS=<folder> the pictures are kept there.

const SCREENS = process.env.SCREENS;
/** At 96 pixels an inch: A4 without its margins of 14 mm. */
const PAPER = { width: Math.floor(((210 - 28) / 25.4) * 96), height: Math.floor(((297 - 32) / 25.4) * 96) };

let browser: Browser;
let url: string;

const server = createServer((request, response) => {
  const page = RECORD_PAGES[(request.url ?? "").slice(1)];
  if (page === undefined) response.writeHead(404).end();
  else response.writeHead(200, pageHeaders(url, url)).end(page);
});

beforeAll(async () => {
  browser = await launchChromium();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await new Promise((resolve) => server.close(resolve));
});

it.each(Object.keys(RECORD_PAGES))("%s: nothing keeps anybody from using it", { timeout: 60_000 }, async (name) => {
  await expectUsable(browser, `${url}/${name}`);
  await keepPictures(browser, `${url}/${name}`, `record-${name}`, SCREENS);
});

it.each(Object.keys(RECORD_PAGES))(
  "%s: fits on A4 paper, black on white, without what can be pressed",
  async (name) => {
    await withPage(browser, { viewport: PAPER, colorScheme: "dark" }, async (page) => {
      await page.goto(`${url}/${name}`);
      await page.emulateMedia({ media: "print", colorScheme: "dark" });
      const beyond = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
      expect(beyond).toBeLessThanOrEqual(0);
      const { ground, ink } = await page.evaluate<{ ground: string; ink: string }>(
        "(() => { const s = getComputedStyle(document.body); return { ground: s.backgroundColor, ink: s.color }; })()",
      );
      expect([ground, ink]).toEqual(["rgb(255, 255, 255)", "rgb(0, 0, 0)"]);
      for (const pressed of await page.locator("a, button").all()) expect(await pressed.isVisible()).toBe(false);
      const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
      expect(pdf.length).toBeGreaterThan(1_000);
      // Every sheet is A4: 595 × 842 points.
      for (const [, width, height] of pdf.toString("latin1").matchAll(/\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/g)) {
        expect([Math.round(Number(width)), Math.round(Number(height))]).toEqual([595, 842]);
      }
      if (!SCREENS) return;
      mkdirSync(SCREENS, { recursive: true });
      writeFileSync(join(SCREENS, `record-${name}.pdf`), pdf);
      await page.screenshot({ path: join(SCREENS, `record-${name}-paper.png`), fullPage: true });
    });
  },
);
