import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { checkpointLine } from "../../src/audit/export-line.ts";
import { formatVerifierKey } from "../../src/audit/signed-note.ts";
import { verifyAuditRoutes } from "../../src/doors/verify.tsx";
import { DESK, expectUsable, launchChromium, PHONE, withPage } from "../support/chromium.ts";
import { forged, last, log, SIZE, thief, whole, witness } from "../support/tampered-log.ts";
import { exportBytes, TestLog } from "../support/test-log.ts";

// The page /verify-audit in a real browser: what it says of exports, what it asks for, and that a stranger's export makes it do
// nothing else. With SCREENS=<folder> the pictures are kept there.

const SCREENS = process.env.SCREENS;
const KEY = `/v1/audit-log/verifier-key?log=${log.log}`;

const dir = mkdtempSync(join(tmpdir(), "verify-audit-page-"));
const at = (name: string) => join(dir, name);
const put = (name: string, lines: readonly string[]) => writeFileSync(at(name), exportBytes(lines));

let browser: Browser;
let url: string;
/** What the page asked for besides itself. */
let asked: string[] = [];
type Keys = (response: ServerResponse) => void;
const published: Keys = (response) => {
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ log: log.log, origin: log.origin, verifier_key: log.key }));
};
let keys: Keys = published;

const routes = new Hono().route("/", verifyAuditRoutes());
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

const MARKUP = `<img src=x onerror="window.owned=1"><script>window.owned=1</script><a href="javascript:owned=1">x</a>`;

beforeAll(async () => {
  browser = await launchChromium();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  put("whole.ndjson", whole);
  put("opened.ndjson", log.lines({ opened: true }));
  put("part.ndjson", log.part(10, 30));
  put("missing.ndjson", whole.toSpliced(20, 1));
  put("stolen.ndjson", whole.with(last, checkpointLine(log.checkpoint(SIZE, {}, thief))));
  put("rewritten.ndjson", forged.lines());
  put("nothing.ndjson", log.lines({ size: 0 }));
  put("witnessed.ndjson", whole.with(last, checkpointLine(witness.sign(log.checkpoint(), 1_790_000_000))));
  put("large.ndjson", new TestLog(20_000).lines());
  put("noise.ndjson", ["hello"]);
  const hostile = new TestLog(3, { change: (entry) => ({ ...entry, action: MARKUP }) });
  put("hostile.ndjson", hostile.lines().toSpliced(1, 0, `{"log":"mbx_1","${MARKUP}":1}`));
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  asked = [];
  keys = published;
});

async function heading(page: Page): Promise<string> {
  await page.locator("#answer h2").waitFor();
  return (await page.locator("#answer h2").textContent()) ?? "";
}

/** Chooses a file. @returns the heading of what the page says of it. */
async function choose(page: Page, name: string): Promise<string> {
  await page.getByLabel("The export, as an .ndjson file").setInputFiles(at(name));
  return heading(page);
}

async function paste(page: Page, texts: Record<string, string>): Promise<void> {
  await page.getByText("Use my own key or checkpoint").click();
  for (const [label, text] of Object.entries(texts)) await page.getByLabel(label).fill(text);
}

const said = async (page: Page) => (await page.locator("#answer").textContent()) ?? "";

async function onPage(use: (page: Page) => Promise<void>, viewport = DESK): Promise<void> {
  await withPage(browser, { viewport }, async (page) => {
    await page.goto(`${url}/verify-audit`);
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
      await page.screenshot({ path: join(SCREENS, `verify-audit-${name}-${look}-${colorScheme}.png`), fullPage: true });
    }
  }
}

