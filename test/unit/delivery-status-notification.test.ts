import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bounceKind } from "../../src/mail/bounce-kind.ts";
import { readDeliveryReport, statusFor } from "../../src/mail/delivery-status-notification.ts";
import { readFeedbackReport } from "../../src/mail/feedback-report.ts";
import { parseMessage } from "../../src/mail/parse.ts";
import { arf, block, dsn, NO_REPORTS, PLAIN_FORMS, plain } from "../support/bounces.ts";

const ANA = "ana@customer.example";

async function reported(mail: string, recipient = ANA) {
  const report = readDeliveryReport(await parseMessage(Buffer.from(mail)));
  return report && { form: report.form, ...statusFor(report, recipient) };
}

describe("a notification of RFC 3464", () => {
  test.each([
    ["failed", "5.1.1", "550 5.1.1 User unknown", { action: "failed", status: "5.1.1", code: 550 }],
    ["delayed", "4.4.1", "451 try later", { action: "delayed", status: "4.4.1", code: 451 }],
    ["delivered", "2.0.0", "", { action: "delivered", status: "2.0.0", code: null }],
    ["relayed", "2.1.9", "", { action: "relayed" }],
    ["expanded", "2.0.0", "", { action: "expanded" }],
    ["FAILED (permanent)", "5.1.1 (no such user)", "", { action: "failed", status: "5.1.1" }],
    ["failed", "5.0.0", "550 5.2.1 disabled", { action: "failed", status: "5.2.1", code: 550 }],
  ])("says %s %s %s", async (action, status, diagnostic, expected) => {
    expect(await reported(dsn([block(action, status, { diagnostic })]))).toMatchObject({
      form: "rfc3464",
      ...expected,
    });
  });

  test.each([
    [
      "its own block, wherever it stands",
      [block("delivered", "2.0.0", { to: "bo@x.example" }), block("failed", "5.1.1")],
      "failed",
    ],
    [
      "whom it was addressed to, where their mail was passed on",
      [
        block("failed", "5.1.1", { to: "ana@elsewhere.example", original: "rfc822; ana@customer.example" }),
        block("delivered", "2.0.0", { to: "bo@x.example" }),
      ],
      "failed",
    ],
    [
      "the mildest where none is theirs: an alias of which one is gone still works",
      [block("failed", "5.1.1", { to: "one@x.example" }), block("delivered", "2.0.0", { to: "two@x.example" })],
      "delivered",
    ],
    [
      "an address in another case and in quotes",
      [block("failed", "5.1.1", { to: '"ANA"@Customer.Example' }), block("delivered", "2.0.0", { to: "b@x.example" })],
      "failed",
    ],
  ])("means for a recipient %s", async (_what, blocks, action) => {
    expect(await reported(dsn(blocks))).toMatchObject({ action });
  });

  test("reads the internationalised form (RFC 6533)", async () => {
    const fields = [
      "Final-Recipient: utf-8; \\x{FC}na@customer.example\nAction: failed\nStatus: 5.1.1",
      block("delivered", "2.0.0", { to: "b@x.example" }),
    ];
    const mail = dsn(fields, { part: "message/global-delivery-status" });
    expect(await reported(mail, "üna@customer.example")).toMatchObject({ action: "failed" });
  });

  test("of 10,000 recipients is read as far as it goes, and says nothing of whom it did not come to", async () => {
    const blocks = Array.from({ length: 10_000 }, (_, n) => block("failed", "5.1.1", { to: `r${n}@x.example` }));
    const report = readDeliveryReport(await parseMessage(Buffer.from(dsn(blocks))));
    expect(report?.statuses.length).toBeLessThanOrEqual(501);
    expect(report && statusFor(report, ANA)).toBeNull();
    expect(report && statusFor(report, "r7@x.example")).toMatchObject({ action: "failed" });
  });

  test("with folded, repeated and endless fields takes the first of each, bounded, in one line", async () => {
    const fields = `Final-Recipient: rfc822;\n ${ANA}\nAction: failed\nAction: delivered\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 ${"x".repeat(9_000)}\n\tand on`;
    const found = await reported(dsn([fields]));
    expect(found).toMatchObject({ action: "failed", recipients: [ANA] });
    expect(found?.diagnostic?.length).toBeLessThanOrEqual(500);
  });
});

describe("a bounce written for people", () => {
  test.each(PLAIN_FORMS)("of the form %s", async (form, mail, action, kind) => {
    const found = await reported(mail);
    expect(found).toMatchObject({ form, action });
    if (action === "failed" && found?.action) expect(bounceKind(found as Parameters<typeof bounceKind>[0])).toBe(kind);
  });

  test.each(NO_REPORTS)("%s is none", async (_what, mail) => {
    expect(await reported(mail)).toBeNull();
  });

  test("never says that anything was delivered", async () => {
    for (const [, mail] of PLAIN_FORMS) expect((await reported(mail))?.action).not.toBe("delivered");
    expect(await reported(plain("Your message was delivered. 250 2.0.0", { subject: "Delivery report" }))).toBeNull();
  });
});

