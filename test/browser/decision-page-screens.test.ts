import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DecisionItem, LinkView } from "../../durable-objects/mailbox-rpc.ts";
import {
  approvalRequestMail,
  digestMail,
  fallBackMail,
  monitoredCopyMail,
  operatorCodeMail,
  signInMail,
} from "../../src/mail/notification.ts";
import { decisionLink } from "../../src/oversight/decision-links.ts";
import {
  attachment,
  decidedView,
  decisionItem,
  editableItem,
  openView,
  RECORD,
  recordedEnv,
  requestItem,
  templateItem,
  tokenFor,
  upgradeItem,
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

const BERT = { by: "bert@acme.example", at: "2026-11-21T08:55:00.000Z" };
const REASONS = [
  { rule: "new_recipients", action: "hold", because: "alice@customer.example was never written to before." },
  { rule: "budget", action: "hold", because: "It would be the 21st message today; 20 are allowed." },
] as const;
const ruled = editableItem(
  {
    held_by: "new_recipients",
    because: "alice@customer.example was never written to before.",
    reasons: [...REASONS],
    risk: {
      score: 0.62,
      reasons: [
        { reason: "new_domain", weight: 0.3, because: "Nobody here has written to customer.example before." },
        { reason: "bounces", weight: 0.2, because: "3 of the last 20 messages bounced." },
      ],
    },
    send_at: "2026-11-25T07:00:00.000Z",
    quorum: { needed: 2, approvals: [BERT] },
    edits: [
      {
        by: "bert@acme.example",
        at: BERT.at,
        difference:
          "@@ -1,4 +1,3 @@\n Subject: Your order 4711 ships on Thursday\n To: Alice Moreau <alice@customer.example>\n-Cc: everybody@customer.example\n \n@@ -7,3 +6,3 @@\n \n-your order ships on Wednesday.\n+your order 4711 leaves our warehouse on Thursday, 26 November.\n \n",
      },
    ],
  },
  ORDER,
);
const tagging = requestItem({
  kind: "annotate",
  because: "In this mailbox whatever an agent changes waits for a person.",
  request: {
    operation: "tag_email",
    input: { email_id: "em_01KBMX3Z8Q4N7W2T0123ABCDEF", tags: { urgent: "", team: "north" } },
  },
  about: { subject: "Where is my order?", from: "Bob <bob@customer.example>", at: "2026-11-20T17:02:00.000Z" },
});
const newVersion = templateItem(
  {
    difference: "@@ -4,3 +4,3 @@\n Domains: customer.example\n \n-Hi {{name}},\n+Dear {{name}},\n",
  },
  { version: 2 },
);

const VIEWS: Record<string, LinkView> = {
  editable: openView(editableItem({}, ORDER)),
  ruled: openView(ruled),
  counted: openView(
    { ...ruled, quorum: { needed: 3, approvals: [BERT, { by: "anna@acme.example", at: BERT.at }] } },
    { approved_at: BERT.at },
  ),
  query: openView(requestItem()),
  annotation: openView(tagging),
  template: openView(templateItem()),
  "template-again": openView(newVersion),
  upgrade: openView(upgradeItem()),
  forever: openView({ ...order, expires_at: null }),
  partly: decidedView({
    decision: "approved_partly",
    status: "pending_send_approval",
    quorum: { needed: 2, approvals: [{ by: "anna@acme.example", at: BERT.at }] },
  }),
  consumed: decidedView({ kind: "read", status: "consumed" }),
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
  const link = decisionLink(product_url, tokenFor("mail"));
  const approver = "anna@acme.example";
  const ask = (item: DecisionItem, change = {}) =>
    approvalRequestMail({ item, link, approver, expires_at: DEADLINE, product_url, ...change });
  const words = "Change the mode of orders@acme.example from gated_send to autonomous.";
  return {
    "/mail/request": ask(order).html,
    "/mail/request-misleading": ask(misleading).html,
    "/mail/request-inbound": ask(arrived).html,
    "/mail/request-ruled": ask(ruled, { on_behalf_of: "ana@acme.example", escalated_after: 4 * 3600 }).html,
    "/mail/request-query": ask(requestItem()).html,
    "/mail/request-template": ask(newVersion).html,
    "/mail/request-upgrade": ask(upgradeItem()).html,
    "/mail/digest": digestMail({
      items: [order, misleading, requestItem(), newVersion].map((item) => ({ item, link })),
      more: 3,
      approver,
      product_url,
    }).html,
    "/mail/fell-back": fallBackMail({
      mailbox_address: "orders@acme.example",
      from: "autonomous",
      to: "gated_send",
      what: "bounces",
      count: 7,
      days: 3,
      at: DEADLINE,
      approver,
      product_url,
    }).html,
    "/mail/sign-in": signInMail({
      link: `${product_url}/console/enter/${tokenFor("mail")}`,
      person: approver,
      tenant_name: "Acme",
      expires_at: DEADLINE,
      product_url,
    }).html,
    "/mail/code-with-record": operatorCodeMail({
      code: "482 913",
      words,
      key_id: "key_1",
      expires_at: DEADLINE,
      tenant_name: "Acme",
      record: RECORD,
      mailbox_address: "orders@acme.example",
      product_url,
    }).html,
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
      await page.goto(`${pages.url}/v1/approve/${tokenFor("editable")}`);
      await page.getByText("Change it before it is sent").click();
      for (const target of await page
        .locator("button:visible, .views > label, .files a, .leave-out label, input[type=text], summary")
        .all()) {
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
      expect(made).toMatchObject([{ decision: { decision: "approve", note: "Looks right.\nAnna", edit: null } }]);
      // The reason why `Origin: null` from the same origin must be taken: this is what browsers send.
      expect(served.requests.filter((request) => request.method === "POST")).toEqual([
        { method: "POST", origin: "null", site: "same-origin" },
      ]);
    } finally {
      await served.close();
    }
  });

  it("a person changes the message and sends what they made of it, whatever they press first", async () => {
    const token = tokenFor("changed");
    const own = recordedEnv({
      [token]: openView(editableItem({}, { cc: [{ name: null, address: "carl@x.example" }] })),
    });
    const served = await serveDecisionPages(own);
    const made = () => own.calls.filter((call) => call.method === "decideByLink");
    try {
      await withPage(phone, async (page) => {
        await page.goto(`${served.url}/v1/approve/${token}`);
        await page.getByText("Change it before it is sent").click();
        await page.getByLabel("Subject").fill("It ships on Friday");
        await page.getByLabel("Subject").press("Enter");
        expect(served.requests.filter((request) => request.method === "POST")).toEqual([]);
        await page.getByLabel("Text, in Markdown").fill("Dear Alice,\n\nit ships on *Friday*.");
        await page.getByLabel("carl@x.example").check();
        await page.getByLabel("Note").fill("Not Thursday.");
        await page.getByRole("button", { name: "Approve and send", exact: true }).click();
        expect(await page.getByRole("alert").textContent()).toContain("You changed the message.");
        if (SCREENS) await page.screenshot({ path: join(SCREENS, "changed-phone.png"), fullPage: true });
        expect(await page.getByLabel("Subject").inputValue()).toBe("It ships on Friday");
        expect(await page.getByLabel("Text, in Markdown").inputValue()).toBe("Dear Alice,\n\nit ships on *Friday*.");
        expect(await page.getByLabel("carl@x.example").isChecked()).toBe(true);
        expect(await page.getByLabel("Note").inputValue()).toBe("Not Thursday.");
        expect(made()).toEqual([]);
        await page.getByRole("button", { name: "Approve with these changes and send" }).click();
        expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Approved");
      });
      expect(made()).toMatchObject([
        {
          decision: {
            decision: "approve",
            note: "Not Thursday.",
            edit: {
              subject: "It ships on Friday",
              body: { markdown: "Dear Alice,\n\nit ships on *Friday*.", text: "Dear Alice,\n\nit ships on Friday." },
              without: ["carl@x.example"],
            },
          },
        },
      ]);
    } finally {
      await served.close();
    }
  });

  it("whoever changes nothing approves what there is, also with a text that browsers rewrite", async () => {
    const token = tokenFor("untouched");
    const text = "\n a\r\nb\tc\rd\u00a0\u0000\ud800 e \n\n";
    const item = editableItem({ source: { format: "text", text } }, { subject: ' "quoted" & \t<b> ' });
    const own = recordedEnv({ [token]: openView(item) });
    const served = await serveDecisionPages(own);
    try {
      await withPage(phone, async (page) => {
        await page.goto(`${served.url}/v1/approve/${token}`);
        await page.getByRole("button", { name: /^Approve and send/ }).click();
        expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Approved");
      });
      expect(own.calls.at(-2)).toMatchObject({ decision: { decision: "approve", edit: null } });
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
