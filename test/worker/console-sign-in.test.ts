import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import {
  LINK_LIFE,
  LINKS_PER_PERSON,
  LINKS_PER_TENANT,
  SESSION_IDLE,
  SESSION_LIFE,
} from "../../durable-objects/tenant/sessions.ts";
import { openPersonal } from "../../src/audit/sealing.ts";
import { verifyChain } from "../../src/audit/verify.ts";
import { createApp } from "../../src/doors/app.ts";
import { newId } from "../../src/ids.ts";
import {
  advanceTenant,
  askForLink,
  ConsoleBrowser,
  inTenant,
  linksOf,
  OUR_PAGE,
  runTenant,
  signedIn,
  unconfirm,
} from "../support/console-client.ts";
import { keyOf, localPart, makeTenant, request, storedCounts, type TestTenant } from "../support/door-harness.ts";
import { receivedFor } from "../support/received-mail.ts";

/** Who gets into the console, how, and what nobody learns on the way. */

const HOUR = 3600_000;

/** A tenant with an approver of its own, whom the operator confirmed. */
async function overseen(): Promise<TestTenant & { approver: string }> {
  const approver = `${localPart("approver")}@people.example`;
  const tenant = await makeTenant();
  await inTenant(tenant.id, (object) => {
    object.commit(() => {
      const stored = object.tenant();
      object.saveTenant({ ...stored, confirmed_approvers: [...stored.confirmed_approvers, approver] });
    });
  });
  await personOf(approver, tenant.id);
  return { ...tenant, approver };
}

/** Names an address as a person of a tenant, as the tenant's object does. */
async function personOf(address: string, tenantId: string): Promise<void> {
  await env.DB.prepare("INSERT OR IGNORE INTO people VALUES (?, ?)").bind(address, tenantId).run();
}

interface ConsoleEntry {
  action: string;
  actor: { type: string; id: string; via: string };
  detail: Record<string, unknown>;
  personal: Record<string, unknown> | null;
  text: string;
}

/** The tenant's entries about the console, the oldest first. Its chain is checked on the way. */
async function consoleEntries(tenantId: string): Promise<ConsoleEntry[]> {
  await runTenant(tenantId);
  const { rows, keys } = await inTenant(tenantId, (_object, { storage: { sql } }) => ({
    rows: sql.exec<{ entry: string; hash: string }>("SELECT entry, hash FROM entries ORDER BY seq").toArray(),
    keys: new Map(
      sql
        .exec<{ kid: string; wrapped: string }>("SELECT kid, wrapped FROM data_keys")
        .toArray()
        .map(({ kid, wrapped }) => [kid, wrapped]),
    ),
  }));
  expect(verifyChain(rows.map(({ entry, hash }) => ({ ...JSON.parse(entry), hash })))).toBeNull();
  return rows
    .map(({ entry: text }) => {
      const entry = JSON.parse(text);
      const wrapped = keys.get(entry.sealed?.kid) ?? null;
      return { ...entry, personal: openPersonal(env, entry, wrapped), text };
    })
    .filter(({ action }) => action.startsWith("console."));
}

async function actions(tenantId: string): Promise<string[]> {
  return (await consoleEntries(tenantId)).map(({ action, detail }) => `${action} ${detail.reason ?? ""}`.trim());
}

const where = (answer: Response) => [answer.status, answer.headers.get("Location")];

