import { describe, expect, it } from "vitest";
import type { LinkView } from "../../durable-objects/mailbox-rpc.ts";
import { hashDecisionToken } from "../../src/oversight/decision-links.ts";
import { app, decisions, get, ORIGIN, path, post, STATES, secret, TOKEN } from "../support/decision-link-client.ts";
import {
  decidedView,
  decisionItem,
  openView,
  ROUTING,
  recordedEnv,
  tokenFor,
} from "../support/decision-page-fixtures.ts";

// The mailbox is a recording double: what an object does with a decision is tested with the object. Here it matters what the
// door asks of it, and that it asks nothing where it must not.

const OTHER = tokenFor("other");

describe("opening a link", () => {
  it.each(STATES)("%s: its own page and status", async (_name, view, status, _post, words) => {
    const answer = await get(recordedEnv({ [TOKEN]: view }));
    expect(answer.status).toBe(status);
    expect((await answer.text()).replace(/<\/?bdi>/g, "")).toMatch(words);
  });

  it.each(["GET", "HEAD"])("%s changes nothing, however often and whatever asks", async (method) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    for (const query of ["", "?decision=approve", `?decision=approve&csrf=${secret()}`]) {
      const answer = await get(env, TOKEN, query, method);
      expect(answer.status).toBe(200);
      if (method === "HEAD") expect(await answer.text()).toBe("");
    }
    expect(decisions(env)).toEqual([]);
    expect(env.reads).toEqual([]);
  });

  it("the mailbox is asked by its routing number, with the token's hash and never the token", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    await get(env);
    expect(env.calls).toEqual([{ routing: ROUTING, method: "openLink", tokenHash: hashDecisionToken(TOKEN) }]);
  });

  it("a domain in two forms is shown in both, in workerd as well", async () => {
    const item = decisionItem({}, { to: [{ name: null, address: "m@xn--mnchen-3ya.de" }] });
    const page = await (await get(recordedEnv({ [TOKEN]: openView(item) }))).text();
    expect(page).toContain("m@xn--mnchen-3ya.de");
    expect(page).toContain("reads as münchen.de");
  });

  it("two openings show the same page", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    expect(await (await get(env)).text()).toBe(await (await get(env)).text());
  });

  const malformed: [string, string][] = [
    ["too short", TOKEN.slice(0, -1)],
    ["too long", `${TOKEN}A`],
    ["no routing number", TOKEN.slice(9)],
    ["lower-case routing number", TOKEN.toLowerCase()],
    ["something else", "admin"],
    ["escapes", "..%2f..%2fetc"],
    ["a NUL", "%00"],
    ["broken escapes", "%E0%A4%A"],
    ["markup", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"],
  ];
  it.each(malformed)("a malformed token (%s) is 404 and asks no mailbox", async (_name, token) => {
    const env = recordedEnv({});
    const answer = await get(env, token);
    expect(answer.status).toBe(404);
    expect(await answer.text()).not.toContain("<script");
    expect(env.calls).toEqual([]);
  });

  it("every tampered character of a token leads to the same 404", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const pages = new Set<string>();
    for (let i = 0; i < TOKEN.length; i++) {
      const character = TOKEN[i] === "7" ? "8" : "7";
      const answer = await get(env, TOKEN.slice(0, i) + character + TOKEN.slice(i + 1));
      expect(answer.status).toBe(404);
      pages.add(await answer.text());
    }
    expect(pages.size).toBe(1);
  });
});