describe("what it says of an export", () => {
  it("holds: which log, how much of it, by which key and whose word that is, and what it does not show", () =>
    onPage(async (page) => {
      expect(await choose(page, "whole.ndjson")).toBe("Holds");
      const text = await said(page);
      for (const part of [
        "mbx_1",
        "50, from 0 to 49: the whole log",
        "2026-11-01T00:00:00.000Z to 2026-11-01T00:00:24.000Z",
        log.key,
        new URL(url).host,
        "That there are no newer entries",
      ]) {
        expect(text).toContain(part);
      }
      expect(text).not.toContain("personal");
      expect(asked).toEqual([`GET ${KEY}`]);
      expect(await page.getByRole("status").textContent()).toMatch(/^Holds\. /);
      await picture(page, "holds");
    }));

  it("holds, with opened fields: that nothing covers those", () =>
    onPage(async (page) => {
      expect(await choose(page, "opened.ndjson")).toBe("Holds");
      expect(await said(page)).toContain("no signature covers them");
      await picture(page, "opened");
    }));

  it("does not hold: the first fault, with its line and its entry", () =>
    onPage(async (page) => {
      expect(await choose(page, "missing.ndjson")).toBe("Does not hold");
      const text = await said(page);
      for (const part of ["Entry 20 is missing; entry 21 stands there.", "Line21", "Entry20", "gap"]) {
        expect(text).toContain(part);
      }
      await picture(page, "fault");
    }));

  it.each([
    ["part.ndjson", "Holds", "of the 50 that the log had"],
    ["nothing.ndjson", "Holds", "none, of the 0 that the log had"],
    ["large.ndjson", "Holds", "20,000, from 0 to 19999"],
    ["stolen.ndjson", "Does not hold", "unknown_key"],
  ])("%s: %s", (file, title, part) =>
    onPage(async (page) => {
      expect(await choose(page, file)).toBe(title);
      expect(await said(page)).toContain(part);
    }),
  );
});

describe("what the visitor has", () => {
  const older = { "An older checkpoint": log.checkpoint(30) };
  const witnesses = { "Verifier keys of witnesses": formatVerifierKey(witness.key) };

  it("with a key of their own nothing is fetched", () =>
    onPage(async (page) => {
      await paste(page, { "Verifier key of the log": `${log.key}\n` });
      expect(await choose(page, "whole.ndjson")).toBe("Holds");
      expect(await said(page)).toContain("what you pasted");
      expect(asked).toEqual([]);
    }));

  it.each<[string, Record<string, string>, string, string, string]>([
    ["an older checkpoint that it grew out of", older, "whole.ndjson", "Holds", "of 30 entries"],
    ["an older checkpoint of another history", older, "rewritten.ndjson", "Does not hold", "split_view"],
    ["a witness who signed", witnesses, "witnessed.ndjson", "Holds", "witness.example/w1 at"],
    ["a witness who did not", witnesses, "whole.ndjson", "Does not hold", "not_witnessed"],
    ["a key that is none", { "Verifier key of the log": "hello" }, "whole.ndjson", "Not checked", "no verifier key"],
    ["a checkpoint that is none", { "An older checkpoint": "hello" }, "whole.ndjson", "Not checked", "no checkpoint"],
  ])("%s", (_what, texts, file, title, part) =>
    onPage(async (page) => {
      await paste(page, texts);
      expect(await choose(page, file)).toBe(title);
      expect(await said(page)).toContain(part);
    }),
  );
});

it.each<[string, Keys, RegExp]>([
  ["no answer", (response) => response.destroy(), /could not be fetched/],
  ["a log that it does not know", (response) => response.writeHead(404).end(), /knows no log mbx_1/],
  ["a breakdown", (response) => response.writeHead(503).end(), /answered 503/],
  ["an answer that is no key", (response) => response.writeHead(200).end("<html>"), /no verifier key/],
  ["a key that is none", (response) => response.writeHead(200).end('{"verifier_key":"x"}'), /no verifier key/],
])("%s where the key should be: not checked, and why", (_name, answer, part) =>
  onPage(async (page) => {
    keys = answer;
    expect(await choose(page, "whole.ndjson")).toBe("Not checked");
    expect(await said(page)).toMatch(part);
  }),
);

