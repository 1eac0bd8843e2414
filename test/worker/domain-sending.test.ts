import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { unwrap } from "../../src/errors.ts";
import type { Domain } from "../../src/operations/shapes/domain.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { newDkimKeys } from "../../src/store/domains.ts";
import {
  alignedDomain,
  alignedInObject,
  breakDomain,
  domainName,
  letPass,
  publish,
  verify,
  withdraw,
} from "../support/domain-zones.ts";
import { call, keyOf, makeTenant } from "../support/door-harness.ts";
import {
  advanceClock,
  checkMailbox,
  inObject,
  makeMailbox,
  runAlarm,
  status,
  submission,
  type TestMailbox,
} from "../support/mailbox-harness.ts";
import { receivedFor } from "../support/received-mail.ts";
import { inTenant } from "../support/tenant-harness.ts";

/** Mail from a domain of one's own: signed with its keys, held while it is broken, never lost. */

const HOUR = 3600_000;

interface Sender {
  box: TestMailbox;
  domain: Domain;
}

/** A mailbox that sends unasked, at an aligned domain of its tenant's. */
async function sender(): Promise<Sender> {
  const name = domainName();
  const box = await makeMailbox({ oversight_mode: "autonomous", address: `hello@${name}` });
  return { box, domain: await alignedInObject(box.admin, name) };
}

/** Has the domain believed to be broken, or looks once more after it was mended. */
async function look({ box, domain }: Sender): Promise<Domain> {
  const object = env.TENANT.getByName(box.admin.tenant_id);
  return unwrap(await object.lookAtDomain(box.admin, domain.id)).domain;
}

async function broken(from: Sender): Promise<void> {
  await withdraw(from.domain.dns_records.filter(({ purpose }) => purpose === "dkim"));
  await look(from);
  await letPass({ id: from.box.admin.tenant_id }, HOUR);
}

async function mended(from: Sender): Promise<void> {
  await publish(from.domain.dns_records);
  expect((await look(from)).sending).toBe("ok");
}

function recipient({ mailbox }: TestMailbox): string {
  return `ok-${mailbox.id.slice(-8).toLowerCase()}@customer.example`;
}

async function send({ box }: Sender): Promise<string> {
  const to = [{ name: null, address: recipient(box) }];
  return unwrap(await box.stub.submit(box.agent, submission(box, { to }))).id;
}

async function readBack({ box }: Sender, id: string) {
  return unwrap(await box.stub.read(box.agent, id, { mark_read: false, include_html: false })).email;
}

const selectorsIn = (raw: string) =>
  [...raw.replace(/\r\n[ \t]+/g, " ").matchAll(/^DKIM-Signature:.*?\bs=([^;\s]+)/gm)]
    .map(([, selector]) => selector)
    .sort();

describe("mail from a domain of one's own", () => {
  test("has one signature for each key that signs", async () => {
    const from = await sender();
    await send(from);
    await runAlarm(from.box);
    const [mail] = await receivedFor(recipient(from.box));
    expect(selectorsIn(mail?.raw ?? "")).toEqual(from.domain.dkim_keys.map(({ selector }) => selector).sort());
    expect(mail?.raw).toMatch(new RegExp(`\\bd=${from.domain.domain};`));
  });

  test("under way through a rotation is signed with the keys that are published at each attempt", async () => {
    const from = await sender();
    const object = env.TENANT.getByName(from.box.admin.tenant_id);
    const to = [{ name: null, address: recipient(from.box).replace("ok", "defer-451") }];
    const waiting = unwrap(await from.box.stub.submit(from.box.agent, submission(from.box, { to }))).id;
    await runAlarm(from.box);
    expect(await status(from.box, waiting)).toBe("queued");
    const rotated = unwrap(
      await object.rotateDkim(from.box.admin, from.domain.id, newDkimKeys(env, from.domain.domain, "dual")),
    );
    if ("needs_keys" in rotated) throw new Error("the keys were not taken");
    await send(from);
    await runAlarm(from.box);
    await publish(rotated.domain.dns_records);
    await look(from);
    await send(from);
    await advanceClock(from.box, 2 * 60_000);
    await runAlarm(from.box);
    const next = rotated.domain.dkim_keys
      .filter(({ state }) => state === "next")
      .map(({ selector }) => selector)
      .sort();
    const before = from.domain.dkim_keys.map(({ selector }) => selector).sort();
    const mails = await receivedFor(recipient(from.box));
    expect(mails.map(({ raw }) => selectorsIn(raw))).toEqual([before, next]);
  });
});

