import { describe, expect, test } from "vitest";
import { NO_FILTERS, pickOf, QueuePage, queueAddress } from "../../src/pages/console/queue.tsx";
import { rowOf, titleOf, whyAlone } from "../../src/pages/console/row.ts";
import { CONSOLE_STYLE } from "../../src/pages/console/style.ts";
import { renderPage } from "../../src/pages/layout.tsx";
import { STYLE_SOURCES, styleSource } from "../../src/pages/style.ts";
import { ITEMS, PAGES, queueProps, ROWS, VIEWER } from "../support/console-pages.tsx";
import { attachment, decisionItem, requestItem, templateItem, upgradeItem } from "../support/decision-page-fixtures.ts";

describe.each(Object.entries(PAGES))("the page %s", (_name, page) => {
  test("runs nothing, loads nothing, and styles itself only as its policy lets it", () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\son\w+=|javascript:/i);
    const styles = [...page.matchAll(/<style>(.*?)<\/style>/gs)].map(([, style = ""]) => style);
    for (const style of styles) expect(STYLE_SOURCES).toContain(styleSource(style));
    expect(styles).toContain(CONSOLE_STYLE);
  });

  test("every form is sent to the console, and every one of a session carries its secret", () => {
    for (const [form, action = ""] of page.matchAll(/<form[^>]*action="([^"]*)"[^>]*>/g)) {
      expect(action).toMatch(/^\/console(?:\/|$)/);
      if (form.includes('method="post"') && page.includes("You are deciding as")) {
        const inside = page.slice(page.indexOf(form)).split("</form>")[0];
        expect(inside).toContain(`name="csrf" value="${VIEWER.csrf}"`);
      }
    }
  });
});

describe("a row", () => {
  test("is picked by its id and the content that was shown", () => {
    for (const row of ROWS) {
      expect(PAGES.queue).toContain(`value="${row.pending_id}.${row.content_hash}"`);
      expect(pickOf(row)).toBe(`${row.pending_id}.${row.content_hash}`);
    }
  });

  test("shows someone else's words as text, its hidden characters spelled out", () => {
    const row = rowOf(decisionItem({}, { subject: "<b>Sale</b>\u202E" }));
    const page = renderPage(<QueuePage {...queueProps({ rows: [row] })} />);
    expect(page).toContain("&lt;b&gt;Sale&lt;/b&gt;");
    expect(page).not.toContain("\u202E");
  });

  test("shows a query exactly, or not at all", () => {
    const queue = (q: string) =>
      renderPage(
        <QueuePage
          {...queueProps({ rows: [rowOf(requestItem({ request: { operation: "search_email", input: { q } } }))] })}
        />,
      ).replace(/<\/?bdi>/g, "");
    expect(queue("invoice 4711")).toContain("Words to search for: invoice 4711");
    expect(queue("x".repeat(381))).toContain("x".repeat(381));
    expect(queue("x".repeat(382))).not.toContain("xxx");
  });

  test("has a title for every kind", () => {
    expect(ITEMS.map(titleOf)).toEqual([
      "Your order 4711 ships on Thursday",
      expect.stringContaining("Invoice"),
      "عرض الأسعار رقم 12",
      "(no subject)",
      "Search the messages in the mailbox",
      "Delete a message",
      "Template “Shipping notice”, version 1",
      expect.any(String),
    ]);
  });
});

describe("an item is approved among others", () => {
  const risky = (score: number) => decisionItem({ risk: { score, reasons: [] } });
  test.each([
    ["if it is ordinary", decisionItem(), null],
    ["if its risk is at the limit", risky(0.5), null],
    ["never if its risk is above it", risky(0.51), /risk is high/],
    [
      "never if something in it is dangerous",
      decisionItem({}, { attachments: [attachment("a.pdf.exe", "application/pdf", 1)] }),
      /serious warning/,
    ],
    ["if it is a query", requestItem(), null],
    [
      "never if its row cannot show all that it asks for",
      requestItem({ request: { operation: "search_email", input: { q: "x".repeat(400) } } }),
      /more than a row/,
    ],
    ["if it is an ordinary template", templateItem(), null],
    [
      "never if a template misleads",
      templateItem({}, { markdown: "[https://bank.example](https://evil.example)" }),
      /serious warning/,
    ],
    ["never if it asks for more freedom", upgradeItem(), /operator's code/],
  ])("%s", (_when, item, why) => {
    if (why === null) expect(whyAlone(item)).toBeNull();
    else expect(whyAlone(item)).toMatch(why);
  });
});

test("the queue's address carries what is filtered, and nothing else", () => {
  expect(queueAddress(NO_FILTERS)).toBe("/console/queue");
  expect(queueAddress({ ...NO_FILTERS, agent: "a&b=c", kind: "send" }, { after: "", select: "page" })).toBe(
    "/console/queue?kind=send&agent=a%26b%3Dc&select=page",
  );
});