describe("deciding", () => {
  it.each(["approve", "reject"] as const)("%s is taken once, and the page then shows the outcome", async (decision) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const answer = await post(env, { csrf: secret(), decision, note: "Fine." });
    expect(answer.status).toBe(303);
    expect(answer.headers.get("Location")).toBe(`/v1/approve/${TOKEN}`);
    expect(decisions(env)).toEqual([
      {
        routing: ROUTING,
        method: "decideByLink",
        tokenHash: hashDecisionToken(TOKEN),
        decision: { decision, note: "Fine.", edit: null },
      },
    ]);
    const after = await get(env);
    expect(after.status).toBe(200);
    const page = await after.text();
    expect(page).toContain(decision === "approve" ? "Approved" : "Rejected");
    expect(page).not.toContain("Your order 4711");
    const again = await post(env, { csrf: secret(), decision: "approve", note: "" });
    expect(again.status).toBe(409);
    expect(decisions(env)).toHaveLength(1);
  });

  it.each(STATES)("%s: its own status", async (_name, view, _get, status) => {
    const env = recordedEnv({ [TOKEN]: view });
    expect((await post(env, { csrf: secret(), decision: "approve" })).status).toBe(status);
    expect(decisions(env)).toHaveLength(view.state === "open" ? 1 : 0);
  });

  it("who comes second learns who was first", async () => {
    const env = recordedEnv({
      [TOKEN]: decidedView({ decision: "rejected", status: "rejected", decided_by: "bert@acme.example" }),
    });
    const answer = await post(env, { csrf: secret(), decision: "approve" });
    expect(answer.status).toBe(409);
    expect(await answer.text()).toMatch(/Already decided[\s\S]*Rejected by bert@acme\.example/);
  });

  it("who loses the race between opening and deciding gets 409 too", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const first = env.MAILBOX.getByName(ROUTING);
    env.MAILBOX.getByName = () => ({
      ...first,
      decideByLink: async () => decidedView({ decided_by: "bert@acme.example" }),
    });
    const answer = await post(env, { csrf: secret(), decision: "approve" });
    expect(answer.status).toBe(409);
    expect(await answer.text()).toContain("Approved by bert@acme.example");
  });

  const afterwards: [string, LinkView, number][] = [
    ["expired", { state: "expired", expired_at: "2026-11-20T08:00:00.000Z" }, 410],
    ["revoked", { state: "revoked", reason: "the message was changed" }, 410],
    ["unknown", { state: "unknown" }, 404],
    ["open", openView(), 409],
  ];
  it.each(afterwards)("a link that is %s when the decision arrives says so", async (_name, view, status) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const first = env.MAILBOX.getByName(ROUTING);
    env.MAILBOX.getByName = () => ({ ...first, decideByLink: async () => view });
    expect((await post(env, { csrf: secret(), decision: "approve" })).status).toBe(status);
  });

  const notes: [string, string, string | null][] = [
    ["nothing", "", null],
    ["white space", " \r\n\t ", null],
    ["line ends", "a\r\nb\rc\nd", "a\nb\nc\nd"],
    ["control characters", "a\u0000b\u001b[31mc\u0085d", "ab[31mcd"],
    ["invisible and reordering characters", "a\u202Eb\u200Bc\u2066d", "abcd"],
    ["2,000 characters", "あ".repeat(2000), "あ".repeat(2000)],
    ["2,000 characters with line ends counted once", `${"a\r\n".repeat(999)}ab`, `${"a\n".repeat(999)}ab`],
    ["markup", "<b>'\"&", "<b>'\"&"],
  ];
  it.each(notes)("a note of %s is kept as what it says", async (_name, note, kept) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    expect((await post(env, { csrf: secret(), decision: "reject", note })).status).toBe(303);
    expect(decisions(env)).toMatchObject([{ decision: { note: kept } }]);
  });

  const refused: [string, URLSearchParams, RegExp][] = [
    ["no decision", new URLSearchParams({ note: "kept note" }), /choose to approve or to reject[\s\S]*kept note/],
    ["another decision", new URLSearchParams({ decision: "maybe" }), /choose to approve or to reject/],
    [
      "two decisions",
      new URLSearchParams([
        ["decision", "approve"],
        ["decision", "reject"],
      ]),
      /choose to approve or to reject/,
    ],
    ["a long note", new URLSearchParams({ decision: "approve", note: "x".repeat(2001) }), /2001 characters long/],
  ];
  it.each(refused)("%s: 422, the form again with the note, and nothing decided", async (_name, fields, words) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    fields.set("csrf", secret());
    const answer = await post(env, fields);
    expect(answer.status).toBe(422);
    expect(await answer.text()).toMatch(words);
    expect(decisions(env)).toEqual([]);
  });
});

