import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LinkView } from "../../durable-objects/mailbox-rpc.ts";
import { approvalRequestMail, monitoredCopyMail, operatorCodeMail } from "../../src/mail/notification.ts";
import { decisionLink } from "../../src/oversight/decision-links.ts";
import {
  attachment,
  decidedView,
  decisionItem,
  openView,
  recordedEnv,
  tokenFor,
} from "../support/decision-page-fixtures.ts";
import { type ServedPages, serveDecisionPages } from "../support/decision-page-harness.ts";

// Every state of the page and every mail, in a real browser: that it can be read and used by everybody, on a phone and on a
// desk, in both colour schemes, without scripts, and that a message in its frame can do nothing. With SCREENS=<folder> the
// pictures are kept there.

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
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENS = process.env.SCREENS;
const DEADLINE = "2026-11-24T08:52:10.000Z";

const ORDER = {
  cc: [{ name: null, address: "warehouse@acme.example" }],
  bcc: [{ name: "Audit", address: "audit@acme.example" }],
  text: "Dear Alice,\n\nyour order 4711 leaves our warehouse on Thursday, 26 November.\n\n- 2 chairs\n- 1 table\n\nTrack it: https://acme.example/track/4711\n\nKind regards\nAcme Orders\n\nThis message was written by an AI agent.",
  html: '<p>Dear Alice,</p><p>your order <strong>4711</strong> leaves our warehouse on Thursday, 26 November.</p><ul><li>2 chairs</li><li>1 table</li></ul><p>Track it: <a href="https://acme.example/track/4711">https://acme.example/track/4711</a></p><p>Kind regards<br>Acme Orders</p><hr><p>This message was written by an AI agent.</p>',
  attachments: [
    attachment("delivery-note-4711.pdf", "application/pdf", 48_211),
    attachment("chairs.jpg", "image/jpeg", 1_822_111),
  ],
};

const MISLEADING = {
  to: [
    { name: "ceo@bank.example", address: "x@xn--80ak6aa92e.com" },
    { name: "Müller", address: "m@xn--mnchen-3ya.example" },
  ],
  reply_to: [{ name: null, address: "pay@evil.example" }],
  subject: "Invoice \u202Efdp.exe for p\u0430ypal",
  text: "Please pay 100 EUR to Ann by Friday.",
  html: '<p>Please pay <b>10000 EUR</b> to Ann by Friday.</p><p><a href="https://evil.example/login">https://bank.example/login</a></p>',
  attachments: [
    attachment("invoice.pdf.exe", "application/x-msdownload", 5120),
    attachment("report\u202Excod.pdf", "application/pdf", 100),
  ],
};

const order = decisionItem(
  { metadata: { order: "4711", lines: [2, 1] }, tags: { shipping: "", team: "north" } },
  ORDER,
);
const misleading = decisionItem({ domain_intelligence: { risk_score: 72, dmarc_policy: "none" } }, MISLEADING);
const forged = { dkim_result: "none", spf_result: "fail", dmarc_result: "fail" };
const arrived = decisionItem(
  { kind: "inbound", oversight_mode: "gated_all", held_by: "mode gated_all", key_id: null, authentication: forged },
  {
    from: { name: "Bob", address: "bob@customer.example" },
    to: [{ name: null, address: "orders@acme.example" }],
    subject: "Where is my order?",
    text: "Hello,\nwhere is order 4711?\n\nBob",
    html: null,
  },
);
const arabic = decisionItem(
  {},
  {
    subject: "عرض الأسعار رقم 12",
    to: [{ name: "محمد علي", address: "m@customer.example" }],
    text: "مرحبا محمد،\n\nهذا هو العرض.",
    html: "<p>مرحبا محمد،</p><p>هذا هو العرض.</p>",
  },
);

const VIEWS: Record<string, LinkView> = {
  ordinary: openView(order),
  misleading: openView(misleading),
  inbound: openView(arrived),
  arabic: openView(arabic),
  approved: decidedView({ reason: "The date is right." }),
  rejected: decidedView({ decision: "rejected", status: "rejected", decided_by: "bert@acme.example" }),
  cancelled: decidedView({ decision: "cancelled", status: "cancelled", decided_by: null, approval_ref: null }),
  undecided: decidedView({
    decision: "expired",
    status: "expired",
    decided_by: null,
    decided_at: null,
    approval_ref: null,
  }),
  superseded: decidedView({
    decision: "superseded",
    status: "blocked",
    decided_by: null,
    decided_at: null,
    approval_ref: null,
  }),
  revoked: { state: "revoked", reason: "it arrived in inbound mail" },
  expired: { state: "expired", expired_at: "2026-11-20T08:00:00.000Z" },
  unknown: { state: "unknown" },
};

