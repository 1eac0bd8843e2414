import { afterEach, beforeEach, describe, expect, expectTypeOf, it, type MockInstance, vi } from "vitest";
import type { DecisionItem, LinkView } from "../../durable-objects/mailbox-rpc.ts";
import type { ApproveEnv } from "../../src/doors/approve/storage.ts";
import type { Env } from "../../src/env.ts";
import { app, decisions, get, post, STATES, secret, TOKEN } from "../support/decision-link-client.ts";
import {
  attachment,
  decidedView,
  decisionItem,
  editableItem,
  openView,
  ROUTING,
  recordedEnv,
  requestItem,
  templateItem,
  upgradeItem,
} from "../support/decision-page-fixtures.ts";

// What every answer at a decision link is made of: files, headers, escaping, and plain words when storage breaks down.
// The mailbox is a recording double: what an object does with a decision is tested with the object. Here it matters what the
// door asks of it, and that it asks nothing where it must not.

it("the worker's whole environment is enough for these routes", () => {
  expectTypeOf<Env>().toExtend<ApproveEnv>();
});

describe("attachments", () => {
  const files = [
    attachment("Angebot “2026”.pdf", "application/pdf", 5),
    attachment("page.html", "text/html", 5),
    attachment('../..\\etc/pass"wd\r\nX: y\u202Egpj.exe', "image/svg+xml", 5),
  ];
  const view = openView(decisionItem({}, { attachments: files }));
  const stored = Object.fromEntries(files.map((file) => [file.key, "12345"]));

  it("are streamed from the store while the item waits, as files", async () => {
    const env = recordedEnv({ [TOKEN]: view }, stored);
    const answer = await get(env, TOKEN, "/attachments/0");
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe("12345");
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": "application/pdf",
      "content-length": "5",
      "content-disposition":
        "attachment; filename=\"Angebot _2026_.pdf\"; filename*=UTF-8''Angebot%20%E2%80%9C2026%E2%80%9D.pdf",
      "content-security-policy": expect.stringMatching(/^sandbox; default-src 'none'/),
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    });
    expect(env.reads).toEqual([files[0]?.key]);
    expect(decisions(env)).toEqual([]);
  });

  it.each([1, 2])("what a browser would run is answered as plain bytes (%i)", async (index) => {
    const answer = await get(recordedEnv({ [TOKEN]: view }, stored), TOKEN, `/attachments/${index}`);
    expect(answer.headers.get("Content-Type")).toBe("application/octet-stream");
  });

  it("a hostile name becomes a harmless one", async () => {
    const answer = await get(recordedEnv({ [TOKEN]: view }, stored), TOKEN, "/attachments/2");
    const name = "_.._etc_pass_wdX_ ygpj.exe";
    expect(answer.headers.get("Content-Disposition")).toBe(
      `attachment; filename="${name}"; filename*=UTF-8''${encodeURIComponent(name)}`,
    );
  });

  it("HEAD reads no file", async () => {
    const env = recordedEnv({ [TOKEN]: view }, stored);
    const answer = await get(env, TOKEN, "/attachments/0", "HEAD");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("Content-Length")).toBe("5");
    expect(env.reads).toEqual([]);
  });

  it.each(["3", "-1", "01", "0x0", "1e0", "a", "%2e", "99999", "__proto__", "length"])(
    "number %s: 404",
    async (index) => {
      const env = recordedEnv({ [TOKEN]: view }, stored);
      expect((await get(env, TOKEN, `/attachments/${index}`)).status).toBe(404);
      expect(env.reads).toEqual([]);
    },
  );

  const closed: [string, LinkView, number][] = [
    ["decided", decidedView(), 410],
    ["revoked", { state: "revoked", reason: "" }, 410],
    ["expired", { state: "expired", expired_at: "2026-11-20T08:00:00.000Z" }, 410],
    ["unknown", { state: "unknown" }, 404],
  ];
  it.each(closed)("of a link that is %s are not shown", async (_name, state, status) => {
    const env = recordedEnv({ [TOKEN]: state }, stored);
    expect((await get(env, TOKEN, "/attachments/0")).status).toBe(status);
    expect(env.reads).toEqual([]);
  });

  it("POST to one: 405", async () => {
    expect((await get(recordedEnv({ [TOKEN]: view }, stored), TOKEN, "/attachments/0", "POST")).status).toBe(405);
  });
});

