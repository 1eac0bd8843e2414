import { describe, expect, it } from "vitest";
import type { DecisionItem, LinkView } from "../../durable-objects/mailbox-rpc.ts";
import { hashDecisionToken } from "../../src/oversight/decision-links.ts";
import { decisions, get, post, secret, TOKEN } from "../support/decision-link-client.ts";
import {
  decidedView,
  decisionItem,
  editableItem,
  ITEMS,
  openView,
  ROUTING,
  recordedEnv,
  tokenFor,
  upgradeItem,
} from "../support/decision-page-fixtures.ts";
import { wordsOf } from "../support/page-words.ts";

// Approving with changes, decisions that need several people, and items that are no message. As in approve.test.ts the mailbox
// is a recording double.

const BERT = { by: "bert@acme.example", at: "2026-11-21T08:55:00.000Z" };
const OF_TWO = { needed: 2, approvals: [] };
const EDITED = {
  decision: "approve_edited",
  subject: "It ships on Friday",
  body: "Dear Alice,\r\n\r\nit ships on *Friday*.",
};

function editable(change: Parameters<typeof editableItem>[0] = {}): LinkView {
  return openView(editableItem(change));
}

/** A mailbox that shows `before` and answers decisions with `after`. */
function answering(before: LinkView, after: LinkView, later: LinkView = before) {
  const env = recordedEnv({ [TOKEN]: before });
  const mailbox = env.MAILBOX.getByName(ROUTING);
  let decided = false;
  env.MAILBOX.getByName = () => ({
    openLink: async (hash) => (decided ? later : mailbox.openLink(hash)),
    noteRefusedByLink: mailbox.noteRefusedByLink,
    decideByLink: async () => {
      decided = true;
      return after;
    },
  });
  return env;
}