describe("asking for a link", () => {
  test("the operator and a confirmed approver are mailed one, which works; each mail names the tenant", async () => {
    const tenant = await overseen();
    for (const person of [tenant.operator_email, tenant.approver]) {
      const browser = await signedIn(tenant.id, person);
      const page = await browser.get("/console/queue");
      expect(page.status).toBe(200);
      expect(await page.text()).toContain(person);
    }
  });

  test("everybody gets the same answer, whoever they are", async () => {
    const tenant = await overseen();
    const unconfirmed = `${localPart("unconfirmed")}@people.example`;
    await personOf(unconfirmed, tenant.id);
    const asked = [
      tenant.operator_email,
      tenant.approver,
      unconfirmed,
      "nobody@people.example",
      tenant.mailbox.address,
      tenant.operator_email.toUpperCase(),
    ];
    const answers = new Set<string>();
    for (const address of asked) {
      const answer = await new ConsoleBrowser().post("/console/sign-in", { address });
      answers.add(JSON.stringify([answer.status, [...answer.headers], await answer.text()]));
    }
    expect(answers.size).toBe(1);
    await runTenant(tenant.id);
    for (const address of [unconfirmed, "nobody@people.example", tenant.mailbox.address]) {
      expect(await receivedFor(address), address).toEqual([]);
    }
    expect(await linksOf(tenant.approver)).toHaveLength(1);
  });

  test("nothing is written for somebody who oversees nothing", async () => {
    const tenant = await overseen();
    const stranger = `${localPart("stranger")}@people.example`;
    await personOf(stranger, tenant.id);
    const written = () =>
      inTenant(tenant.id, ({ rows }) =>
        ["timers", "sign_in_links", "sessions", "entries"].map((table) =>
          rows.exec(`SELECT * FROM ${table}`).toArray(),
        ),
      );
    const before = [await storedCounts(), await written()];
    await new ConsoleBrowser().post("/console/sign-in", { address: stranger });
    expect([await storedCounts(), await written()]).toEqual(before);
    expect(await actions(tenant.id)).toEqual([]);
  });

  test("the answer does not wait for what is done with the address", async () => {
    const tenant = await overseen();
    let later: Promise<unknown> | null = null;
    const app = createApp({ now: Date.now });
    const answer = await app.fetch(
      new Request("https://mail.test/console/sign-in", {
        method: "POST",
        headers: { "Content-Type": "application/x-www-form-urlencoded", ...OUR_PAGE },
        body: new URLSearchParams({ address: tenant.approver }),
      }),
      env,
      {
        waitUntil: (work: Promise<unknown>) => {
          later = work;
        },
        passThroughOnException: () => {},
      } as unknown as ExecutionContext,
    );
    expect(where(answer)).toEqual([303, "/console/sent"]);
    await (later ?? expect.unreachable("nothing was left to do"));
    await runTenant(tenant.id);
    expect(await linksOf(tenant.approver)).toHaveLength(1);
  });

  test("a person of two tenants gets one link for each, and neither opens the other", async () => {
    const [first, second] = [await overseen(), await overseen()];
    await personOf(first.approver, second.id);
    await inTenant(second.id, (object) => {
      object.commit(() => object.saveTenant({ ...object.tenant(), confirmed_approvers: [first.approver] }));
    });
    await new ConsoleBrowser().post("/console/sign-in", { address: first.approver });
    await runTenant(first.id);
    await runTenant(second.id);
    const links = await linksOf(first.approver);
    expect(links).toHaveLength(2);
    for (const [i, tenant] of [first, second].entries()) {
      const own = links.find((link) => link.includes(tenant.id.slice(4))) ?? "";
      const other = [first, second][1 - i]?.id.slice(4) ?? "";
      const swapped = own.replace(tenant.id.slice(4), other);
      expect((await new ConsoleBrowser().post(swapped, {})).status).toBe(410);
    }
  });

  test("an address that is a mailbox here never gets a link, however it came to oversee", async () => {
    const tenant = await overseen();
    const address = tenant.approver;
    const mailbox = newId("mbx", Date.now(), "ZZZZ0000");
    await env.DB.prepare("INSERT INTO mailboxes VALUES (?, ?, ?, ?, ?, 0)")
      .bind(mailbox, tenant.id, address, "ZZZZ0000", JSON.stringify({ ...tenant.mailbox, id: mailbox, address }))
      .run();
    await new ConsoleBrowser().post("/console/sign-in", { address });
    await runTenant(tenant.id);
    expect(await receivedFor(address)).toEqual([]);
    await env.DB.prepare("DELETE FROM mailboxes WHERE id = ?").bind(mailbox).run();
  });

  const malformed: [string, string][] = [
    ["nothing", ""],
    ["no address", "operator"],
    ["a header", "a@people.example\r\nBcc: eve@evil.example"],
    ["a bare line feed", "a@people.example\nBcc: eve@evil.example"],
    ["two addresses", "a@people.example, eve@evil.example"],
    ["a name", "Operator <a@people.example>"],
    ["a comment", "a@people.example (Operator)"],
    ["NUL", "a@people.example\0"],
    ["a route", "<@evil.example:a@people.example>"],
    ["markup", '"><script>alert(1)</script>'],
  ];
  test.each(malformed)("%s in place of an address: 422, and no mail", async (_what, address) => {
    const before = await storedCounts();
    const answer = await new ConsoleBrowser().post("/console/sign-in", { address });
    expect(answer.status).toBe(422);
    expect(await answer.text()).not.toContain("<script>");
    expect(await receivedFor("eve@evil.example")).toEqual([]);
    expect(await storedCounts()).toEqual(before);
  });

  test.each(["next", "return_to", "redirect", "url"])("%s leads nowhere else", async (name) => {
    const tenant = await overseen();
    const evil = "https://evil.example/";
    const asked = await new ConsoleBrowser().post(`/console/sign-in?${name}=${evil}`, {
      address: tenant.approver,
      [name]: evil,
    });
    expect(where(asked)).toEqual([303, "/console/sent"]);
    await runTenant(tenant.id);
    const [link] = await linksOf(tenant.approver);
    const entered = await new ConsoleBrowser().post(`${link}?${name}=${evil}`, { [name]: evil });
    expect(where(entered)).toEqual([303, "/console/queue"]);
    expect(where(await new ConsoleBrowser().get(`/console/queue?${name}=${evil}`))).toEqual([303, "/console"]);
    expect((await new ConsoleBrowser().get("/console//evil.example")).status).toBe(404);
  });
});

