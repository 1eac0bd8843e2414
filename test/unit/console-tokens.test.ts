import { describe, expect, test } from "vitest";
import { newId } from "../../src/ids.ts";
import { blankWrappedTokens, findWrappedTokens } from "../../src/mail/link-guard.ts";
import { hashConsoleToken, newConsoleToken, signInLink, tenantOfToken } from "../../src/oversight/console-tokens.ts";

const TENANT = newId("ten", Date.parse("2026-11-21T09:00:00.000Z"));

describe("a console token", () => {
  test("names its tenant, and holds 256 random bits", () => {
    const token = newConsoleToken(TENANT, (length) => new Uint8Array(length).fill(255));
    expect(tenantOfToken(token)).toBe(TENANT);
    expect(token).toBe(`${TENANT.slice(4)}-${"_".repeat(42)}8`);
    expect(newConsoleToken(TENANT)).not.toBe(newConsoleToken(TENANT));
  });

  test("hashes with its tenant: the same bits at another tenant are another token", () => {
    const [, bits] = newConsoleToken(TENANT).split(/-(.*)/s);
    expect(hashConsoleToken(`${TENANT.slice(4)}-${bits}`)).not.toBe(hashConsoleToken(`${"0".repeat(26)}-${bits}`));
  });

  test.each([
    "",
    "-",
    "x",
    newConsoleToken(TENANT).slice(1),
    newConsoleToken(TENANT).slice(0, -1),
    `${newConsoleToken(TENANT)}A`,
    newConsoleToken(TENANT).toLowerCase(),
    `ten_${newConsoleToken(TENANT)}`,
    `${newConsoleToken(TENANT)}\n`,
    `Z${newConsoleToken(TENANT).slice(1)}`,
  ])("%j is none", (text) => {
    expect(tenantOfToken(text)).toBeNull();
  });
});

test("a sign-in link that someone forwards to an agent's mailbox is blanked as decision links are", () => {
  const token = newConsoleToken(TENANT);
  const link = signInLink("https://mail.example.com/", token);
  expect(link).toBe(`https://mail.example.com/console/enter/${token}`);
  const secret = token.slice(-43);
  for (const text of [
    link,
    `<a href="${link}">x</a>`,
    Buffer.from(link).toString("base64"),
    `${link.slice(0, 60)}=\r\n${link.slice(60)}`,
  ]) {
    expect(findWrappedTokens(text)).toHaveLength(1);
    expect(blankWrappedTokens(text)).not.toContain(secret);
    expect(findWrappedTokens(blankWrappedTokens(text))).toEqual([]);
  }
});
