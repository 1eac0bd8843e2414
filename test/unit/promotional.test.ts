import { describe, expect, test } from "vitest";
import { authoredText, finishBodies } from "../../src/mail/finished-body.ts";
import {
  BULK_RECIPIENTS,
  type CategoryFacts,
  categoryOf,
  withFooter,
  wordDigests,
} from "../../src/mail/promotional.ts";
import { keepsBack, outweighs, SUPPRESSION_REASONS } from "../../src/mail/suppression.ts";

const FEW: CategoryFacts = {
  tags: {},
  recipients: 1,
  same_words: 1,
  is_reply: false,
  from_template: false,
  is_held: false,
};

describe("mail counts as", () => {
  test.each<[string, Partial<CategoryFacts>, string | null, string]>([
    ["nothing in particular when it is for few", {}, null, "few"],
    ["promotional when it is tagged so", { tags: { promotional: "" } }, "promotional", "tagged"],
    [
      "promotional when it is tagged so, whoever approves",
      { tags: { promotional: "" }, is_held: true },
      "promotional",
      "tagged",
    ],
    [
      "promotional when it is tagged both ways",
      { tags: { promotional: "", transactional: "" } },
      "promotional",
      "tagged",
    ],
    ["promotional when one message is for many", { recipients: BULK_RECIPIENTS }, "promotional", "bulk"],
    [
      "nothing when it is for one fewer",
      { recipients: BULK_RECIPIENTS - 1, same_words: BULK_RECIPIENTS - 1 },
      null,
      "few",
    ],
    ["promotional when many get the same words", { same_words: BULK_RECIPIENTS }, "promotional", "bulk"],
    [
      "promotional though an agent that nobody asks says otherwise",
      { recipients: 30, tags: { transactional: "" } },
      "promotional",
      "bulk",
    ],
    [
      "transactional where a person decides on it, tagged so",
      { recipients: 30, tags: { transactional: "" }, is_held: true },
      "transactional",
      "a_person_decides",
    ],
    ["promotional where a person decides on it untagged", { recipients: 30, is_held: true }, "promotional", "bulk"],
    [
      "transactional when a person approved its template",
      { recipients: 30, from_template: true },
      "transactional",
      "approved_template",
    ],
    [
      "promotional when such a template is tagged so",
      { from_template: true, tags: { promotional: "" } },
      "promotional",
      "tagged",
    ],
    ["nothing when it answers somebody", { is_reply: true, same_words: 30 }, null, "reply"],
    ["promotional when the answer goes to many", { is_reply: true, recipients: 30 }, "promotional", "bulk"],
  ])("%s", (_what, facts, category, because) => {
    expect(categoryOf({ ...FEW, ...facts })).toEqual({ category, because });
  });
});

describe("the words of one mailing", () => {
  test("are the same whatever the name, the number and the spacing", () => {
    const one = wordDigests({ subject: "Offer 17", text: "Dear Ana,\n\nbuy 3 for 10 EUR!" });
    const two = wordDigests({ subject: "OFFER 18", text: "Dear Bo,\r\n\r\nbuy  5 for 20 EUR" });
    expect(two).toEqual(one);
    expect(wordDigests({ subject: "Offer", text: "Dear Ana,\n\nsomething else" })[1]).not.toBe(one[1]);
  });

  test("are the author's: what the mailbox adds to all of its mail makes no two mails alike", () => {
    const additions = { signature_block: "Shop\r\nMain Street 1", ai_disclosure: true };
    const bodyOf = (text: string) => {
      const finished = finishBodies({ text, html: null }, additions);
      return authoredText(finished.text, additions.signature_block);
    };
    expect([bodyOf("Your parcel left."), bodyOf("Dear Ana,\n\nbuy\n")]).toEqual([
      "Your parcel left.",
      "Dear Ana,\n\nbuy",
    ]);
    const [one, two] = ["Your parcel left.", "Your room is booked."].map((text) =>
      wordDigests({ subject: "", text: bodyOf(text) }),
    );
    expect(one).toHaveLength(1);
    expect(one).not.toEqual(two);
  });

  test("are none where nothing is said", () => {
    expect(wordDigests({ subject: " 17 ", text: "123" })).toEqual([]);
  });
});

test("the footer stands below everything, and nothing in it becomes markup", () => {
  const facts = { postal_address: "A <b> & Co\r\nStreet 1", unsubscribe_url: "https://m.example/v1/unsubscribe/x" };
  expect(withFooter({ text: "Hello\n", html: "<p>Hello</p>" }, facts)).toEqual({
    text: "Hello\n\nA <b> & Co\nStreet 1\nUnsubscribe: https://m.example/v1/unsubscribe/x",
    html: '<p>Hello</p>\n<hr />\n<p>A &lt;b&gt; &amp; Co<br />Street 1<br /><a href="https://m.example/v1/unsubscribe/x">Unsubscribe</a></p>',
  });
  expect(withFooter({ text: "Hello", html: null }, facts).html).toBeNull();
});

test("who unsubscribed still gets what they need, and of two reasons the weightier stays", () => {
  for (const reason of SUPPRESSION_REASONS) {
    expect(keepsBack(reason, { promotional: true })).toBe(true);
    expect(keepsBack(reason, { promotional: false })).toBe(reason !== "unsubscribed");
    expect(keepsBack(reason, { promotional: true, ordered: true })).toBe(/bounce/.test(reason));
  }
  expect(outweighs("complaint", "unsubscribed")).toBe(true);
  expect(outweighs("unsubscribed", "complaint")).toBe(false);
  expect(outweighs("manual", "manual")).toBe(false);
});
