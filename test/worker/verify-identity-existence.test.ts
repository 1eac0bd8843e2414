import { env } from "cloudflare:workers";
import { generateKeyPairSync, sign } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { SigningKey } from "../../src/identity/keys.ts";
import { recordIdentityKeys } from "../../src/store/identity-directory.ts";
import { call, localPart, makeTenant, type TestTenant } from "../support/door-harness.ts";
import { KID, PUBLIC_JWK, type SignedMailOptions, signedMail } from "../support/signed-mail.ts";

/** Nobody learns from `verify_identity` whether there is a mailbox, or whose it is: it answers about what was signed for an address. */

let tenant: TestTenant;
let calls = 0;

async function ask(raw: string, world = env): Promise<unknown> {
  calls += 1;
  const headers = { "cf-connecting-ip": `10.9.${calls >> 8}.${calls & 255}` };
  const { status, body } = await call<unknown>("/v1/identity/verify", { json: { raw }, headers, env: world });
  expect(status).toBe(200);
  return body;
}

/** A mail of the tenant's, as it left. */
async function genuine(options: SignedMailOptions = {}): Promise<string> {
  const { address } = tenant.mailbox;
  const mail = await signedMail({
    ...options,
    claim: { tenant_id: tenant.id, ...options.claim },
    content: { from: { name: null, address }, ...options.content },
  });
  return mail.toString("latin1");
}

beforeAll(async () => {
  tenant = await makeTenant(["gated_send", "gated_send"]);
  const life = { not_before: "2026-01-01T00:00:00.000Z", retired_at: null, revoked_at: null };
  await recordIdentityKeys(env.DB, tenant.id, [
    { kid: KID, public_jwk: PUBLIC_JWK, ...life, active: true, version: 1 },
  ]);
});

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const STRANGERS: SigningKey = { kid: KID, sign: (bytes) => new Uint8Array(sign("sha256", bytes, privateKey)) };

/** What a stranger can make of one genuine mail, or of nothing, for an address that they guess. */
const FORGERIES: [string, (address: string) => Promise<string>][] = [
  [
    "made up, in the tenant's name",
    async (address) =>
      (
        await signedMail({
          key: STRANGERS,
          claim: { tenant_id: tenant.id },
          content: { from: { name: null, address } },
        })
      ).toString("latin1"),
  ],
  ["a genuine one with another From", async (address) => (await genuine()).replaceAll(tenant.mailbox.address, address)],
  [
    "a genuine one with another From, of the domain-bound form",
    async (address) => (await genuine({ domain_form: true })).replaceAll(tenant.mailbox.address, address),
  ],
];

describe("the answer about a forged message is the same", () => {
  test.each(FORGERIES)("%s: for an address that is somebody's and one that is nobody's", async (_what, forge) => {
    const other = tenant.mailboxes[1]?.address ?? "";
    const nobody = `${localPart("nobody")}@${env.MAIL_DOMAIN}`;
    const blank = (answer: unknown, address: string) => JSON.parse(JSON.stringify(answer).replaceAll(address, "it"));
    const [somebodys, nobodys] = [await ask(await forge(other)), await ask(await forge(nobody))];
    expect(somebodys).toMatchObject({ verified: false });
    expect(blank(somebodys, other)).toEqual(blank(nobodys, nobody));
  });
});

/** @returns the statements that an answer took. */
async function statementsFor(raw: string): Promise<string[]> {
  const statements: string[] = [];
  const DB = new Proxy(env.DB, {
    get(db, name) {
      const value: unknown = Reflect.get(db, name, db);
      if (typeof value !== "function") return value;
      return (...given: unknown[]) => {
        if (name === "prepare") statements.push(String(given[0]));
        return value.apply(db, given);
      };
    },
  });
  await ask(raw, { ...env, DB });
  return statements;
}

describe("nothing can be told from the time that it takes, since the address is not looked for", () => {
  const ofAddress = /WHERE (?:address|domain) = /;

  test.each(FORGERIES)("%s: the same statements, whoever's the address is", async (_what, forge) => {
    const other = tenant.mailboxes[1]?.address ?? "";
    const nobody = `${localPart("nobody")}@${env.MAIL_DOMAIN}`;
    const statements = await statementsFor(await forge(other));
    expect(statements).toEqual(await statementsFor(await forge(nobody)));
    expect(statements.filter((statement) => ofAddress.test(statement))).toEqual([]);
  });

  test("before somebody here has signed for it", async () => {
    expect((await statementsFor(await genuine())).some((statement) => ofAddress.test(statement))).toBe(true);
  });
});

test("what another tenant signed for an address that is not its own is nobody's", async () => {
  const other = await makeTenant();
  const mail = await genuine({ content: { from: { name: null, address: other.mailbox.address } } });
  expect(await ask(mail)).toMatchObject({
    verified: false,
    key: null,
    headers: [{ reason: "key_unknown" }, { reason: "key_unknown" }, { reason: "key_unknown" }],
  });
});

describe("whoever has what was signed for an address is told what is wrong with it", () => {
  test("a changed text, a changed subject", async () => {
    const mail = await genuine();
    const text = mail.replace("order is on", "order was on");
    expect(text).not.toBe(mail);
    expect(await ask(text)).toMatchObject({
      verified: false,
      reasons: expect.arrayContaining([expect.objectContaining({ reason: "body_changed" })]),
    });
    const subject = mail.replace(/^Subject: /m, "Subject: Re: ");
    expect(subject).not.toBe(mail);
    expect(await ask(subject)).toMatchObject({ verified: false, headers: [{ valid: true }, { valid: true }, {}] });
  });
});
