import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MessageItem } from "../../durable-objects/mailbox-rpc.ts";
import { decisionOf } from "../../src/doors/approve/decision.ts";
import { type DecisionForm, keptWords, readDecisionForm } from "../../src/doors/approve/form.ts";
import { renderMarkdown } from "../../src/mail/markdown.ts";
import { DecisionPage, type TypedEdit } from "../../src/pages/decision.tsx";
import { renderPage } from "../../src/pages/layout.tsx";
import { decisionItem, editableItem, ITEMS, NOW, upgradeItem } from "../support/decision-page-fixtures.ts";
import { wordsOf } from "../support/page-words.ts";

const UNTOUCHED: TypedEdit = { subject: null, body: null, without: [] };

function form(change: Partial<DecisionForm> = {}, typed: Partial<TypedEdit> = {}): DecisionForm {
  return {
    csrf: "",
    content_hash: "",
    choice: "approve_edited",
    note: "",
    typed: { ...UNTOUCHED, ...typed },
    ...change,
  };
}

function request(fields: string): Request {
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  return new Request("https://mail.example.com/", { method: "POST", body: fields, headers });
}

const SUBJECT = "Your order 4711 ships on Thursday";
const LISTS = {
  to: [
    { name: null, address: "alice@customer.example" },
    { name: null, address: "bob@customer.example" },
  ],
  cc: [{ name: null, address: "carl@customer.example" }],
  bcc: [{ name: null, address: "audit@acme.example" }],
};

/** What a browser sends for the page's fields, none of them touched. */
function untouched(item: MessageItem): TypedEdit {
  const crlf = (text: string) =>
    text
      .replace(/\r\n?|\n/g, "\r\n")
      .replaceAll("\0", "\uFFFD")
      .toWellFormed();
  return { subject: item.content.subject.replace(/[\r\n]/g, ""), body: crlf(item.source?.text ?? ""), without: [] };
}