describe("a failure means", () => {
  test.each<[string, Parameters<typeof bounceKind>[0], string]>([
    ["no such address", { status: "5.1.1", code: 550, diagnostic: "" }, "hard"],
    ["null MX", { status: "5.1.10", code: 556, diagnostic: "" }, "hard"],
    ["our own address is refused", { status: "5.1.8", code: 550, diagnostic: "" }, "blocked"],
    ["switched off", { status: "5.2.1", code: 550, diagnostic: "" }, "hard"],
    ["full", { status: "5.2.2", code: 552, diagnostic: "" }, "soft"],
    ["too large", { status: "5.3.4", code: 552, diagnostic: "" }, "soft"],
    ["no route", { status: "5.4.4", code: null, diagnostic: "" }, "hard"],
    ["tried for too long", { status: "4.4.7", code: null, diagnostic: "" }, "soft"],
    ["policy", { status: "5.7.1", code: 550, diagnostic: "Rejected by policy" }, "blocked"],
    ["a policy code with words about the user", { status: "5.7.1", code: 550, diagnostic: "User unknown" }, "hard"],
    [
      "Exchange's access denied",
      { status: "5.4.1", code: 550, diagnostic: "Recipient address rejected: Access denied" },
      "soft",
    ],
    ["550 alone", { status: null, code: 550, diagnostic: "no" }, "hard"],
    ["550 that speaks of spam", { status: null, code: 550, diagnostic: "looks like spam" }, "blocked"],
    ["552 alone", { status: null, code: 552, diagnostic: "" }, "soft"],
    ["554 alone", { status: null, code: 554, diagnostic: "Transaction failed" }, "blocked"],
    ["a 4xx that became final", { status: null, code: 451, diagnostic: "user unknown" }, "soft"],
    ["nothing said", { status: null, code: null, diagnostic: "" }, "soft"],
    ["a code nobody knows", { status: "5.9.9", code: null, diagnostic: "" }, "soft"],
  ])("%s", (_what, said, kind) => {
    expect(bounceKind(said)).toBe(kind);
  });
});

describe("a complaint of RFC 5965", () => {
  const PATH = `bounces+${"0".repeat(48)}@agents.test`;
  test.each([
    ["abuse", "complaint"],
    ["Fraud", "complaint"],
    ["something-new", "complaint"],
    ["opt-out", "unsubscribe"],
    ["not-spam", "nothing"],
    ["auth-failure", "nothing"],
  ])("of the type %s means %s", async (type, means) => {
    const report = readFeedbackReport(await parseMessage(Buffer.from(arf(`Feedback-Type: ${type}\nVersion: 1`))));
    expect(report).toMatchObject({ means, return_paths: [] });
  });

  test.each([
    ["Original-Mail-From", arf(`Feedback-Type: abuse\nOriginal-Mail-From: <${PATH}>`), [PATH]],
    ["the returned Return-Path", arf("Feedback-Type: abuse", `Return-Path: <${PATH}>\nSubject: x\n\nbody\n`), [PATH]],
    [
      "a returned body, which anybody may have written",
      arf("Feedback-Type: abuse", `Subject: x\n\nReturn-Path: <${PATH}>\n`),
      [],
    ],
    ["a returned subject", arf("Feedback-Type: abuse", `Subject: Return-Path: <${PATH}>\n\nx\n`), []],
  ])("names its message by %s", async (_what, mail, paths) => {
    expect(readFeedbackReport(await parseMessage(Buffer.from(mail)))?.return_paths).toEqual(paths);
  });
});

test("whatever comes, it is read in bounded time, and what is no report is null", async () => {
  const parts = fc.constantFrom(
    "Action: failed",
    "Final-Recipient: rfc822;",
    "\r\n",
    "\r\n\r\n",
    "--report",
    "550 5.1.1",
    "Hi. This is the qmail-send program at ",
    ":",
    " ",
    "\0",
    "é",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(parts, fc.string()), { maxLength: 40 }), async (pieces) => {
      const parsed = await parseMessage(Buffer.from(pieces.join("")));
      expect(readDeliveryReport(parsed)).toBeNull();
      expect(readFeedbackReport(parsed)).toBeNull();
    }),
    { numRuns: 200 },
  );
});

// Each took minutes: the regular expressions tried every way to share out the gap.
test.each<[string, Parameters<typeof readDeliveryReport>[0]]>([
  ["words with a gap of 64,000 spaces", hostile(`Your message to${" ".repeat(64_000)}x`)],
  ["words with as many empty lines", hostile(`Your message to${" \n".repeat(32_000)}x`)],
  ["half a form over and over", hostile("Your message was not delivered to: ".repeat(2_000))],
  [
    "recipients with gaps",
    {
      ...hostile(""),
      attachments: [
        {
          ...{
            name: "status",
            content_type: "message/delivery-status",
            disposition: "attachment" as const,
            content_id: null,
          },
          bytes: Buffer.from(`Action: failed\r\nFinal-Recipient: a${" ".repeat(4_000)}b\r\n\r\n`.repeat(64)),
        },
      ],
    } as Parameters<typeof readDeliveryReport>[0],
  ],
])("a hostile server's report is read in bounded time: %s", (_what, message) => {
  readDeliveryReport(message);
});

function hostile(text: string): Parameters<typeof readDeliveryReport>[0] {
  return { headers: [["X-Failed-Recipients", ANA]], from: [], subject: "failure notice", text, attachments: [] };
}