describe("floods of requests", () => {
  test("a person gets so many links an hour, and not more; that they asked for more is recorded once", async () => {
    const tenant = await overseen();
    for (let i = 0; i < LINKS_PER_PERSON + 3; i++) {
      await new ConsoleBrowser().post("/console/sign-in", { address: tenant.approver });
      await runTenant(tenant.id);
    }
    expect(await linksOf(tenant.approver)).toHaveLength(LINKS_PER_PERSON);
    expect(await actions(tenant.id)).toEqual([
      ...Array.from({ length: LINKS_PER_PERSON }, () => "console.link_sent"),
      "console.refused rate_limited",
    ]);
    await advanceTenant(tenant.id, HOUR + 1_000);
    await new ConsoleBrowser().post("/console/sign-in", { address: tenant.approver });
    await runTenant(tenant.id);
    expect(await linksOf(tenant.approver)).toHaveLength(LINKS_PER_PERSON + 1);
  });

  test("many requests at once are one mail", async () => {
    const tenant = await overseen();
    await Promise.all(
      Array.from({ length: 20 }, () => new ConsoleBrowser().post("/console/sign-in", { address: tenant.approver })),
    );
    await runTenant(tenant.id);
    expect((await linksOf(tenant.approver)).length).toBeLessThanOrEqual(2);
  });

  test("over all its people a tenant mails so many an hour, and not more", async () => {
    const tenant = await overseen();
    await inTenant(tenant.id, (object) => {
      object.commit(() => {
        for (let i = 0; i < LINKS_PER_TENANT; i++) {
          object.rows.exec(
            "INSERT INTO sign_in_links VALUES (?, ?, ?, ?, 0, 0)",
            `${i}`,
            `p${i}@x.example`,
            object.now(),
            0,
          );
        }
      });
    });
    await new ConsoleBrowser().post("/console/sign-in", { address: tenant.approver });
    await runTenant(tenant.id);
    expect(await linksOf(tenant.approver)).toEqual([]);
    expect(await actions(tenant.id)).toEqual(["console.refused rate_limited"]);
  });
});

