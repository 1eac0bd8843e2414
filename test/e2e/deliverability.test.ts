import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { authenticate } from "mailauth";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Api, apiOf } from "../../dev/api.ts";
import { decideOn, linkIn, openPage } from "../../dev/decision-page.ts";
import { type KeptMail, mailTo } from "../../dev/outbox.ts";
import { CUSTOMER_DOMAIN, loadSender, sign, submitOverSmtp, type ZoneData } from "../../dev/senders.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld } from "../../dev/world.ts";
import { type World, worldPaths } from "../../dev/world-files.ts";
import { sealArc } from "../../src/mail/arc-seal.ts";
import { authenticateMessage } from "../../src/mail/authenticate.ts";
import { dnsOverHttps } from "../../src/mail/dns-over-https.ts";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { block, dsn } from "../support/bounces.ts";

/** The story of a domain: from nothing to aligned, what leaves from it, what is passed on, and what comes back. */

const DOMAIN = "shop.example";
const HOP = "list.example";

const dir = mkdtempSync(join(tmpdir(), "world-"));
let running: RunningWorld;
let world: World;
let agent: Api;
let admin: Api;
let outside: ZoneData;
let mailbox: Mailbox;

beforeAll(async () => {
  running = await startWorld({ dir, port: 0 });
  world = running.world;
  agent = apiOf(world, world.keys.agent);
  admin = apiOf(world, world.keys.admin);
  outside = JSON.parse(readFileSync(world.zones_file, "utf8"));
}, 180_000);

