import type { ServerResponse } from "node:http";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { checkpointLine } from "../../src/audit/export-line.ts";
import { formatVerifierKey } from "../../src/audit/signed-note.ts";
import { verifyAuditRoutes } from "../../src/doors/verify.tsx";
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
import { expectUsable } from "../support/chromium.ts";
import { forged, last, log, SIZE, thief, whole, witness } from "../support/tampered-log.ts";
import { exportBytes, TestLog } from "../support/test-log.ts";

// The page /verify-audit in a real browser: what it says of exports, what it asks for, and that a stranger's export makes it do
// nothing else. With SCREENS=<folder> the pictures are kept there.

const KEY = `/v1/audit-log/verifier-key?log=${log.log}`;
const published = answeringWith({ log: log.log, origin: log.origin, verifier_key: log.key });
let checker: CheckingPage;

beforeAll(async () => {
  checker = await CheckingPage.start({
    path: "/verify-audit",
    routes: verifyAuditRoutes(),
    label: "The export, as an .ndjson file",
    published,
  });
  const hostile = new TestLog(3, { change: (entry) => ({ ...entry, action: MARKUP }) });
  const exports = {
    whole,
    opened: log.lines({ opened: true }),
    part: log.part(10, 30),
    missing: whole.toSpliced(20, 1),
    stolen: whole.with(last, checkpointLine(log.checkpoint(SIZE, {}, thief))),
    rewritten: forged.lines(),
    nothing: log.lines({ size: 0 }),
    witnessed: whole.with(last, checkpointLine(witness.sign(log.checkpoint(), 1_790_000_000))),
    large: new TestLog(20_000).lines(),
    noise: ["hello"],
    hostile: hostile.lines().toSpliced(1, 0, `{"log":"mbx_1","${MARKUP}":1}`),
  };
  for (const [name, lines] of Object.entries(exports)) checker.keep(`${name}.ndjson`, exportBytes(lines));
}, 60_000);
afterAll(() => checker?.stop());
beforeEach(() => checker.reset());

const onPage: CheckingPage["open"] = (use, viewport) => checker.open(use, viewport);

async function paste(page: Page, texts: Record<string, string>): Promise<void> {
  await page.getByText("Use my own key or checkpoint").click();
  for (const [label, text] of Object.entries(texts)) await page.getByLabel(label).fill(text);
}

describe("what it says of an export", () => {
  it("holds: which log, how much of it, by which key and whose word that is, and what it does not show", () =>
    onPage(async (page) => {
      expect(await checker.choose(page, "whole.ndjson")).toBe("Holds");
      const text = await said(page);
      for (const part of [
        "mbx_1",
        "50, from 0 to 49: the whole log",
        "2026-11-01T00:00:00.000Z to 2026-11-01T00:00:24.000Z",
        log.key,
        new URL(checker.url).host,
        "That there are no newer entries",
      ]) {
        expect(text).toContain(part);
      }
      expect(text).not.toContain("personal");
      expect(checker.asked).toEqual([`GET ${KEY}`]);
      expect(await page.getByRole("status").textContent()).toMatch(/^Holds\. /);
      await checker.picture(page, "holds");
    }));

  it("holds, with opened fields: that nothing covers those", () =>
    onPage(async (page) => {
      expect(await checker.choose(page, "opened.ndjson")).toBe("Holds");
      expect(await said(page)).toContain("no signature covers them");
      await checker.picture(page, "opened");
    }));

  it("does not hold: the first fault, with its line and its entry", () =>
    onPage(async (page) => {
      expect(await checker.choose(page, "missing.ndjson")).toBe("Does not hold");
      const text = await said(page);
      for (const part of ["Entry 20 is missing; entry 21 stands there.", "Line21", "Entry20", "gap"]) {
        expect(text).toContain(part);
      }
      await checker.picture(page, "fault");
    }));

  it.each([
    ["part.ndjson", "Holds", "of the 50 that the log had"],
    ["nothing.ndjson", "Holds", "none, of the 0 that the log had"],
    ["large.ndjson", "Holds", "20,000, from 0 to 19999"],
    ["stolen.ndjson", "Does not hold", "unknown_key"],
  ])("%s: %s", (file, title, part) =>
    onPage(async (page) => {
      expect(await checker.choose(page, file)).toBe(title);
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
      expect(await checker.choose(page, "whole.ndjson")).toBe("Holds");
      expect(await said(page)).toContain("what you pasted");
      expect(checker.asked).toEqual([]);
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
      expect(await checker.choose(page, file)).toBe(title);
      expect(await said(page)).toContain(part);
    }),
  );
});