describe("a sign-in link", () => {
  test("opening it changes nothing, whoever does, however often", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    for (const method of ["GET", "HEAD", "GET"]) {
      const browser = new ConsoleBrowser();
      const answer = await browser.get(link, {}, method);
      expect([answer.status, browser.cookie]).toEqual([200, null]);
    }
    expect(await actions(tenant.id)).toEqual(["console.link_sent"]);
    expect(where(await new ConsoleBrowser().post(link, {}))).toEqual([303, "/console/queue"]);
  });

  test("works once: replayed it opens nothing, and that is recorded, three times at most", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    await new ConsoleBrowser().post(link, {});
    for (let i = 0; i < 5; i++) {
      const thief = new ConsoleBrowser();
      expect((await thief.post(link, {})).status).toBe(410);
      expect(thief.cookie).toBeNull();
    }
    expect(await actions(tenant.id)).toEqual([
      "console.link_sent",
      "console.signed_in",
      ...Array.from({ length: 3 }, () => "console.refused used"),
    ]);
  });

  test("of two redemptions at once one wins", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    const answers = await Promise.all(Array.from({ length: 8 }, () => new ConsoleBrowser().post(link, {})));
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
  });

  test("ends the others of its person when it is used", async () => {
    const tenant = await overseen();
    const first = await askForLink(tenant.id, tenant.approver);
    const second = await askForLink(tenant.id, tenant.approver);
    expect((await new ConsoleBrowser().post(second, {})).status).toBe(303);
    expect((await new ConsoleBrowser().post(first, {})).status).toBe(410);
  });

  test.each([
    [LINK_LIFE - 30_000, 303],
    [LINK_LIFE + 30_000, 410],
  ])("after %i ms: %i", async (ms, status) => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    await advanceTenant(tenant.id, ms);
    expect((await new ConsoleBrowser().post(link, {})).status).toBe(status);
    expect((await actions(tenant.id)).at(-1)).toBe(status === 303 ? "console.signed_in" : "console.refused expired");
  });

  test("opens nothing for a person who was unconfirmed after it was mailed", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    await unconfirm(tenant.id, tenant.approver);
    expect((await new ConsoleBrowser().post(link, {})).status).toBe(410);
    expect((await actions(tenant.id)).at(-1)).toBe("console.refused not_overseeing");
  });

  test("tampered, guessed or of a tenant that is none: the same page, and nothing is written", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    const before = await actions(tenant.id);
    const wrong = [
      link.slice(0, -1) + (link.endsWith("A") ? "B" : "A"),
      link.replace(tenant.id.slice(4), newId("ten", Date.now()).slice(4)),
      "/console/enter/x",
      "/console/enter/%00",
      "/console/enter/..%2f..%2fqueue",
    ];
    const pages = new Set<string>();
    for (const path of wrong) {
      const answer = await new ConsoleBrowser().post(path, {});
      expect(answer.status, path).toBe(410);
      pages.add(await answer.text());
    }
    expect(pages.size).toBe(1);
    expect(await actions(tenant.id)).toEqual(before);
  });

  const elsewhere: [string, Record<string, string>, number][] = [
    ["another site", { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" }, 403],
    ["another site, its origin hidden", { Origin: "null", "Sec-Fetch-Site": "cross-site" }, 403],
    ["another site in an old browser", { Origin: "https://evil.example" }, 403],
    ["our own page", OUR_PAGE, 303],
  ];
  test.each(elsewhere)("its form sent from %s", async (_where, headers, status) => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    expect((await new ConsoleBrowser().post(link, {}, headers)).status).toBe(status);
    const asked = await new ConsoleBrowser().post("/console/sign-in", { address: tenant.approver }, headers);
    expect(asked.status).toBe(status);
  });

  test("is tried again while the person's mail server puts it off, each time a fresh one, and then no more", async () => {
    const person = `defer-451-${localPart("approver")}@people.example`;
    const tenant = await overseen();
    await inTenant(tenant.id, (object) => {
      object.commit(() => object.saveTenant({ ...object.tenant(), confirmed_approvers: [person] }));
    });
    await personOf(person, tenant.id);
    await new ConsoleBrowser().post("/console/sign-in", { address: person });
    for (let minutes = 0; minutes <= 60; minutes += 10) {
      await advanceTenant(tenant.id, minutes * 60_000);
      await runTenant(tenant.id);
    }
    expect(await actions(tenant.id)).toEqual([
      "console.link_deferred",
      "console.link_deferred",
      "console.link_deferred",
      "console.link_failed",
    ]);
  });
});