describe("forms that are not ours decide nothing", () => {
  const secrets: [string, Record<string, string>][] = [
    ["no secret", {}],
    ["an empty secret", { csrf: "" }],
    ["a wrong secret", { csrf: `A${secret().slice(1)}` }],
    ["a secret that is longer", { csrf: `${secret()}A` }],
    ["the secret of another token", { csrf: secret(OTHER) }],
    ["the secret of another content", { csrf: secret(TOKEN, "f".repeat(64)) }],
    ["a secret of other characters", { csrf: "é".repeat(43) }],
  ];
  it.each(secrets)("%s", async (_name, csrf) => {
    const env = recordedEnv({ [TOKEN]: openView(), [OTHER]: openView() });
    const answer = await post(env, { ...csrf, decision: "approve" });
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("Nothing was decided");
    expect(decisions(env)).toEqual([]);
  });

  const sources: [string, Record<string, string>, number][] = [
    ["our own origin", { Origin: ORIGIN }, 303],
    ["our own origin, same site", { Origin: ORIGIN, "Sec-Fetch-Site": "same-origin" }, 303],
    ["no header: an old browser", {}, 303],
    [
      "null with same-origin: our page, which sends no referrer",
      { Origin: "null", "Sec-Fetch-Site": "same-origin" },
      303,
    ],
    ["another origin", { Origin: "https://evil.example" }, 403],
    ["another port", { Origin: `${ORIGIN}:8443` }, 403],
    ["another scheme", { Origin: "http://mail.example.com" }, 403],
    ["a longer name", { Origin: `${ORIGIN}.evil.example` }, 403],
    ["null across sites: a sandboxed frame elsewhere", { Origin: "null", "Sec-Fetch-Site": "cross-site" }, 403],
    ["across sites", { "Sec-Fetch-Site": "cross-site" }, 403],
    ["a sibling domain", { "Sec-Fetch-Site": "same-site" }, 403],
    ["our origin claimed across sites", { Origin: ORIGIN, "Sec-Fetch-Site": "cross-site" }, 403],
    ["no page at all", { "Sec-Fetch-Site": "none" }, 403],
  ];
  it.each(sources)("sent from %s", async (_name, headers, status) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    expect((await post(env, { csrf: secret(), decision: "approve" }, headers)).status).toBe(status);
    expect(decisions(env)).toHaveLength(status === 303 ? 1 : 0);
  });

  it.each([
    "application/json",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
    "application/x-www-form-urlencodedx",
  ])("sent as %j: 415", async (type) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const answer = await post(env, { csrf: secret(), decision: "approve" }, { "Content-Type": type });
    expect(answer.status).toBe(415);
    expect(env.calls).toEqual([]);
  });

  it("a form larger than any decision: 413, declared or not, and asks no mailbox", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const body = `csrf=${secret()}&decision=approve&note=${"x".repeat(1_700_000)}`;
    expect((await post(env, body)).status).toBe(413);
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 27; i++) controller.enqueue(new TextEncoder().encode("x".repeat(64 * 1024)));
        controller.close();
      },
    });
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const answer = await app.request(
      new Request(path(), { method: "POST", body: stream, headers, duplex: "half" } as RequestInit),
      {},
      env,
    );
    expect(answer.status).toBe(413);
    expect(env.calls).toEqual([]);
  });

  it.each(["PUT", "PATCH", "DELETE", "OPTIONS"])("%s: 405", async (method) => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const answer = await get(env, TOKEN, "", method);
    expect(answer.status).toBe(405);
    expect(answer.headers.get("Allow")).toBe("GET, HEAD, POST");
    expect(env.calls).toEqual([]);
  });
});
