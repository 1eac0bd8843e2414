import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unsubscribeRoutes } from "../../src/doors/unsubscribe.tsx";
import { unsubscribeToken } from "../../src/mail/unsubscribe-token.ts";
import { expectUsable, keepPictures, launchChromium, PHONE, withPage } from "../support/chromium.ts";

// The unsubscribe page in a real browser. With SCREENS=<folder> the pictures are kept there.

const SCREENS = process.env.SCREENS;
const MASTER_KEY = Buffer.alloc(32, 1).toString("base64");
const EMAIL = "em_01JABCDEFGHJKMNPQR7ZK3Q9AB";

let browser: Browser;
let url: string;
const server = createServer(async (request, response) => {
  const [, answer] = PAGES.find(([name]) => request.url === `/${name}`) ?? [];
  const page = answer ? await answer() : new Response(null, { status: 404 });
  // Over plain HTTP a browser would be told to come back over TLS.
  page.headers.delete("Strict-Transport-Security");
  response.writeHead(page.status, Object.fromEntries(page.headers));
  response.end(await page.text());
});
beforeAll(async () => {
  browser = await launchChromium();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await browser.close();
  await new Promise((resolve) => server.close(resolve));
});

/** The page as it is answered, with a mailbox that knows its message. */
async function page(position: number | null, posted?: string): Promise<Response> {
  const mailbox = {
    openUnsubscribe: async () => ({
      from: { name: "Ana at Acme", address: "news@shop.xn--bcher-kva.example" },
      recipient: position === null ? null : "b…@customer.example",
    }),
    unsubscribe: async () => true,
  };
  const env = { MASTER_KEY, PUBLIC_URL: "https://mail.test", MAILBOX: { getByName: () => mailbox } };
  const token = unsubscribeToken({ MASTER_KEY }, { email_id: EMAIL, position });
  const init =
    posted === undefined
      ? {}
      : { method: "POST", body: posted, headers: { "content-type": "application/x-www-form-urlencoded" } };
  return unsubscribeRoutes().request(`https://mail.test/v1/unsubscribe/${token}`, init, env);
}

const PAGES: [name: string, answer: () => Promise<Response>][] = [
  ["own", () => page(0)],
  ["footer", () => page(null)],
  ["typo", () => page(null, "unsubscribe=yes&address=x")],
  ["done", () => page(0, "unsubscribe=yes")],
  [
    "unknown",
    async () =>
      unsubscribeRoutes().request(
        "https://mail.test/v1/unsubscribe/x",
        {},
        { MASTER_KEY, PUBLIC_URL: "https://mail.test" },
      ),
  ],
];

describe("the page", () => {
  it.each(PAGES)("%s is usable on a phone and on a desk, in light and in dark", async (name) => {
    await expectUsable(browser, `${url}/${name}`);
    await keepPictures(browser, `${url}/${name}`, `unsubscribe-${name}`, SCREENS);
  });
});

it("the button sends what unsubscribes, and nothing else on the page asks for anything", async () => {
  const html = await (await page(0)).text();
  await withPage(browser, { viewport: PHONE }, async (tab) => {
    const asked: string[] = [];
    await tab.route("**/*", (route) => {
      const request = route.request();
      asked.push(`${request.method()} ${request.postData() ?? ""}`);
      return route.fulfill({ contentType: "text/html", body: html });
    });
    await tab.goto("https://mail.test/v1/unsubscribe/x");
    await tab.getByRole("button", { name: "Unsubscribe" }).click();
    await tab.waitForLoadState();
    expect(asked).toEqual(["GET ", "POST unsubscribe=yes"]);
  });
});