describe("a session", () => {
  test("is a cookie of this host alone, which no script reads and no other site sends with a form", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    const [cookie = ""] = (await request(link, { method: "POST", raw: "", headers: form() })).headers.getSetCookie();
    expect(cookie).toMatch(/^__Host-multimail_console=[0-9A-Z]{26}-[\w-]{43}; /);
    expect(cookie.split("; ").slice(1).sort()).toEqual(
      ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Lax", "Secure"].sort(),
    );
  });

  const local = "http://127.0.0.1:8787";
  test.each([
    [local, local, /^multimail_console=[^;]+;(?!.*Secure)/],
    ["http://localhost:1234", "http://localhost:1234", /^multimail_console=[^;]+;(?!.*Secure)/],
    ["http://mail.example.com", "http://mail.example.com", /^__Host-multimail_console=.*Secure/],
    ["http://127.0.0.1.evil.example", "http://127.0.0.1.evil.example", /^__Host-multimail_console=.*Secure/],
    [local, "https://mail.example.com", /^__Host-multimail_console=.*Secure/],
    ["https://mail.example.com", local, /^__Host-multimail_console=.*Secure/],
  ])("at %s, published as %s: a cookie without TLS on this machine only", async (origin, PUBLIC_URL, cookie) => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    const context = { waitUntil: () => {}, passThroughOnException: () => {} } as unknown as ExecutionContext;
    const answer = await createApp({ now: Date.now }).fetch(
      new Request(origin + link, { method: "POST", headers: form() }),
      { ...env, PUBLIC_URL },
      context,
    );
    expect(answer.headers.getSetCookie().join()).toMatch(cookie);
  });

  test("neither a link's token nor a session's is stored, logged in the audit, or shown", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    const browser = new ConsoleBrowser();
    await browser.post(link, {});
    const page = await (await browser.get("/console/queue")).text();
    const secrets = [link.slice(-43), browser.cookie?.slice(-43) ?? ""];
    const stored = await inTenant(tenant.id, (_object, { storage: { sql } }) => {
      const tables = sql
        .exec<{ name: string }>(
          "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
        )
        .toArray();
      return JSON.stringify(tables.map(({ name }) => sql.exec(`SELECT * FROM ${name}`).toArray()));
    });
    for (const secret of secrets) {
      expect(secret).toHaveLength(43);
      expect(stored).not.toContain(secret);
      expect(page).not.toContain(secret);
    }
  });

  test("ends after 12 hours without use, is prolonged by use, and lives 7 days at most", async () => {
    const tenant = await overseen();
    const idle = await signedIn(tenant.id, tenant.approver);
    await advanceTenant(tenant.id, SESSION_IDLE + 1_000);
    expect(where(await idle.get("/console/queue"))).toEqual([303, "/console"]);

    const used = await signedIn(tenant.id, tenant.approver);
    const started = SESSION_IDLE + 1_000;
    const step = SESSION_IDLE - HOUR;
    for (let after = 0; after < SESSION_LIFE - 60_000; after += step) {
      await advanceTenant(tenant.id, started + after);
      expect((await used.get("/console/queue")).status, `after ${after / HOUR} hours`).toBe(200);
    }
    await advanceTenant(tenant.id, started + SESSION_LIFE - 60_000);
    expect((await used.get("/console/queue")).status).toBe(200);
    await advanceTenant(tenant.id, started + SESSION_LIFE + 60_000);
    expect((await used.get("/console/queue")).status).toBe(303);
  });

  test("ends at once when its person oversees nothing here any more; confirmed again, they sign in anew", async () => {
    const tenant = await overseen();
    const browser = await signedIn(tenant.id, tenant.approver);
    const csrf = await browser.csrf();
    const { cookie } = browser;
    await unconfirm(tenant.id, tenant.approver);
    expect((await browser.post("/console/queue", { csrf, decision: "approve" })).status).toBe(401);
    expect((await actions(tenant.id)).at(-1)).toBe("console.refused not_overseeing");
    await inTenant(tenant.id, (object) => {
      object.commit(() => object.saveTenant({ ...object.tenant(), confirmed_approvers: [tenant.approver] }));
    });
    browser.cookie = cookie;
    expect((await browser.get("/console/queue")).status).toBe(303);
  });

  test("of one tenant is none at another", async () => {
    const [first, second] = [await overseen(), await overseen()];
    const browser = await signedIn(first.id, first.approver);
    browser.cookie = browser.cookie?.replace(first.id.slice(4), second.id.slice(4)) ?? null;
    expect(where(await browser.get("/console/queue"))).toEqual([303, "/console"]);
  });

  test.each([
    ["empty", ""],
    ["without a name", "x"],
    ["without a value", "__Host-multimail_console="],
    ["long", `__Host-multimail_console=${"A".repeat(5_000)}`],
    ["under the name it has without TLS", `multimail_console=${"0".repeat(26)}-${"A".repeat(43)}`],
  ])("a cookie that is %s is nobody's", async (_what, cookie) => {
    const answer = await request("/console/queue", { headers: { Cookie: cookie } });
    expect(where(answer)).toEqual([303, "/console"]);
  });

  test("a sign-in link's token is no session, and a session's is no link", async () => {
    const tenant = await overseen();
    const link = await askForLink(tenant.id, tenant.approver);
    const thief = new ConsoleBrowser();
    thief.cookie = `__Host-multimail_console=${link.split("/").at(-1)}`;
    expect((await thief.get("/console/queue")).status).toBe(303);
    const browser = await signedIn(tenant.id, tenant.approver);
    const token = browser.cookie?.split("=")[1];
    expect((await new ConsoleBrowser().post(`/console/enter/${token}`, {})).status).toBe(410);
  });

  test("signing out ends it, for whoever kept the cookie too", async () => {
    const tenant = await overseen();
    const browser = await signedIn(tenant.id, tenant.approver);
    const { cookie } = browser;
    const other = await signedIn(tenant.id, tenant.approver);
    const answer = await browser.post("/console/sign-out", { csrf: await browser.csrf() });
    expect([...where(answer), browser.cookie]).toEqual([303, "/console", null]);
    browser.cookie = cookie;
    expect((await browser.get("/console/queue")).status).toBe(303);
    expect((await other.get("/console/queue")).status).toBe(200);
    expect((await actions(tenant.id)).at(-1)).toBe("console.signed_out");
  });

  test("signing out everywhere ends all of the person's, and nobody else's", async () => {
    const tenant = await overseen();
    const [one, two] = [await signedIn(tenant.id, tenant.approver), await signedIn(tenant.id, tenant.approver)];
    const operator = await signedIn(tenant.id, tenant.operator_email);
    await one.post("/console/sign-out", { csrf: await one.csrf(), everywhere: "1" });
    expect((await two.get("/console/queue")).status).toBe(303);
    expect((await operator.get("/console/queue")).status).toBe(200);
  });

  test("nobody is signed out by another site, or without the session's own secret", async () => {
    const tenant = await overseen();
    const browser = await signedIn(tenant.id, tenant.approver);
    const stranger = await signedIn(tenant.id, tenant.operator_email);
    const csrf = await browser.csrf();
    const attempts: [string, Record<string, string>][] = [
      ["", OUR_PAGE],
      [await stranger.csrf(), OUR_PAGE],
      [csrf, { "Sec-Fetch-Site": "cross-site" }],
    ];
    for (const [secret, headers] of attempts) {
      expect((await browser.post("/console/sign-out", { csrf: secret }, headers)).status).toBe(403);
    }
    expect((await browser.get("/console/queue")).status).toBe(200);
  });

  test("signing in again in the same browser ends the session before", async () => {
    const tenant = await overseen();
    const browser = await signedIn(tenant.id, tenant.approver);
    const { cookie } = browser;
    await browser.post(await askForLink(tenant.id, tenant.approver, browser), {});
    browser.cookie = cookie;
    expect((await browser.get("/console/queue")).status).toBe(303);
  });
});