describe("when storage breaks down", () => {
  let errors: MockInstance<typeof console.error>;
  beforeEach(() => {
    errors = vi.spyOn(console, "error").mockImplementation(() => {});
  });
  afterEach(() => errors.mockRestore());

  function failing(times: number, at: string) {
    let left = times;
    return (access: string) => {
      if (access === at && left-- > 0) throw new Error("Durable Object reset because its code was updated.");
    };
  }

  it("an object that was just reset is asked a second time", async () => {
    const env = recordedEnv({ [TOKEN]: openView() }, {}, failing(1, "openLink"));
    expect((await get(env)).status).toBe(200);
    expect(errors).not.toHaveBeenCalled();
  });

  const broken: [string, string, () => Promise<Response>][] = [
    ["opening", "openLink", () => get(recordedEnv({ [TOKEN]: openView() }, {}, failing(9, "openLink")))],
    [
      "deciding",
      "decideByLink",
      () =>
        post(recordedEnv({ [TOKEN]: openView() }, {}, failing(9, "decideByLink")), {
          csrf: secret(),
          decision: "approve",
        }),
    ],
    [
      "an attachment",
      "get",
      () =>
        get(
          recordedEnv(
            { [TOKEN]: openView(decisionItem({}, { attachments: [attachment("a.pdf", "application/pdf", 1)] })) },
            {},
            failing(9, "get"),
          ),
          TOKEN,
          "/attachments/0",
        ),
    ],
    [
      "an attachment that is not there",
      "missing",
      () =>
        get(
          recordedEnv({
            [TOKEN]: openView(decisionItem({}, { attachments: [attachment("a.pdf", "application/pdf", 1)] })),
          }),
          TOKEN,
          "/attachments/0",
        ),
    ],
  ];
  it.each(broken)(
    "%s: 503 in plain words, to be tried again; no trace and no token in page or log",
    async (_name, _at, request) => {
      const answer = await request();
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get("Retry-After"))).toBeGreaterThan(0);
      const page = await answer.text();
      expect(page).toContain("cannot reach the message right now");
      expect(page).not.toMatch(/Durable Object|Error|\bat .*\.tsx?:/);
      expect(errors).toHaveBeenCalled();
      expect(JSON.stringify(errors.mock.calls)).not.toContain(TOKEN);
    },
  );

  it("a decision whose answer was lost is not told its own maker as somebody else's", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    const mailbox = env.MAILBOX.getByName(ROUTING);
    let lost = false;
    env.MAILBOX.getByName = () => ({
      ...mailbox,
      async decideByLink(hash, decision) {
        const view = await mailbox.decideByLink(hash, decision);
        if (lost) return view;
        lost = true;
        throw new Error("Network connection lost.");
      },
    });
    expect((await post(env, { csrf: secret(), decision: "approve" })).status).toBe(303);
  });

  it("a missing MASTER_KEY is a 503 and an entry in the log, not a page without protection", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    env.MASTER_KEY = "";
    expect((await get(env)).status).toBe(503);
    expect((await post(env, { csrf: "", decision: "approve" })).status).toBe(503);
    expect(decisions(env)).toEqual([]);
  });
});