/** Drops files on the page, as a browser does. */
async function dropFiles(page: Page, files: { name: string; content: string }[]): Promise<void> {
  const transfer = await page.evaluateHandle(
    `(() => {
      const transfer = new DataTransfer();
      for (const { name, content } of ${JSON.stringify(files)}) transfer.items.add(new File([content], name));
      return transfer;
    })()`,
  );
  await page.dispatchEvent("main", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
}

describe("dropping and submitting", () => {
  it("a file anywhere on the page checks it, and leaves the page where it is", () =>
    onPage(async (page) => {
      await dropFiles(page, [{ name: "dropped.ndjson", content: Buffer.from(exportBytes(whole)).toString() }]);
      expect(await heading(page)).toBe("Holds");
      expect(page.url()).toBe(`${url}/verify-audit`);
    }));

  it("what is no file is told of, and so is nothing", () =>
    onPage(async (page) => {
      await dropFiles(page, []);
      expect(await said(page)).toContain("That was no file");
      await page.getByRole("button", { name: "Check the export" }).click();
      expect(await said(page)).toContain("Choose an export first");
    }));

  it("a newer choice is what is answered, however late the older one comes", () =>
    onPage(async (page) => {
      const held = new Promise<ServerResponse>((resolve) => {
        keys = resolve;
      });
      await page.getByLabel("The export, as an .ndjson file").setInputFiles(at("whole.ndjson"));
      const late = await held;
      await paste(page, { "Verifier key of the log": log.key });
      expect(await choose(page, "missing.ndjson")).toBe("Does not hold");
      await page.evaluate(
        `window.said = []; new MutationObserver(() => window.said.push(document.querySelector("#answer h2").textContent))
          .observe(document.getElementById("answer"), { childList: true })`,
      );
      const arrived = page.waitForResponse((response) => response.url().endsWith(KEY));
      published(late);
      await (await arrived).finished();
      await page.getByRole("button", { name: "Check the export" }).click();
      await page.waitForFunction("window.said.length > 0");
      expect(await page.evaluate("window.said")).toEqual(["Does not hold"]);
    }));
});

describe("a stranger's export", () => {
  it("becomes no markup, runs no script, and its file's name neither", () =>
    onPage(async (page) => {
      const before = await page.evaluate<number>("document.querySelectorAll('img,script,a').length");
      expect(await choose(page, "hostile.ndjson")).toBe("Does not hold");
      await dropFiles(page, [{ name: `${MARKUP}\u202egnp.ndjson`, content: `{"log":"mbx_1","${MARKUP}":1}\n` }]);
      await page.locator("#answer").getByText("⟦U+202E⟧").waitFor();
      expect(await page.evaluate("document.querySelectorAll('img,script,a').length")).toBe(before);
      expect(await page.evaluate("window.owned")).toBeUndefined();
    }));

  it.each(["mbx_1&format=text", "../../v1/account", "http://evil.example/", "usr_1", ""])(
    "makes the page ask for nothing by calling its log %j",
    (name) =>
      onPage(async (page) => {
        await dropFiles(page, [{ name: "evil.ndjson", content: `${JSON.stringify({ log: name })}\n` }]);
        expect(await heading(page)).toBe("Not checked");
        expect(asked).toEqual([]);
      }),
  );
});

it.each(["whole.ndjson", "opened.ndjson", "missing.ndjson", "noise.ndjson"])(
  "after %s nothing keeps anybody from using it",
  (name) =>
    expectUsable(browser, `${url}/verify-audit`, async (page) => {
      await choose(page, name);
    }),
);

it("before anything was chosen nothing keeps anybody from using it", async () => {
  await expectUsable(browser, `${url}/verify-audit`);
  await onPage(async (page) => {
    await picture(page, "start");
    await page.getByText("Use my own key or checkpoint").click();
    await picture(page, "own");
  });
});

it("without JavaScript it says so, and names the command line", () =>
  withPage(browser, { viewport: PHONE, javaScriptEnabled: false }, async (page) => {
    await page.goto(`${url}/verify-audit`);
    expect(await page.locator("noscript").textContent()).toContain(
      "npx multimail verify-audit export.ndjson --key key.txt",
    );
    expect(await page.locator("form").isVisible()).toBe(false);
    await picture(page, "no-script");
  }));

it("its policy lets it reach the published keys of logs and nothing else", () =>
  onPage(async (page) => {
    const fetches = (path: string) =>
      page.evaluate<boolean>(`fetch(${JSON.stringify(path)}, {mode: "no-cors"}).then(() => true, () => false)`);
    expect(await fetches(KEY)).toBe(true);
    for (const path of ["/v1/audit-log", "/v1/audit-log/export", "/v1/account", "http://127.0.0.1:1/"]) {
      expect(await fetches(path), path).toBe(false);
    }
    expect(asked).toEqual([`GET ${KEY}`]);
  }));
