import { createPublicKey } from "node:crypto";
import { expect, it } from "vitest";
import { dkimDnsRecord, generateDkimKeys, txtStrings } from "../../src/mail/dkim-keys.ts";

const keys = generateDkimKeys(["rsa-sha256", "ed25519-sha256"], (length) => new Uint8Array(length).fill(0xab));

it("there is one RSA key of 2048 bits and one Ed25519 key, with selectors of their own", () => {
  expect(keys.map(({ selector, algorithm }) => [selector, algorithm])).toEqual([
    ["mmababababr", "rsa-sha256"],
    ["mmababababe", "ed25519-sha256"],
  ]);
  expect(createPublicKey(keys[0]?.private_key_pem ?? "").asymmetricKeyDetails?.modulusLength).toBe(2048);
});

it("selectors differ each time", () => {
  expect(generateDkimKeys()[0]?.selector).not.toBe(generateDkimKeys()[0]?.selector);
});

it("an Ed25519 key is published as its 32 bytes (RFC 8463), an RSA key as SPKI (RFC 6376)", () => {
  expect(Buffer.from(keys[1]?.public_key_base64 ?? "", "base64")).toHaveLength(32);
  const rsa = createPublicKey({
    key: Buffer.from(keys[0]?.public_key_base64 ?? "", "base64"),
    type: "spki",
    format: "der",
  });
  expect(rsa.asymmetricKeyType).toBe("rsa");
});

it("the DKIM record stands at the selector, and RSA's is the required one", () => {
  const records = keys.map((key) => dkimDnsRecord("sender.example", key));
  expect(records.map(({ name, type, required }) => [name, type, required])).toEqual([
    ["mmababababr._domainkey.sender.example", "TXT", true],
    ["mmababababe._domainkey.sender.example", "TXT", false],
  ]);
  expect(records[1]?.value).toBe(`v=DKIM1; k=ed25519; p=${keys[1]?.public_key_base64}`);
});

it("a record over 255 octets is published in strings that join to it", () => {
  const value = dkimDnsRecord(
    "sender.example",
    keys[0] ?? { ...keys[1], selector: "", algorithm: "rsa-sha256", public_key_base64: "" },
  ).value;
  const strings = txtStrings(value);
  expect(strings.length).toBe(2);
  expect(Math.max(...strings.map(({ length }) => length))).toBe(255);
  expect(strings.join("")).toBe(value);
});