describe("approving with changes", () => {
  it("hands the mailbox what the person made of it, rendered", async () => {
    const env = recordedEnv({ [TOKEN]: editable() });
    const answer = await post(env, { csrf: secret(), ...EDITED, note: "Friday!", without: "alice@customer.example" });
    expect(answer.status).toBe(422);
    const second = await post(env, { csrf: secret(), ...EDITED, note: "Friday!" });
    expect(second.status).toBe(303);
    expect(decisions(env)).toEqual([
      {
        routing: ROUTING,
        method: "decideByLink",
        tokenHash: hashDecisionToken(TOKEN),
        decision: {
          decision: "approve",
          note: "Friday!",
          edit: {
            subject: "It ships on Friday",
            body: {
              markdown: "Dear Alice,\n\nit ships on *Friday*.",
              html: "<p>Dear Alice,</p>\n<p>it ships on <em>Friday</em>.</p>",
              text: "Dear Alice,\n\nit ships on Friday.",
            },
            without: [],
          },
        },
      },
    ]);
  });

  it("takes a text of 256 KiB, and gives a longer one back to be shortened", async () => {
    const env = recordedEnv({ [TOKEN]: editable() });
    const long = "y".repeat(256 * 1024 + 1);
    const refused = await post(env, { csrf: secret(), decision: "approve_edited", body: long });
    expect(refused.status).toBe(422);
    const page = await refused.text();
    expect(page).toContain("The text has 262145 bytes; 262144 are possible. Nothing was decided.");
    expect(page).toContain(`>\n${long}</textarea>`);
    expect(decisions(env)).toEqual([]);
    const taken = await post(env, { csrf: secret(), decision: "approve_edited", body: long.slice(1) });
    expect(taken.status).toBe(303);
  });

  const refused: [string, Record<string, string>, RegExp][] = [
    [
      "a header in the subject",
      { ...EDITED, subject: "x\r\nBcc: me@evil.example" },
      /subject may not contain line breaks/,
    ],
    ["a recipient that is none", { ...EDITED, without: "x@evil.example" }, /x@evil\.example is no recipient/],
    ["no recipient left", { ...EDITED, without: "alice@customer.example" }, /leave one recipient in/],
    ["a long note", { ...EDITED, note: "x".repeat(2001) }, /2001 characters long/],
    ["the button that approves without changes", { ...EDITED, decision: "approve" }, /You changed the message/],
    ["no button", { ...EDITED, decision: "" }, /choose to approve or to reject/],
  ];
  it.each(refused)(
    "with %s: 422, nothing decided, and all that was typed is there again",
    async (_name, fields, why) => {
      const env = recordedEnv({ [TOKEN]: editable() });
      const answer = await post(env, { note: "A note.", ...fields, csrf: secret() });
      expect(answer.status).toBe(422);
      const page = await answer.text();
      expect(page).toMatch(why);
      expect(page).toContain('<details class="card edit" open');
      expect(page).toContain("it ships on *Friday*.</textarea>");
      expect(page).toMatch(/name="subject"[^>]* value="(?:It ships on Friday|x\r?\nBcc: me@evil\.example)"/);
      expect(page).toContain((fields.note ?? "A note.").slice(0, 100));
      expect(decisions(env)).toEqual([]);
    },
  );

  it.each(Object.entries({ ...ITEMS, html: decisionItem() }))(
    "of an item that cannot be changed (%s) decides nothing",
    async (_kind, item) => {
      const env = recordedEnv({ [TOKEN]: openView(item) });
      expect((await post(env, { csrf: secret(), ...EDITED })).status).toBe(422);
      expect(decisions(env)).toEqual([]);
    },
  );

  const refusals: [string, LinkView, number, RegExp][] = [
    [
      "a rule",
      { state: "refused", code: "denied_by_policy", error: "The budget is used up." },
      409,
      /The budget is used up\. Nothing was decided\./,
    ],
    ["nothing said", editable(), 409, /could not be taken/],
  ];
  it.each(refusals)("refused by the mailbox (%s): the form comes back filled", async (_name, after, status, why) => {
    const answer = await post(answering(editable(), after), { csrf: secret(), ...EDITED, note: "A note." });
    expect(answer.status).toBe(status);
    const page = await answer.text();
    expect(page).toMatch(why);
    expect(page).toContain("it ships on *Friday*.</textarea>");
    expect(page).toContain("\nA note.</textarea>");
  });

  const gone: [string, LinkView, number][] = [
    ["another decided first", decidedView({ decided_by: "bert@acme.example" }), 409],
    ["the link was withdrawn", { state: "revoked", reason: "the message was changed" }, 410],
    ["it expired", { state: "expired", expired_at: "2026-11-21T08:59:00.000Z" }, 410],
  ];
  it.each(gone)("too late, since %s: the person gets their words back", async (_name, view, status) => {
    const refusal: LinkView = { state: "refused", code: "content_changed", error: "It changed." };
    const hash = editableItem().content_hash;
    const late = recordedEnv({ [TOKEN]: view });
    for (const env of [late, answering(editable(), view), answering(editable(), refusal, view)]) {
      const answer = await post(env, { csrf: secret(), content_hash: hash, ...EDITED });
      expect(answer.status).toBe(status);
      const words = wordsOf(await answer.text());
      expect(words).toMatch(
        /What you had written Subject It ships on Friday Text Dear Alice, it ships on \*Friday\*\./,
      );
    }
  });

  it("words from elsewhere are not shown on a page of ours", async () => {
    for (const view of [decidedView(), { state: "revoked", reason: "" } as const]) {
      for (const csrf of ["", secret(tokenFor("other"))]) {
        const answer = await post(recordedEnv({ [TOKEN]: view }), { csrf, content_hash: "a".repeat(64), ...EDITED });
        expect(await answer.text()).not.toContain("ships on");
      }
    }
    const open = await post(recordedEnv({ [TOKEN]: editable() }), { csrf: "", ...EDITED });
    expect(open.status).toBe(403);
    expect(await open.text()).not.toContain("Friday");
  });
});

