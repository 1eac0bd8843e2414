import { describe, expect, test } from "vitest";
import { type ArrivingMail, automaticFlags, isAutomatic, MOST_HOPS } from "../../src/mail/automatic-mail.ts";

const ROUTING = "7ZK3Q9AB";
const OWN = `<em_01JABCDEFGHJKMNPQR${ROUTING}@agents.test>`;

function flags(headers: [string, string][], rest: Partial<ArrivingMail> = {}): string[] {
  return automaticFlags({
    headers,
    envelope_from: "ana@customer.example",
    envelope_to: "agent@agents.test",
    rfc_message_id: "<1@customer.example>",
    routing: ROUTING,
    ...rest,
  });
}

describe("a program wrote it", () => {
  test.each<[string, [string, string][], Partial<ArrivingMail>, string]>([
    ["Auto-Submitted", [["Auto-Submitted", "auto-replied (vacation)"]], {}, "auto_submitted"],
    ["Auto-Submitted in another case", [["AUTO-SUBMITTED", "Auto-Generated; x=y"]], {}, "auto_submitted"],
    ["X-Autoreply", [["X-Autoreply", "yes"]], {}, "auto_submitted"],
    ["the null sender", [], { envelope_from: "" }, "null_sender"],
    ["the null sender, written", [], { envelope_from: "<>" }, "null_sender"],
    ["Precedence", [["Precedence", "bulk"]], {}, "bulk_precedence"],
    ["no answers wanted", [["X-Auto-Response-Suppress", "DR, OOF, AutoReply"]], {}, "response_suppressed"],
    ["a list", [["List-Id", "<news.customer.example>"]], {}, "mailing_list"],
    ["a return path", [], { envelope_to: "bounces+abc@agents.test" }, "return_path"],
    ["our own message", [], { rfc_message_id: OWN }, "own_message"],
    [
      "a circle",
      Array.from({ length: MOST_HOPS + 1 }, (): [string, string] => ["Received", "from x by y"]),
      {},
      "mail_loop",
    ],
  ])("%s", (_what, headers, rest, flag) => {
    const found = flags(headers, rest);
    expect(found).toEqual(["auto_generated", flag]);
    expect(isAutomatic(found)).toBe(true);
  });
});

describe("a person may have written it", () => {
  test.each<[string, [string, string][], Partial<ArrivingMail>]>([
    ["nothing special", [["Subject", "Auto-Submitted: auto-replied"]], {}],
    ["Auto-Submitted: no", [["Auto-Submitted", "no"]], {}],
    ["Precedence: first-class", [["Precedence", "first-class"]], {}],
    ["another mailbox's message", [], { rfc_message_id: OWN.replace(ROUTING, "00000001") }],
    ["as many servers as mail passes", Array.from({ length: MOST_HOPS }, () => ["Received", "x"]), {}],
  ])("%s", (_what, headers, rest) => {
    expect(flags(headers, rest)).toEqual([]);
  });
});