function mails(): Record<string, string> {
  const product_url = "https://mail.example.com";
  const ask = (item: typeof order) =>
    approvalRequestMail({
      item,
      link: decisionLink(product_url, tokenFor("mail")),
      approver: "anna@acme.example",
      expires_at: DEADLINE,
      product_url,
    });
  const words = "Change the mode of orders@acme.example from gated_send to autonomous.";
  return {
    "/mail/request": ask(order).html,
    "/mail/request-misleading": ask(misleading).html,
    "/mail/request-inbound": ask(arrived).html,
    "/mail/copy": monitoredCopyMail({
      item: { ...order, oversight_mode: "monitored" },
      status: "sent",
      sent_at: DEADLINE,
      product_url,
    }).html,
    "/mail/code": operatorCodeMail({
      code: "482 913",
      words,
      key_id: "key_1",
      expires_at: DEADLINE,
      tenant_name: "Acme",
      product_url,
    }).html,
  };
}

const PATHS: [name: string, path: string][] = [
  ...Object.keys(VIEWS).map((name): [string, string] => [name, `/v1/approve/${tokenFor(name)}`]),
  ...Object.keys(mails()).map((path): [string, string] => [path.slice(1).replace("/", "-"), path]),
];
const DEVICES = [
  ["phone", 390, 844],
  ["desk", 1280, 900],
] as const;

let browser: Browser;
let pages: ServedPages;
const env = recordedEnv(Object.fromEntries(Object.entries(VIEWS).map(([name, view]) => [tokenFor(name), view])));

beforeAll(async () => {
  if (!existsSync(CHROMIUM)) {
    throw new Error(`These tests need Chromium at ${CHROMIUM}. Install it with: sudo apt-get install -y chromium`);
  }
  pages = await serveDecisionPages(env, mails());
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  if (SCREENS) mkdirSync(SCREENS, { recursive: true });
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await pages?.close();
});