describe("what a person makes of a message before they approve it", () => {
  it("is rendered as the agent's own text would be, and adds nothing", () => {
    const body = "Dear Alice,\r\n\r\nit leaves on *Friday*.";
    const { decision } = decisionOf(
      form({ note: "Friday, not Thursday." }, { subject: "It ships on Friday", body }),
      editableItem(),
    );
    const markdown = "Dear Alice,\n\nit leaves on *Friday*.";
    expect(decision).toEqual({
      decision: "approve",
      note: "Friday, not Thursday.",
      edit: { subject: "It ships on Friday", body: { markdown, ...renderMarkdown(markdown) }, without: [] },
    });
  });

  it("stays plain text where the agent wrote plain text", () => {
    const item = editableItem({ source: { format: "text", text: "Hello *you*" } });
    const { decision } = decisionOf(form({}, { body: "Hello <b>*all*</b>" }), item);
    expect(decision?.edit?.body).toEqual({ text: "Hello <b>*all*</b>", html: null, markdown: null });
  });

  it.each([
    ["the subject alone", { subject: "Other" }, { subject: "Other", body: null, without: [] }],
    ["the text alone", { body: "Other" }, { subject: SUBJECT, body: "Other", without: [] }],
    [
      "a recipient alone",
      { without: ["bob@customer.example"] },
      { subject: SUBJECT, body: null, without: ["bob@customer.example"] },
    ],
    ["nothing in the subject", { subject: "" }, { subject: "", body: null, without: [] }],
    ["nothing in the text", { body: "" }, { subject: SUBJECT, body: "", without: [] }],
  ] as const)("may be %s; the rest stays as it was, to the byte", (_name, typed, expected) => {
    const { decision } = decisionOf(
      form({}, { ...typed, without: [...("without" in typed ? typed.without : [])] }),
      editableItem({}, LISTS),
    );
    const edit = decision?.edit;
    expect(edit && { ...edit, body: edit.body?.markdown ?? null }).toEqual(expected);
  });

  it("leaves a message that came as HTML as it is, unless its text is changed", () => {
    const item = decisionItem({ source: { format: "text", text: "Hello" } });
    expect(decisionOf(form({}, { subject: "Other", body: "Hello" }), item).decision?.edit?.body).toBe(null);
    const { decision } = decisionOf(form({}, { body: "Hello you" }), item);
    expect(decision?.edit?.body).toEqual({ text: "Hello you", html: null, markdown: null });
  });

  it("is a plain approval where nothing was changed, whichever button was pressed", () => {
    for (const choice of ["approve", "approve_edited"] as const) {
      for (const typed of [UNTOUCHED, untouched(editableItem())]) {
        expect(decisionOf(form({ choice, typed }), editableItem()).decision).toEqual({
          decision: "approve",
          note: null,
          edit: null,
        });
      }
    }
  });

  it("a text that a browser sends back untouched is untouched, whatever is in it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (subject, text) => {
        const item = editableItem({ source: { format: "text", text } }, { subject });
        for (const choice of ["approve", "approve_edited"] as const) {
          const { decision, trouble } = decisionOf(form({ choice, typed: untouched(item) }), item);
          expect([trouble, decision?.edit]).toEqual([null, null]);
        }
      }),
    );
  });

  const refused: [string, Partial<TypedEdit>, RegExp][] = [
    ["a line break in the subject", { subject: "a\nBcc: x@evil.example" }, /subject may not contain line breaks/],
    ["a carriage return in the subject", { subject: "a\rb" }, /subject may not contain line breaks/],
    ["NUL in the subject", { subject: "a\0b" }, /subject may not contain line breaks or NUL/],
    ["999 characters of subject", { subject: "x".repeat(999) }, /subject is 999 characters long; 998 are possible/],
    [
      "more text than an agent may write",
      { body: "é".repeat(128 * 1024 + 1) },
      /The text has 262146 bytes; 262144 are possible/,
    ],
    ["somebody who does not get it anyway", { without: ["x@evil.example"] }, /x@evil\.example is no recipient/],
    ["everybody in To", { without: ["alice@customer.example", "bob@customer.example"] }, /leave one recipient in/],
    [
      "everybody",
      { without: [...LISTS.to, ...LISTS.cc, ...LISTS.bcc].map(({ address }) => address) },
      /leave one recipient in/,
    ],
    ["Markdown that becomes far larger", { body: "&".repeat(256 * 1024) }, /larger than 1 MiB/],
  ];
  it.each(refused)("is not taken with %s, and nothing is decided", (_name, typed, why) => {
    const { decision, trouble } = decisionOf(form({}, typed), editableItem({}, LISTS));
    expect(decision).toBe(null);
    expect(trouble).toMatch(why);
    expect(trouble).toMatch(/Nothing was decided\.$/);
  });

  it.each([
    ["998 characters of subject", { subject: "x".repeat(998) }],
    ["as much text as an agent may write", { body: "é".repeat(128 * 1024) }],
    [
      "all but one of To, all of Cc and Bcc",
      { without: ["alice@customer.example", "carl@customer.example", "audit@acme.example"] },
    ],
  ] as const)("is taken with %s", (_name, typed) => {
    const given = { ...typed, without: [...("without" in typed ? typed.without : [])] };
    expect(decisionOf(form({}, given), editableItem({}, LISTS)).trouble).toBe(null);
  });

  it("is never lost to the wrong button: a plain approval of a changed message decides nothing and says why", () => {
    for (const typed of [{ subject: "Other" }, { body: "Other" }, { without: ["alice@customer.example"] }]) {
      const { decision, trouble } = decisionOf(form({ choice: "approve" }, typed), editableItem());
      expect(decision).toBe(null);
      expect(trouble).toMatch(
        /You changed the message\. .*press “Approve with these changes and send”; .* Nothing was decided\./,
      );
    }
  });

  it("does not keep a person from rejecting", () => {
    const { decision } = decisionOf(form({ choice: "reject", note: "No." }, { subject: "x\ny" }), editableItem());
    expect(decision).toEqual({ decision: "reject", note: "No.", edit: null });
  });
});

