import { describe, expect, test } from "vitest";
import type { MessageItem } from "../../durable-objects/mailbox-rpc.ts";
import { itemFacts } from "../../src/mail/notification-item.ts";
import { DecisionPage } from "../../src/pages/decision.tsx";
import { renderPage } from "../../src/pages/layout.tsx";
import { decisionItem, NOW } from "../support/decision-page-fixtures.ts";

/** What people see of a message that is passed on, before they decide. */

const ORIGINAL: NonNullable<MessageItem["forwarded"]> = {
  email_id: "em_01KBMX3Z8Q4N7W2T0123ABCDEF",
  form: "attached",
  from: { name: "Ann", address: "ann@bank.example" },
  to: [{ name: null, address: "orders@acme.example" }],
  cc: [{ name: "Carl", address: "carl@bank.example" }],
  subject: "Your invoice",
  at: "2026-11-20T08:00:00.000Z",
  body: { text: "Pay 5 euros.\nSoon.", html: "<p>Pay <b>5</b> euros.</p>" },
  attachments: [{ name: "bill.pdf", content_type: "application/pdf", size: 2048 }],
};

function page(forwarded?: MessageItem["forwarded"]): string {
  const item = decisionItem(forwarded ? { forwarded } : {});
  return renderPage(
    <DecisionPage
      {...{ item, approver: "boss@acme.example", approved_at: null, expires_at: null, now: NOW }}
      {...{ base: "/v1/approve/t", csrf: "x" }}
    />,
  );
}

describe("the decision page", () => {
  test("shows what is attached: who wrote it to whom, its words and its files", () => {
    const html = page(ORIGINAL);
    expect(html).toContain("A message that others wrote is attached to it");
    const card = html.slice(html.indexOf("The attached message"));
    for (const shown of [
      "ann@bank.example",
      "orders@acme.example",
      "carl@bank.example",
      "Your invoice",
      "Pay 5 euros.",
      "bill.pdf",
    ]) {
      expect(card).toContain(shown);
    }
    expect(card).toMatch(/<iframe[^>]* sandbox=""/);
  });

  test("says of what is redirected that it leaves as it is, and does not show it twice", () => {
    const html = page({ ...ORIGINAL, form: "redirected", body: null });
    expect(html).toContain("passed on as it is");
    expect(html).not.toContain("The attached message");
  });

  test("says nothing of it where nothing is passed on", () => {
    expect(page()).not.toMatch(/passed on as it is|The attached message/);
  });

  test("lets nothing of the original become a part of the page", () => {
    const evil = '"><script>x()</script><form action=/v1/approve/t>';
    const html = page({
      ...ORIGINAL,
      subject: evil,
      from: { name: evil, address: "ann@bank.example" },
      body: { text: evil, html: null },
      attachments: [{ name: evil, content_type: evil, size: 1 }],
    });
    expect(html).not.toContain("<script>x()");
    expect(html).not.toContain("<form action=/v1");
  });
});

describe("the mail that asks for a decision", () => {
  test.each([
    [{ ...ORIGINAL }, ["Attached", "Your invoice, from ann@bank.example"]],
    [{ ...ORIGINAL, subject: "" }, ["Attached", "(no subject), from ann@bank.example"]],
    [
      { ...ORIGINAL, form: "redirected" as const, body: null },
      ["Passes on", "the message below as it is; others wrote it"],
    ],
  ])("says first whose words they are", (forwarded, fact) => {
    expect(itemFacts(decisionItem({ forwarded }))[0]).toEqual(fact);
  });
});