describe("a broken domain", () => {
  test("holds its mail, says why, and lets it go once it is mended", async () => {
    const from = await sender();
    await broken(from);
    const id = await send(from);
    await runAlarm(from.box);
    const waiting = await readBack(from, id);
    expect(waiting.status).toBe("queued");
    expect(waiting.waits_because).toContain(from.domain.domain);
    expect(waiting.waits_because).toContain("verify_domain_alignment");
    expect(await receivedFor(recipient(from.box))).toEqual([]);
    await mended(from);
    await advanceClock(from.box, 2 * 60_000);
    await runAlarm(from.box);
    expect(await readBack(from, id)).toMatchObject({ status: "sent", waits_because: null });
    expect(await receivedFor(recipient(from.box))).toHaveLength(1);
    const actions = (await checkMailbox(from.box))
      .map(({ action }) => action)
      .filter((action) => action.includes("domain"));
    expect(actions).toEqual(["delivery.domain_broken", "delivery.domain_mended"]);
  });

  test("loses nothing however long it lasts, and whatever restarts meanwhile", async () => {
    const from = await sender();
    const to = [{ name: null, address: recipient(from.box).replace("ok", "defer-451") }];
    const tried = unwrap(await from.box.stub.submit(from.box.agent, submission(from.box, { to }))).id;
    await runAlarm(from.box);
    await broken(from);
    const id = await send(from);
    for (let restart = 1; restart <= 3; restart++) {
      await abortAllDurableObjects();
      from.box.stub = env.MAILBOX.getByName(from.box.mailbox.id.slice(-8));
      await letPass({ id: from.box.admin.tenant_id }, 0);
      await inObject(from.box, (_object, state) => {
        state.storage.sql.exec("UPDATE timers SET due = 0 WHERE kind = 'deliver'");
      });
      await runAlarm(from.box);
      expect([await status(from.box, id), await status(from.box, tried)]).toEqual(["queued", "queued"]);
    }
    await mended(from);
    await inObject(from.box, (_object, state) => {
      state.storage.sql.exec("UPDATE timers SET due = 0 WHERE kind = 'deliver'");
    });
    await runAlarm(from.box);
    expect(await status(from.box, id)).toBe("sent");
  });

  test("does not hold the mail of others: not of the deployment's own domain, nor of another domain of the tenant's", async () => {
    const from = await sender();
    await broken(from);
    const object = env.TENANT.getByName(from.box.admin.tenant_id);
    const other = await alignedInObject(from.box.admin, domainName(), "ed25519");
    const standing = async (domain: string) =>
      (await object.admitDelivery(null, { domain, recipients: [] })).domain.status;
    expect(await standing(env.MAIL_DOMAIN)).toBe("ok");
    expect(await standing(other.domain)).toBe("ok");
    expect(await standing(from.domain.domain)).toBe("broken");
    expect(await standing("never-set-up.example")).toBe("broken");
  });

  test("a cancellation still takes back what waits", async () => {
    const from = await sender();
    await broken(from);
    const id = await send(from);
    await runAlarm(from.box);
    unwrap(await from.box.stub.cancel(from.box.agent, id, null));
    await mended(from);
    await advanceClock(from.box, 2 * 60_000);
    await runAlarm(from.box);
    expect(await receivedFor(recipient(from.box))).toEqual([]);
  });

  test("the send's own answer says so", async () => {
    const tenant = await makeTenant();
    const domain = await alignedDomain(tenant);
    const mailbox = await call<Mailbox>("/v1/mailboxes", {
      key: keyOf(tenant, "admin"),
      json: { address: `hello@${domain.domain}` },
    });
    const sent = () =>
      call<SendAnswer>(`/v1/mailboxes/${mailbox.body.id}/send`, {
        key: keyOf(tenant, "send"),
        json: { to: "ana@customer.example", subject: "Offer", text: "Hello" },
      });
    expect((await sent()).body.message).not.toContain(domain.domain);
    await withdraw(domain.dns_records.filter(({ purpose }) => purpose === "dkim"));
    await breakDomain(tenant, domain.id);
    const { status, body } = await sent();
    expect([status, body.status]).toEqual([202, "pending_send_approval"]);
    expect(body.message).toContain(`The DNS records of ${domain.domain} are broken`);
    await publish(domain.dns_records);
    await verify(tenant, domain.id);
    expect((await sent()).body.message).not.toContain(domain.domain);
  });
});

describe("bounces come back", () => {
  test.each([
    ["to the domain itself, where its mail comes here", ["inbound", "return_path"], (domain: string) => domain],
    ["below it, where its mail goes elsewhere", ["return_path"], (domain: string) => `bounces.${domain}`],
    ["to the deployment, where neither comes here", [], () => env.MAIL_DOMAIN],
  ])("%s", async (_what, received, expected) => {
    const { box } = { box: await makeMailbox() };
    const domain = await alignedInObject(box.admin, domainName(), "ed25519");
    const left = domain.dns_records.filter(
      ({ purpose, type }) =>
        (purpose !== "inbound" && purpose !== "return_path") || received.includes(purpose) || type === "CNAME",
    );
    await withdraw(domain.dns_records);
    await publish(left);
    const object = env.TENANT.getByName(box.admin.tenant_id);
    unwrap(await object.lookAtDomain(box.admin, domain.id));
    const { domain: standing } = await object.admitDelivery(null, { domain: domain.domain, recipients: [] });
    expect(standing).toEqual({ status: "ok", return_path_domain: expected(domain.domain) });
    await inTenant(box.admin.tenant_id, (own) => own.settled());
  });
});