afterAll(async () => {
  await running?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function body<T>(answer: ReturnType<Api>, status: number): Promise<T> {
  const { status: got, body } = await answer;
  expect(got, JSON.stringify(body)).toBe(status);
  return body as T;
}

/** The zones file's form of these records. */
function zoneOf(records: Domain["dns_records"]): ZoneData {
  const zone: ZoneData = {};
  for (const { type, name, value } of records) {
    zone[name] = { ...zone[name], [type]: [...(zone[name]?.[type] ?? []), value] };
  }
  return zone;
}

/** Writes the world's zones anew: everybody else's, and these. */
function publish(zones: ZoneData): void {
  writeFileSync(world.zones_file, JSON.stringify({ ...outside, ...zones }));
}

function verify(domain: Domain): Promise<Domain> {
  return body(admin("POST", `/v1/domains/${domain.id}/verify`, {}), 200);
}

async function newest(to: string, words: string): Promise<KeptMail> {
  return until(`the mail to ${to} about “${words}”`, async () =>
    (await mailTo(world.outbox_dir, to)).findLast(({ parsed }) => parsed.text?.includes(words)),
  );
}

/** The approver opens the link in their mail, and approves. */
async function approve(words: string): Promise<void> {
  const { parsed } = await newest(world.approver_email, words);
  const page = await openPage(linkIn(parsed.text ?? "", world.base_url));
  expect((await decideOn(page, "approve")).status).toBe(200);
}

/** Makes a change for which the operator is mailed a code. */
async function changeWithCode(path: string, change: Record<string, unknown>, words: string): Promise<void> {
  await body(admin("PATCH", path, change), 202);
  const { parsed } = await newest(world.operator_email, words);
  const approval_code = /^Code: (\d+)/m.exec(parsed.text ?? "")?.[1];
  await body(admin("PATCH", path, { ...change, approval_code }), 200);
}

function read(id: string): Promise<Email> {
  return body(agent("GET", `/v1/emails/${id}`), 200);
}

async function send(message: Record<string, unknown>): Promise<string> {
  const answer = body<SendAnswer>(agent("POST", `/v1/mailboxes/${mailbox.id}/send`, message), 202);
  return (await answer).id;
}

/** What a receiver that shares no code with us finds. */
async function judged({ raw, envelope }: KeptMail) {
  const resolve = dnsOverHttps(world.doh_url, fetch);
  const { dkim, spf, dmarc } = await authenticate(raw, {
    ...{ ip: "127.0.0.1", helo: "mx.agents.example", sender: envelope.from, mta: "mx.customer.example" },
    resolver: async (name: string, type: string) => resolve(name, type as "TXT"),
  });
  return {
    dkim: dkim.results.map(({ status, signingDomain }) => `${status.result} ${signingDomain}`),
    spf: spf && `${spf.status.result} ${spf.domain}`,
    dmarc: dmarc ? dmarc.status.result : null,
  };
}

it("a domain is set up from nothing to aligned, and each misalignment has a detail of its own", async () => {
  const domain = await body<Domain>(admin("POST", "/v1/domains", { domain: DOMAIN, dmarc_policy: "quarantine" }), 201);
  const zone = zoneOf(domain.dns_records);
  const named = (purpose: string) => domain.dns_records.find((record) => record.purpose === purpose)?.name ?? "";
  const [dkim, dmarc, ownership] = [named("dkim"), named("dmarc"), named("ownership")];
  const key = zone[dkim]?.TXT?.[0] ?? "";

  const nothing = await verify(domain);
  expect([nothing.status, nothing.checks.ownership, nothing.checks.dkim]).toEqual(["pending", "missing", "missing"]);
  expect(nothing.detail).toContain(`_multimail-challenge.${DOMAIN}`);
  await body(admin("POST", "/v1/mailboxes", { address: `hello@${DOMAIN}` }), 422);

  const { [dmarc]: _dmarc, ...withoutDmarc } = zone;
  const cases: [what: string, zones: ZoneData, status: string, check: string, says: string[]][] = [
    ["no proof", { ...zone, [ownership]: {} }, "pending", "ownership", [ownership]],
    [
      "two SPF records",
      { ...zone, [DOMAIN]: { TXT: ["v=spf1 mx ~all", "v=spf1 -all"] } },
      "misaligned",
      "spf",
      ["2 SPF records at shop.example"],
    ],
    [
      "SPF without us",
      { ...zone, [DOMAIN]: { TXT: ["v=spf1 -all"] } },
      "misaligned",
      "spf",
      ["says “v=spf1 -all”", "“v=spf1 mx -all”"],
    ],
    [
      "another key",
      { ...zone, [dkim]: { TXT: [key.replace(/p=.{40}/, `p=${"A".repeat(40)}`)] } },
      "misaligned",
      "dkim",
      [dkim],
    ],
    ["half a key", { ...zone, [dkim]: { TXT: [key.slice(0, 255)] } }, "misaligned", "dkim", [dkim, "only the first"]],
    ["a key taken back", { ...zone, [dkim]: { TXT: ["v=DKIM1; k=rsa; p="] } }, "misaligned", "dkim", [dkim, "p="]],
    ["no DMARC", withoutDmarc, "pending", "dmarc", [dmarc]],
    [
      "the zone twice",
      { ...withoutDmarc, [`${dmarc}.${DOMAIN}`]: zone[dmarc] ?? {} },
      "pending",
      "dmarc",
      ["enter “_dmarc”"],
    ],
    [
      "a weaker policy",
      { ...zone, [dmarc]: { TXT: ["v=DMARC1; p=none"] } },
      "misaligned",
      "dmarc",
      ["“p=none”", "quarantine"],
    ],
    ["nearly DMARC", { ...zone, [dmarc]: { TXT: ["v=dmarc1; p=reject"] } }, "misaligned", "dmarc", ["v=DMARC1"]],
  ];
  const details = new Set<string>();
  for (const [what, zones, status, check, says] of cases) {
    publish(zones);
    const found = await verify(domain);
    expect([what, found.status], found.detail).toEqual([what, status]);
    expect(found.checks[check as "dkim"], what).not.toBe("pass");
    for (const words of says) expect(found.detail, what).toContain(words);
    details.add(found.detail);
  }
  expect(details.size).toBe(cases.length);

  publish(zone);
  outside = { ...outside, ...zone };
  expect(await verify(domain)).toMatchObject({ status: "aligned", sending: "ok", checks: { alignment: "pass" } });
  mailbox = await body(
    admin("POST", "/v1/mailboxes", { address: `hello@${DOMAIN}`, approver_email: world.approver_email }),
    201,
  );
});

it("what leaves from it is signed by both keys, aligned, and has a return path for each recipient", async () => {
  const to = [`ann@${CUSTOMER_DOMAIN}`, `bob@${CUSTOMER_DOMAIN}`];
  const id = await send({ to, subject: "Order", text: "Your order is on its way." });
  await approve("Your order is on its way.");
  const mails = await Promise.all(to.map((address) => newest(address, "Your order is on its way.")));
  for (const mail of mails) {
    expect(await judged(mail)).toEqual({
      dkim: [`pass ${DOMAIN}`, `pass ${DOMAIN}`],
      ...{ spf: `pass ${DOMAIN}`, dmarc: "pass" },
    });
    expect(mail.envelope.from).toMatch(new RegExp(`^bounces\\+\\w{48}@${DOMAIN}$`));
  }
  expect(new Set(mails.map(({ envelope }) => envelope.from)).size).toBe(2);
  expect((await read(id)).status).toBe("sent");
});

it("a bounce is about one recipient, who is suppressed; a forged one is refused", async () => {
  const to = [`gone@${CUSTOMER_DOMAIN}`, `bob@${CUSTOMER_DOMAIN}`];
  const id = await send({ to, subject: "Bill", text: "Here is the bill." });
  await approve("Here is the bill.");
  const { envelope } = await newest(to[0] ?? "", "Here is the bill.");
  const report = Buffer.from(dsn([block("failed", "5.1.1", { to: to[0] ?? "" })]));
  const { inbound_port } = world.smtp;
  const forged = envelope.from.replace(/.@/, (end) => (end === "0@" ? "1@" : "0@"));
  expect(await submitOverSmtp(inbound_port, { from: "", to: [forged] }, report)).toMatchObject({ code: 550 });
  expect((await read(id)).recipients.map(({ state }) => state)).toEqual(["accepted", "accepted"]);

  expect(await submitOverSmtp(inbound_port, { from: "", to: [envelope.from] }, report)).toMatchObject({ code: 250 });
  expect((await read(id)).recipients.map(({ state }) => state)).toEqual(["returned", "accepted"]);
  expect(await agent("POST", `/v1/mailboxes/${mailbox.id}/send`, { to: to[0], subject: "x", text: "x" })).toMatchObject(
    {
      status: 422,
      body: { code: "recipient_suppressed" },
    },
  );
  await send({ to: to[1], subject: "Still", text: "Bob is still written to." });
});

it("promotional mail has an unsubscribe link, and whoever uses it gets no more of it", async () => {
  const to = `carol@${CUSTOMER_DOMAIN}`;
  const offer = { to, subject: "Offer", text: "Half the price.", tags: ["promotional"] };
  expect(await agent("POST", `/v1/mailboxes/${mailbox.id}/send`, offer)).toMatchObject({
    status: 422,
    body: { code: "postal_address_missing" },
  });
  await body(admin("PATCH", "/v1/account", { postal_address: "Shop Ltd, 1 High Street, Dublin" }), 200);
  await send(offer);
  await approve("Half the price.");
  const { parsed } = await newest(to, "Half the price.");
  expect(parsed.text).toContain("Shop Ltd, 1 High Street, Dublin");
  const header = (name: string) => parsed.headers.find(({ key }) => key === name)?.value ?? "";
  expect(header("list-unsubscribe-post")).toBe("List-Unsubscribe=One-Click");
  const link = header("list-unsubscribe").slice(1, -1);
  expect((await fetch(link)).status).toBe(200);
  await send({ ...offer, subject: "Nobody asked yet" });
  const asked = await fetch(link, { method: "POST", body: new URLSearchParams({ "List-Unsubscribe": "One-Click" }) });
  expect(asked.status).toBe(200);
  expect(await agent("POST", `/v1/mailboxes/${mailbox.id}/send`, offer)).toMatchObject({
    status: 422,
    body: { code: "recipient_suppressed" },
  });
  await send({ to, subject: "Receipt", text: "Your receipt.", tags: ["transactional"] });
});

it("forwarded mail passes by ARC behind a hop that breaks its DKIM signature, and only where the hop is trusted", async () => {
  const customer = await loadSender(worldPaths(dir).senders, CUSTOMER_DOMAIN);
  const author = { name: "", address: `dora@${CUSTOMER_DOMAIN}` };
  const written = `From: ${author.address}\r\nTo: ${mailbox.address}\r\nSubject: Question\r\nMessage-ID: <q1@${CUSTOMER_DOMAIN}>\r\n\r\nWhat does it cost?\r\n`;
  const signed = await sign(customer, Buffer.from(written));
  const { inbound_port } = world.smtp;
  const arrived = { from: author.address, to: [mailbox.address] };
  expect(await submitOverSmtp(inbound_port, arrived, signed)).toMatchObject({ code: 250 });
  const inbox = (box: Mailbox, subject: string) =>
    until(`“${subject}” in ${box.address}`, async () => {
      const path = `/v1/mailboxes/${box.id}/emails?direction=inbound&limit=100`;
      const { emails } = await body<{ emails: EmailSummary[] }>(agent("GET", path), 200);
      return emails.find((email) => email.subject === subject);
    });
  const { id } = await inbox(mailbox, "Question");
  await body(agent("POST", `/v1/mailboxes/${mailbox.id}/forward/${id}`, { to: `list@${HOP}` }), 202);
  await approve("What does it cost?");
  const passedOn = await newest(`list@${HOP}`, "What does it cost?");
  expect(passedOn.raw.subarray(-signed.length).equals(signed)).toBe(true);

  // The list writes its name into the subject, which breaks the author's signature, and seals what it found before.
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const p = pair.publicKey.export({ type: "spki", format: "der" }).toString("base64");
  publish({ [`s1._domainkey.${HOP}`]: { TXT: [`v=DKIM1; k=rsa; p=${p}`] } });
  const resolve = dnsOverHttps(world.doh_url, fetch);
  const { raw, envelope } = passedOn;
  const at = { raw, envelope_from: envelope.from, client: null, from: [author], mta: `mx.${HOP}`, now: Date.now() };
  const verdicts = await authenticateMessage(at, resolve);
  expect([verdicts.dkim_result, verdicts.dmarc_result, verdicts.arc_result]).toEqual(["pass", "pass", "pass"]);
  const changed = Buffer.from(
    raw.toString("latin1").replace("Subject: Question", "Subject: [list] Question"),
    "latin1",
  );
  const private_key_pem = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const key = { domain: HOP, selector: "s1", algorithm: "rsa-sha256", private_key_pem } as const;
  const resealed = Buffer.from(await sealArc(changed, { key, verdicts, authserv_id: `mx.${HOP}`, now: Date.now() }));

  const next = world.mailboxes.find(({ oversight_mode }) => oversight_mode === "autonomous") as Mailbox;
  const path = `/v1/mailboxes/${next.id}`;
  await body(admin("PATCH", path, { dmarc_fail_action: "reject" }), 200);
  const behind = { from: `list-bounces@${HOP}`, to: [next.address] };
  expect(await submitOverSmtp(inbound_port, behind, resealed)).toMatchObject({ code: 550 });
  await changeWithCode(path, { trusted_arc_sealers: [HOP] }, HOP);
  expect(await submitOverSmtp(inbound_port, behind, resealed)).toMatchObject({ code: 250 });
  const found = await read((await inbox(next, "[list] Question")).id);
  expect(found).toMatchObject({ dmarc_result: "fail", arc_result: "pass", dkim_result: "fail" });
  expect(found.flags).toContain("dmarc_overridden");
});
