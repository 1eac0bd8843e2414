import { expect, test } from "vitest";
import { identityTxtRecord } from "../../src/identity/txt-record.ts";
import { dnsOverHttps } from "../../src/mail/dns-over-https.ts";
import { judgeIdentity, type KeySources } from "../../src/mail/received-identity.ts";
import { CLAIM, KID, publishedKey, sent, TENANT, trusted } from "../support/identity-signer.ts";

/** A stranger who saw a message's nonce, and signs a claim with it by a key of their own, under the other's tenant. */

const FROM = CLAIM.mailbox;
const record = identityTxtRecord({ ...publishedKey(), kid: KID });

async function nonceWith(sources: KeySources): Promise<string | null | undefined> {
  const raw = await sent();
  const headers: [string, string][] = [["X-MultiMail-Signature", "is looked for by its name"]];
  const from = [{ name: null, address: FROM }];
  const authentication = { dkim_result: "pass" };
  return (await judgeIdentity({ raw, large: false, from, headers, authentication }, sources))?.nonce;
}

test("a nonce is kept under whom the keys prove, never under the tenant that a claim names", async () => {
  const dns = dnsOverHttps("https://dns.example/", async () =>
    Response.json({ Status: 0, Answer: [{ type: 16, data: JSON.stringify(record) }] }),
  );
  expect(await nonceWith({ ownKeys: async () => trusted(), dns })).toBe(`${TENANT}/${CLAIM.nonce}`);
  expect(await nonceWith({ ownKeys: async () => null, dns })).toBe(`agents.example.com/${CLAIM.nonce}`);
});