describe("a form for another content than the one that waits now", () => {
  it("decides nothing: the new content is shown, with what was typed", async () => {
    const env = recordedEnv({ [TOKEN]: openView(editableItem({ content_hash: "d".repeat(64) })) });
    const hash = "e".repeat(64);
    const answer = await post(env, { csrf: secret(TOKEN, hash), content_hash: hash, ...EDITED });
    expect(answer.status).toBe(409);
    const page = await answer.text();
    expect(page).toContain("The content was changed after you opened this page.");
    expect(page).toContain("it ships on *Friday*.</textarea>");
    expect(decisions(env)).toEqual([]);
  });

  it("cannot be made to fit by naming the content that waits", async () => {
    const env = recordedEnv({ [TOKEN]: openView(editableItem({ content_hash: "d".repeat(64) })) });
    const answer = await post(env, { csrf: secret(TOKEN, "e".repeat(64)), content_hash: "d".repeat(64), ...EDITED });
    expect(answer.status).toBe(403);
    expect(decisions(env)).toEqual([]);
  });
});

describe("where several people must approve", () => {
  it("an approval counts once; the page then shows how it stands, and nothing decides again", async () => {
    const env = recordedEnv({ [TOKEN]: editable({ quorum: OF_TWO }) });
    expect((await post(env, { csrf: secret(), decision: "approve" })).status).toBe(303);
    const page = await (await get(env)).text();
    expect(wordsOf(page)).toMatch(/You have approved this .* 1 of 2 people have approved: anna@acme\.example/);
    expect(page).not.toMatch(/<form|<button/);
    for (const decision of ["approve", "approve_edited", "reject"]) {
      const again = await post(env, { csrf: secret(), decision });
      expect(again.status).toBe(409);
      expect(await again.text()).toContain("Your approval counts already.");
    }
    expect(decisions(env)).toHaveLength(1);
  });

  it("an approval whose first answer was lost is not told its own maker as refused", async () => {
    const counted = openView(editableItem({ quorum: { needed: 2, approvals: [BERT] } }), { approved_at: BERT.at });
    const refusal: LinkView = { state: "refused", code: "already_decided", error: "This approval counts already." };
    const answer = await post(answering(editable({ quorum: OF_TWO }), refusal, counted), {
      csrf: secret(),
      decision: "approve",
    });
    expect(answer.status).toBe(303);
  });

  it("the last approval shows the outcome with everybody who approved", async () => {
    const quorum = { needed: 2, approvals: [BERT, { by: "anna@acme.example", at: BERT.at }] };
    const words = wordsOf(await (await get(recordedEnv({ [TOKEN]: decidedView({ quorum }) }))).text());
    expect(words).toMatch(/2 of 2 people have approved: bert@acme\.example .*anna@acme\.example/);
  });
});

describe("items that are no message", () => {
  const kinds = Object.entries(ITEMS) as [DecisionItem["kind"], DecisionItem][];
  it.each(kinds)("%s is shown, and has no more attachments than it has", async (_kind, item) => {
    const env = recordedEnv({ [TOKEN]: openView(item) });
    expect((await get(env)).status).toBe(200);
    expect((await get(env, TOKEN, "/attachments/0")).status).toBe(404);
    expect(env.reads).toEqual([]);
  });

  it.each(kinds.filter(([kind]) => kind !== "upgrade"))(
    "%s is approved and rejected like a message",
    async (kind, item) => {
      for (const decision of ["approve", "reject"] as const) {
        const env = recordedEnv({ [TOKEN]: openView(item) });
        expect((await post(env, { csrf: secret(), decision })).status).toBe(303);
        expect(decisions(env)).toMatchObject([{ decision: { decision, edit: null } }]);
        expect((await get(env)).status, kind).toBe(200);
      }
    },
  );

  it.each(["approve", "approve_edited"])("no link gives an agent more freedom: %s", async (decision) => {
    const env = recordedEnv({ [TOKEN]: openView(upgradeItem()) });
    const answer = await post(env, { csrf: secret(), decision });
    expect(answer.status).toBe(422);
    expect(await answer.text()).toContain("Only the operator&#39;s code lets this through");
    expect(decisions(env)).toEqual([]);
    expect((await post(env, { csrf: secret(), decision: "reject" })).status).toBe(303);
  });
});