async function withPage<T>(
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

const LOOKS = DEVICES.flatMap(([device, width, height]) =>
  (["light", "dark"] as const).map((colorScheme) => ({
    look: `${device}-${colorScheme}`,
    size: { width, height },
    colorScheme,
  })),
);
const RULES = "['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']";
/** Gives `<rule>: <elements>` for each violation. The message's own frame is not ours to judge. */
const CHECK = `axe.run(document, {runOnly: ${RULES}, iframes: false})
  .then((result) => result.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" | ")))`;

describe("every page and mail, on phone and desk, light and dark", () => {
  it.each(PATHS)("%s: nothing keeps anybody from using it", { timeout: 60_000 }, async (_name, path) => {
    // The page's policy forbids every script; the checker is let past it, our pages run none.
    await withPage({ bypassCSP: true }, async (page) => {
      await page.goto(pages.url + path);
      await page.evaluate(AXE);
      await page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
      for (const { look, size, colorScheme } of LOOKS) {
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        const found = await page.evaluate<string[]>(CHECK);
        // A mail's body becomes a part of its reader's page, which has the landmarks.
        const violations = found.filter((rule) => !(path.startsWith("/mail/") && /^(?:region|landmark)/.test(rule)));
        expect(violations, look).toEqual([]);
        const beyond = await page.evaluate<number>("document.documentElement.scrollWidth - window.innerWidth");
        expect(beyond, `${look}: pixels beyond the right edge`).toBeLessThanOrEqual(0);
      }
    });
  });

  if (SCREENS) {
    it("pictures of all of them are kept", { timeout: 300_000 }, async () => {
      for (const [name, path] of PATHS) {
        for (const { look, size, colorScheme } of LOOKS) {
          await withPage({ viewport: size, colorScheme, javaScriptEnabled: false }, async (page) => {
            await page.goto(pages.url + path);
            const whole = await page.locator("body").boundingBox();
            await page.setViewportSize({ width: size.width, height: Math.ceil(whole?.height ?? size.height) });
            await page.screenshot({ path: join(SCREENS, `${name}-${look}.png`), fullPage: true });
          });
        }
      }
    });
  }
});

describe("the decision page in a browser without scripts", () => {
  const phone = { viewport: { width: 390, height: 844 }, javaScriptEnabled: false };

  it("what can be pressed is large enough for a thumb", async () => {
    await withPage(phone, async (page) => {
      await page.goto(`${pages.url}/v1/approve/${tokenFor("ordinary")}`);
      for (const target of await page.locator("button, .views > label, .files a, summary").all()) {
        expect((await target.boundingBox())?.height).toBeGreaterThanOrEqual(48);
      }
    });
  });

  it("shows the formatted message first, then text and source, one at a time, by keyboard too", async () => {
    await withPage(phone, async (page) => {
      await page.goto(`${pages.url}/v1/approve/${tokenFor("ordinary")}`);
      const views = [".view-html", ".view-text", ".view-source"];
      const visible = () => Promise.all(views.map((view) => page.locator(view).isVisible()));
      expect(await visible()).toEqual([true, false, false]);
      expect(await page.frameLocator("iframe").locator("strong").textContent()).toBe("4711");
      await page.getByText("Plain text", { exact: true }).click();
      expect(await visible()).toEqual([false, true, false]);
      await page.keyboard.press("ArrowRight");
      expect(await visible()).toEqual([false, false, true]);
    });
  });

  it("a person meets the warnings before the buttons, and the buttons in order", async () => {
    await withPage(phone, async (page) => {
      await page.goto(`${pages.url}/v1/approve/${tokenFor("misleading")}`);
      const top = async (selector: string) => (await page.locator(selector).first().boundingBox())?.y ?? 0;
      expect(await top(".warning")).toBeLessThan(await top("iframe"));
      expect(await top("iframe")).toBeLessThan(await top("button.approve"));
      await page.locator("textarea").focus();
      await page.keyboard.press("Tab");
      expect(await page.locator("button.approve:focus").count()).toBe(1);
      await page.keyboard.press("Tab");
      expect(await page.locator("button.reject:focus").count()).toBe(1);
    });
  });

  it("the button decides, the address stays, going back and reloading decide nothing more", async () => {
    const token = tokenFor("pressed");
    const own = recordedEnv({ [token]: openView() });
    const served = await serveDecisionPages(own);
    try {
      await withPage(phone, async (page) => {
        await page.goto(`${served.url}/v1/approve/${token}`);
        await page.getByLabel("Note").fill("Looks right.\nAnna");
        await page.getByRole("button", { name: "Approve and send" }).click();
        expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Approved");
        expect(page.url()).toBe(`${served.url}/v1/approve/${token}`);
        await page.reload();
        await page.goBack();
        await page.reload();
        expect(await page.getByRole("heading", { level: 1 }).textContent()).not.toContain("Send this email");
      });
      const made = own.calls.filter((call) => call.method === "decideByLink");
      expect(made).toMatchObject([{ decision: "approve", note: "Looks right.\nAnna" }]);
      // The reason why `Origin: null` from the same origin must be taken: this is what browsers send.
      expect(served.requests.filter((request) => request.method === "POST")).toEqual([
        { method: "POST", origin: "null", site: "same-origin" },
      ]);
    } finally {
      await served.close();
    }
  });

  it("a form on another site decides nothing", async () => {
    const token = tokenFor("attacked");
    const own = recordedEnv({ [token]: openView() });
    const served = await serveDecisionPages(own);
    const form = `<form method="post" action="${served.url}/v1/approve/${token}"><input name="decision" value="approve"><button>Win</button></form>`;
    const evil = await serveDecisionPages(recordedEnv({}), { "/": form });
    try {
      await withPage(phone, async (page) => {
        await page.goto(evil.url.replace("127.0.0.1", "localhost"));
        const [answer] = await Promise.all([
          page.waitForResponse((response) => response.request().method() === "POST"),
          page.getByRole("button").click(),
        ]);
        expect(answer.status()).toBe(403);
      });
      expect(own.calls).toEqual([]);
    } finally {
      await Promise.all([served.close(), evil.close()]);
    }
  });
});

describe("a hostile message in its frame", () => {
  it("runs nothing, loads nothing, goes nowhere and reaches nothing", async () => {
    const token = tokenFor("hostile");
    const trap = await serveDecisionPages(recordedEnv({}), {});
    const at = `${trap.url}/beacon`;
    const html = [
      `<script>top.location="${at}?script"</script><img src="${at}?img" onerror="fetch('${at}?onerror')">`,
      `<style>@import url("${at}?import");body{background:url("${at}?css")}</style><link rel="stylesheet" href="${at}?link">`,
      `<meta http-equiv="refresh" content="0;url=${at}?refresh"><base href="${at}?base"><iframe src="${at}?frame"></iframe>`,
      `<p style="background:url('${at}?style')">Hello</p><form action="${at}?form"><button id="send">Send</button></form>`,
      `<a id="here" href="${at}?a">a link</a> <a id="top" href="${at}?top" target="_top">out</a> <a id="new" href="${at}?new" target="_blank">new</a>`,
      `<object data="${at}?object"></object><video src="${at}?video" autoplay></video><svg><image href="${at}?svg"/></svg>`,
    ].join("");
    const served = await serveDecisionPages(
      recordedEnv({ [token]: openView(decisionItem({ kind: "inbound" }, { html })) }),
    );
    try {
      await withPage({ viewport: { width: 1280, height: 900 } }, async (page, context) => {
        await page.goto(`${served.url}/v1/approve/${token}`);
        const frame = page.frameLocator("iframe");
        for (const id of ["#here", "#top", "#new", "#send"]) {
          const target = frame.locator(id);
          // A click that navigated the frame to a refusal leaves nothing to click.
          if ((await target.count()) > 0) await target.click({ timeout: 2000 });
        }
        await page.waitForLoadState("networkidle");
        expect(page.url()).toBe(`${served.url}/v1/approve/${token}`);
        expect(context.pages()).toHaveLength(1);
        expect(await page.getByRole("button", { name: "Release to the agent" }).count()).toBe(1);
      });
      expect(trap.requests).toEqual([]);
    } finally {
      await Promise.all([served.close(), trap.close()]);
    }
  });
});