function form(): Record<string, string> {
  return { "Content-Type": "application/x-www-form-urlencoded", ...OUR_PAGE };
}

test("an agent's key, or any other, is nobody in the console", async () => {
  const tenant = await overseen();
  for (const name of Object.keys(tenant.keys)) {
    const key = keyOf(tenant, name);
    expect(where(await request("/console/queue", { key })), name).toEqual([303, "/console"]);
    const decided = await request("/console/queue", { method: "POST", key, raw: "decision=approve", headers: form() });
    expect(decided.status, name).toBe(401);
  }
});

test("each log-in, refusal and sign-out is a person's entry; their address is sealed", async () => {
  const tenant = await overseen();
  const link = await askForLink(tenant.id, tenant.approver);
  const browser = new ConsoleBrowser();
  await browser.post(link, {});
  await browser.post(link, {});
  await browser.post("/console/sign-out", { csrf: await browser.csrf() });
  await signedIn(tenant.id, tenant.operator_email);
  const entries = await consoleEntries(tenant.id);
  expect(entries.map(({ action, actor }) => [action, actor])).toEqual([
    ["console.link_sent", { type: "human", id: "approver", via: "console" }],
    ["console.signed_in", { type: "human", id: "approver", via: "console" }],
    ["console.refused", { type: "human", id: "approver", via: "console" }],
    ["console.signed_out", { type: "human", id: "approver", via: "console" }],
    ["console.link_sent", { type: "human", id: "operator", via: "console" }],
    ["console.signed_in", { type: "human", id: "operator", via: "console" }],
  ]);
  for (const { text, personal, actor } of entries) {
    expect(text).not.toContain("people.example");
    expect(personal).toMatchObject({ person: actor.id === "operator" ? tenant.operator_email : tenant.approver });
  }
});

