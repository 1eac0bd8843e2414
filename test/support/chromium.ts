import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core";
import { expect } from "vitest";

/** A real browser for tests: what a page looks like in it, and whether everybody can use it. */

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

export const PHONE = { width: 390, height: 844 };
export const DESK = { width: 1280, height: 900 };

/** @throws Error where there is no Chromium; it says how to get one. */
export async function launchChromium(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) {
    throw new Error(`These tests need Chromium at ${CHROMIUM}. Install it with: sudo apt-get install -y chromium`);
  }
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** Runs `use` in a page of its own. */
export async function withPage<T>(
  browser: Browser,
  options: Parameters<Browser["newContext"]>[0],
  use: (page: Page, context: BrowserContext) => Promise<T>,
): Promise<T> {
  const context = await browser.newContext(options);
  try {
    return await use(await context.newPage(), context);
  } finally {
    await context.close();
  }
}

/** Clicks what leads to another page, and waits for that page: what is counted at once might be counted on the old one. */
export async function follow(page: Page, link: Locator): Promise<void> {
  const loaded = page.waitForEvent("domcontentloaded");
  await link.click();
  await loaded;
}

const LOOKS = [
  ["phone", PHONE],
  ["desk", DESK],
] as const;
const SCHEMES = ["light", "dark"] as const;

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = "['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']";
/** Gives `<rule>: <elements>` for each violation. A message's own frame is not ours to judge. */
const CHECK = `axe.run(document, {runOnly: ${RULES}, iframes: false})
  .then((result) => result.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" | ")))`;

/**
 * Checks that nothing keeps anybody from using the page, on phone and desk, light and dark.
 * @param prepare brings the page into the state that is looked at.
 */
export async function expectUsable(
  browser: Browser,
  url: string,
  prepare: (page: Page) => Promise<void> = async () => {},
): Promise<void> {
  // The page's policy forbids every script; the checker is let past it, our pages run none.
  await withPage(browser, { bypassCSP: true }, async (page) => {
    await page.goto(url);
    await prepare(page);
    await page.evaluate(AXE);
    await page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    for (const [look, size] of LOOKS) {
      for (const colorScheme of SCHEMES) {
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        expect(await page.evaluate<string[]>(CHECK), `${look} ${colorScheme}`).toEqual([]);
        const beyond = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
        expect(beyond, `${look} ${colorScheme}: pixels beyond the right edge`).toBeLessThanOrEqual(0);
      }
    }
  });
}

/** Keeps a picture of a page as it stands, in each look, where `folder` is given. */
export async function keepLooks(page: Page, name: string, folder: string | undefined): Promise<void> {
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  for (const [look, size] of LOOKS) {
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(size);
      await page.screenshot({ path: join(folder, `${name}-${look}-${colorScheme}.png`), fullPage: true });
    }
  }
}

/** Keeps a picture of the page in each look, where `folder` is given. */
export async function keepPictures(
  browser: Browser,
  url: string,
  name: string,
  folder: string | undefined,
): Promise<void> {
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  for (const [look, viewport] of LOOKS) {
    for (const colorScheme of SCHEMES) {
      await withPage(browser, { viewport, colorScheme, javaScriptEnabled: false }, async (page) => {
        await page.goto(url);
        // As high as the page, so that what sticks to the edge of a screen is where it belongs.
        const whole = await page.locator("body").boundingBox();
        await page.setViewportSize({ width: viewport.width, height: Math.ceil(whole?.height ?? viewport.height) });
        await page.screenshot({ path: join(folder, `${name}-${look}-${colorScheme}.png`), fullPage: true });
      });
    }
  }
}