describe("headers", () => {
  const answers: [string, () => Promise<Response>][] = [
    ...STATES.map(([name, view]): [string, () => Promise<Response>] => [
      name,
      () => get(recordedEnv({ [TOKEN]: view })),
    ]),
    ["malformed", () => get(recordedEnv({}), "x")],
    ["nowhere", () => get(recordedEnv({}), TOKEN, "/more/and/more")],
    ["HEAD", () => get(recordedEnv({ [TOKEN]: openView() }), TOKEN, "", "HEAD")],
    ["303", () => post(recordedEnv({ [TOKEN]: openView() }), { csrf: secret(), decision: "approve" })],
    ["403", () => post(recordedEnv({ [TOKEN]: openView() }), { decision: "approve" })],
    ["405", () => get(recordedEnv({}), TOKEN, "", "PUT")],
    ["409", () => post(recordedEnv({ [TOKEN]: decidedView() }), { csrf: secret(), decision: "approve" })],
    ["413", () => post(recordedEnv({}), "x".repeat(1_700_000))],
    ["415", () => post(recordedEnv({}), "x", { "Content-Type": "text/plain" })],
    ["422", () => post(recordedEnv({ [TOKEN]: openView() }), { csrf: secret() })],
  ];
  it.each(answers)("%s has them all", async (_name, request) => {
    const answer = await request();
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
      "x-robots-tag": "noindex, nofollow, noarchive",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "strict-transport-security": expect.stringMatching(/^max-age=\d{8}/),
      "permissions-policy": expect.stringContaining("camera=()"),
    });
    const policy = answer.headers.get("Content-Security-Policy") ?? "";
    for (const part of ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
      expect(policy.split("; ")).toContain(part);
    }
    expect(policy).not.toMatch(/script-src|img-src|frame-src|https?:|unsafe-eval/);
    expect(answer.headers.get("Set-Cookie")).toBeNull();
  });

  it("without https there is no Strict-Transport-Security", async () => {
    const env = recordedEnv({ [TOKEN]: openView() });
    env.PUBLIC_URL = "http://127.0.0.1:8787";
    const answer = await app.request(`http://127.0.0.1:8787/v1/approve/${TOKEN}`, {}, env);
    expect(answer.headers.get("Strict-Transport-Security")).toBeNull();
  });

  it("the policy names exactly the page's own style elements", async () => {
    const answer = await get(recordedEnv({ [TOKEN]: openView() }));
    const page = await answer.text();
    expect(page).toContain('<meta name="robots" content="noindex, nofollow, noarchive"');
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? "";
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
    expect(answer.headers.get("Content-Security-Policy")).toContain(
      `'sha256-${Buffer.from(digest).toString("base64")}'`,
    );
    expect(page).not.toMatch(/<script|javascript:|\son[a-z]+=|<link|<img|@import|url\(/i);
  });
});