it.each<[string, Answering, RegExp]>([
  ["no answer", (response) => response.destroy(), /could not be fetched/],
  ["a log that it does not know", (response) => response.writeHead(404).end(), /knows no log mbx_1/],
  ["a breakdown", (response) => response.writeHead(503).end(), /answered 503/],
  ["an answer that is no key", (response) => response.writeHead(200).end("<html>"), /no verifier key/],
  ["a key that is none", (response) => response.writeHead(200).end('{"verifier_key":"x"}'), /no verifier key/],
])("%s where the key should be: not checked, and why", (_name, answer, part) =>
  onPage(async (page) => {
    checker.answering = answer;
    expect(await checker.choose(page, "whole.ndjson")).toBe("Not checked");
    expect(await said(page)).toMatch(part);
  }),
);

describe("dropping and submitting", () => {
  it("a file anywhere on the page checks it, and leaves the page where it is", () =>
    onPage(async (page) => {
      await dropFiles(page, [{ name: "dropped.ndjson", content: exportBytes(whole) }]);
      expect(await heading(page)).toBe("Holds");
      expect(page.url()).toBe(checker.url);
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
        checker.answering = resolve;
      });
      await checker.offer(page, "whole.ndjson");
      const late = await held;
      await paste(page, { "Verifier key of the log": log.key });
      expect(await checker.choose(page, "missing.ndjson")).toBe("Does not hold");
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
      await expectNoMarkup(page, async () => {
        expect(await checker.choose(page, "hostile.ndjson")).toBe("Does not hold");
        await dropFiles(page, [{ name: `${MARKUP}\u202egnp.ndjson`, content: `{"log":"mbx_1","${MARKUP}":1}\n` }]);
        await page.locator("#answer").getByText("⟦U+202E⟧").waitFor();
      });
    }));

  it.each(["mbx_1&format=text", "../../v1/account", "http://evil.example/", "usr_1", ""])(
    "makes the page ask for nothing by calling its log %j",
    (name) =>
      onPage(async (page) => {
        await dropFiles(page, [{ name: "evil.ndjson", content: `${JSON.stringify({ log: name })}\n` }]);
        expect(await heading(page)).toBe("Not checked");
        expect(checker.asked).toEqual([]);
      }),
  );
});

it.each(["whole.ndjson", "opened.ndjson", "missing.ndjson", "noise.ndjson"])(
  "after %s nothing keeps anybody from using it",
  (name) =>
    expectUsable(checker.browser, checker.url, async (page) => {
      await checker.choose(page, name);
    }),
);

it("before anything was chosen nothing keeps anybody from using it", async () => {
  await expectUsable(checker.browser, checker.url);
  await onPage(async (page) => {
    await checker.picture(page, "start");
    await page.getByText("Use my own key or checkpoint").click();
    await checker.picture(page, "own");
  });
});

it("without JavaScript it says so, and names the command line", () =>
  checker.expectCommand("npx multimail verify-audit export.ndjson --key key.txt"));

it("its policy lets it reach the published keys of logs and nothing else", () =>
  onPage(async (page) => {
    expect(await reaches(page, KEY)).toBe(true);
    for (const path of ["/v1/audit-log", "/v1/audit-log/export", "/v1/account", "http://127.0.0.1:1/"]) {
      expect(await reaches(page, path), path).toBe(false);
    }
    expect(checker.asked).toEqual([`GET ${KEY}`]);
  }));