describe("the console's answers", () => {
  const pages: [string, string, number][] = [
    ["GET", "/console", 200],
    ["HEAD", "/console", 200],
    ["GET", "/console/sent", 200],
    ["GET", "/console/nothing", 404],
    ["POST", "/console/nothing", 404],
    ["GET", "/console/sign-in", 405],
    ["GET", "/console/sign-out", 405],
    ["DELETE", "/console/queue", 405],
    ["PUT", "/console/items/pend_x", 405],
    ["OPTIONS", "/console/enter/x", 405],
  ];
  test.each(pages)(
    "%s %s: %i, as a page that nothing can frame, cache or add a script to",
    async (method, path, status) => {
      const answer = await request(path, { method });
      expect(answer.status).toBe(status);
      expect(answer.headers.get("Content-Security-Policy")).toMatch(
        /^default-src 'none';(?!.*script-src).*frame-ancestors 'none'/,
      );
      expect(answer.headers.get("Cache-Control")).toBe("no-store");
      expect(answer.headers.get("Referrer-Policy")).toBe("no-referrer");
      if (status === 405) expect(answer.headers.get("Allow")).toBeTruthy();
      if (method !== "HEAD") expect(await answer.text()).not.toContain("<script");
    },
  );

  test.each(["application/json", "multipart/form-data; boundary=x", "text/plain", ""])(
    "a form as %j: 415",
    async (type) => {
      for (const path of ["/console/sign-in", "/console/sign-out", "/console/queue", "/console/items/pend_x"]) {
        const answer = await request(path, {
          method: "POST",
          raw: "address=a@people.example",
          headers: { "Content-Type": type },
        });
        expect(answer.status, path).toBe(415);
      }
    },
  );

  test("a form larger than any of ours: 413", async () => {
    const answer = await new ConsoleBrowser().post("/console/sign-in", `address=${"a".repeat(3_000)}`);
    expect(answer.status).toBe(413);
  });
});