describe("what cannot be changed", () => {
  const others = Object.entries({ ...ITEMS, "sent as HTML": decisionItem() }).filter(
    ([, item]) => item.kind !== "upgrade",
  );
  it.each(others)("%s: approving with changes decides nothing", (_name, item) => {
    const { decision, trouble } = decisionOf(form({}, { subject: "Other", body: "Other" }), item);
    expect(decision).toBe(null);
    expect(trouble).toMatch(/cannot be changed here/);
  });
  it.each(others)("%s: is approved as it is", (_name, item) => {
    expect(decisionOf(form({ choice: "approve" }), item).decision).toEqual({
      decision: "approve",
      note: null,
      edit: null,
    });
  });
  it.each(["approve", "approve_edited"] as const)("a request for more freedom is not let through by %s", (choice) => {
    const { decision, trouble } = decisionOf(form({ choice }), upgradeItem());
    expect(decision).toBe(null);
    expect(trouble).toMatch(/Only the operator's code/);
  });
  it("it can be rejected", () => {
    expect(decisionOf(form({ choice: "reject" }), upgradeItem()).decision).toMatchObject({ decision: "reject" });
  });
});

describe("reading the form", () => {
  it("takes its fields, and each left-out recipient once", async () => {
    const fields = new URLSearchParams({
      csrf: "s",
      content_hash: "h",
      decision: "approve_edited",
      note: " a\r\nb ",
      subject: "x",
      body: "y\r\nz",
    });
    for (const address of ["a@x.example", "b@x.example", "a@x.example"]) fields.append("without", address);
    expect(await readDecisionForm(request(fields.toString()))).toEqual({
      csrf: "s",
      content_hash: "h",
      choice: "approve_edited",
      note: "a\nb",
      typed: { subject: "x", body: "y\r\nz", without: ["a@x.example", "b@x.example"] },
    });
  });

  it("has nulls for what an old page did not have", async () => {
    expect(await readDecisionForm(request("csrf=s&decision=approve"))).toMatchObject({
      content_hash: "",
      typed: UNTOUCHED,
    });
  });

  it.each(["", "decision=maybe", "decision=approve&decision=reject", "decision=Approve", "decision=toString"])(
    "no choice: %j",
    async (fields) => {
      expect((await readDecisionForm(request(fields)))?.choice).toBe(null);
    },
  );

  it("takes the longest text of nothing but line ends, and no form beyond that", async () => {
    const longest = `body=${"%0D%0A".repeat(256 * 1024)}`;
    expect((await readDecisionForm(request(longest)))?.typed.body).toHaveLength(2 * 256 * 1024);
    expect(await readDecisionForm(request(`${longest}&note=${"x".repeat(100 * 1024)}`))).toBe(null);
  });

  it("words are kept only of somebody who changed a message", () => {
    const typed = { subject: "s", body: "b", without: [] };
    expect(keptWords(form({ note: "n" }, typed))).toEqual({ note: "n", subject: "s", body: "b" });
    expect(keptWords(form({ choice: "approve" }, typed))).toBe(null);
  });
});

describe("the page's fields for changes", () => {
  function page(item: MessageItem, typed?: TypedEdit): string {
    const props = {
      approver: "anna@acme.example",
      approved_at: null,
      expires_at: null,
      csrf: "secret",
      now: NOW,
      typed,
    };
    return renderPage(<DecisionPage item={item} base="/v1/approve/token" {...props} />);
  }

  it("start from the source, belong to the one form, and offer each recipient", () => {
    const html = page(editableItem({}, LISTS));
    expect(html.match(/<form/g)).toHaveLength(1);
    expect(html).toMatch(/<details class="card edit"><summary>Change it before it is sent/);
    expect(html).toContain(`name="subject" form="decision" value="${SUBJECT}"`);
    expect(html).toMatch(
      /<textarea id="edit-body" name="body" form="decision"[^>]*>\nDear Alice,\n\nyour order \*\*4711\*\*/,
    );
    expect([...html.matchAll(/name="without" value="([^"]*)" form="decision"/g)].map((match) => match[1])).toEqual([
      "alice@customer.example",
      "bob@customer.example",
      "carl@customer.example",
      "audit@acme.example",
    ]);
    expect(html).toMatch(
      /<button[^>]*form="decision" name="decision" value="approve_edited">Approve with these changes and send</,
    );
  });

  it("say where changing the text leaves the formatted version out", () => {
    const without = /it is sent alone, without the formatted version/;
    expect(page(decisionItem({ source: { format: "text", text: "Hello" } }))).toMatch(without);
    expect(page(decisionItem({ source: { format: "text", text: "Hello" } }, { html: null }))).not.toMatch(without);
    expect(page(editableItem())).not.toMatch(without);
  });

  it("cannot be sent by pressing Enter: the form's first button is disabled", () => {
    const [first] = page(editableItem()).match(/<button[^>]*>/g) ?? [];
    expect(first).toMatch(/ disabled/);
  });

  it("come back as they were typed, open", () => {
    const typed = { subject: `"Other" <x>`, body: "\r\nOther </textarea><script>", without: ["bob@customer.example"] };
    const html = page(editableItem({}, LISTS), typed);
    expect(html).toContain('<details class="card edit" open');
    expect(html).toContain('value="&quot;Other&quot; &lt;x&gt;"');
    expect(html).toContain("\n\nOther &lt;/textarea&gt;&lt;script&gt;</textarea>");
    expect(html).toMatch(/value="bob@customer\.example" form="decision" checked/);
    expect(html.match(/name="without"[^>]* checked/g)).toHaveLength(1);
  });

  it("stay closed where the form comes back for another reason", () => {
    expect(page(editableItem(), UNTOUCHED)).not.toContain('edit" open');
  });

  it("say under a quorum above one that another person must approve it too", () => {
    const words = wordsOf(page(editableItem({ quorum: { needed: 2, approvals: [] } })));
    expect(words).toMatch(/Once you change it, another person must approve it too\. Approve with these changes /);
    expect(wordsOf(page(editableItem()))).not.toContain("another person");
  });

  it.each([
    ["without a source", decisionItem()],
    ["that arrived", decisionItem({ kind: "inbound", source: { format: "text", text: "Hello" } })],
  ])("are not there for a message %s", (_name, item) => {
    expect(page(item)).not.toMatch(/name="(?:subject|body|without)"|approve_edited/);
  });
});