describe("what an agent writes stays text", () => {
  const EVIL = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;`;
  const everywhere = openView(
    decisionItem(
      {
        mailbox_address: EVIL,
        agent: { agent_id: EVIL, model_id: EVIL, model_provider: EVIL },
        key_id: EVIL,
        pending_id: EVIL,
        content_hash: EVIL,
        metadata: { [EVIL]: EVIL },
        tags: { [EVIL]: EVIL },
        held_by: EVIL,
        because: EVIL,
        reasons: [{ rule: "content", action: "hold", because: `${EVIL}2` }],
        risk: { score: 0.9, reasons: [{ reason: EVIL, weight: 1, because: EVIL }] },
        quorum: { needed: 3, approvals: [{ by: EVIL, at: EVIL }] },
        edits: [{ by: EVIL, at: EVIL, difference: `+${EVIL}\n-${EVIL}\n@@${EVIL}` }],
        source: { format: "markdown", text: EVIL },
        send_at: EVIL,
        domain_intelligence: { [EVIL]: EVIL },
        submitted_at: EVIL,
        authentication: { dkim_result: EVIL, spf_result: EVIL, dmarc_result: EVIL },
      },
      {
        from: { name: EVIL, address: EVIL },
        reply_to: [{ name: EVIL, address: EVIL }],
        to: [{ name: EVIL, address: EVIL }],
        cc: [{ name: EVIL, address: EVIL }],
        bcc: [{ name: EVIL, address: EVIL }],
        subject: EVIL,
        text: EVIL,
        html: `<p>Hello</p>${EVIL}</body></html></iframe>`,
        attachments: [attachment(EVIL, EVIL, 1)],
        in_reply_to: EVIL,
        references: [EVIL],
      },
    ),
  );

  function withoutFrame(page: string): string {
    const frame = /<iframe [^>]*srcdoc="([^"]*)"[^>]*><\/iframe>/;
    expect(page).toMatch(frame);
    return page.replace(frame, "");
  }

  it("in every field of an open item", async () => {
    const view = everywhere.state === "open" ? { ...everywhere, approver: EVIL } : everywhere;
    const page = await (await get(recordedEnv({ [TOKEN]: view }))).text();
    expect(withoutFrame(page)).not.toMatch(/<script|<img/i);
    expect(page.match(/&lt;script&gt;/g)?.length).toBeGreaterThan(20);
  });

  it("in the message's frame, which cannot run, navigate or end its attribute", async () => {
    const page = await (await get(recordedEnv({ [TOKEN]: everywhere }))).text();
    const frame = /<iframe ([^>]*)srcdoc="([^"]*)"([^>]*)><\/iframe>/.exec(page);
    expect(`${frame?.[1]}${frame?.[3]}`).toContain('sandbox=""');
    expect(frame?.[2]).not.toMatch(/[<>]/);
    expect(frame?.[2]).toContain("default-src &#39;none&#39;");
    expect(page.match(/<iframe/g)).toHaveLength(1);
  });

  const evil = {
    mailbox_address: EVIL,
    agent: { agent_id: EVIL, model_id: EVIL, model_provider: EVIL },
    key_id: EVIL,
    held_by: EVIL,
    because: EVIL,
  };
  const others: [string, DecisionItem][] = [
    [
      "a query",
      requestItem({
        ...evil,
        request: { operation: EVIL, input: { [EVIL]: { [EVIL]: EVIL }, q: EVIL, tags: [EVIL] } },
        about: { subject: EVIL, from: EVIL, at: EVIL },
      }),
    ],
    [
      "a template",
      templateItem(
        { ...evil, difference: `+${EVIL}` },
        {
          id: EVIL,
          name: EVIL,
          subject: EVIL,
          markdown: EVIL,
          variables: [{ name: EVIL, type: "text", required: true, max_length: 1 }],
          allowed_domains: [EVIL],
        },
      ),
    ],
    ["a request for more freedom", upgradeItem({ ...evil, change: EVIL })],
  ];
  it.each(others)("in every field of %s", async (_name, item) => {
    const page = await (await get(recordedEnv({ [TOKEN]: openView(item) }))).text();
    expect(page.replace(/srcdoc="[^"]*"/g, "")).not.toMatch(/<script|<img/i);
    expect(page.match(/&lt;script&gt;/g)?.length).toBeGreaterThan(7);
  });

  it("in what comes back from a form that changed it", async () => {
    const env = recordedEnv({ [TOKEN]: openView(editableItem()) });
    const fields = {
      csrf: secret(),
      decision: "approve_edited",
      subject: `${EVIL}\n`,
      body: EVIL,
      without: EVIL,
      note: EVIL,
    };
    const page = await (await post(env, fields)).text();
    expect(withoutFrame(page)).not.toMatch(/<script|<img/i);
    const late = recordedEnv({ [TOKEN]: decidedView() });
    const csrf = secret();
    const kept = await (await post(late, { ...fields, csrf, content_hash: editableItem().content_hash })).text();
    expect(kept).toContain("&lt;script&gt;");
    expect(kept).not.toMatch(/<script|<img/i);
  });

  it("in an outcome", async () => {
    const view = decidedView({ decided_by: EVIL, decided_at: EVIL, reason: EVIL, approval_ref: EVIL });
    const page = await (await get(recordedEnv({ [TOKEN]: view }))).text();
    expect(page).not.toMatch(/<script|<img/i);
  });

  it("in a reason for withdrawing, and in a note that comes back", async () => {
    const revoked = await (await get(recordedEnv({ [TOKEN]: { state: "revoked", reason: EVIL } }))).text();
    expect(revoked).not.toMatch(/<script|<img/i);
    const note = `</textarea>${EVIL}`;
    const again = await (await post(recordedEnv({ [TOKEN]: openView() }), { csrf: secret(), note })).text();
    expect(withoutFrame(again)).not.toMatch(/<script|<img/i);
    expect(again.match(/<\/textarea>/g)).toHaveLength(1);
  });
});
