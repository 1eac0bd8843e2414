import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newId } from "../../src/ids.ts";
import { BOUNCE_LIFE_DAYS, bounceAddress, isBounceAddress, readBounceAddress } from "../../src/mail/bounce-address.ts";
import { readUnsubscribeToken, unsubscribeHeaders, unsubscribeToken } from "../../src/mail/unsubscribe-token.ts";

const MASTER = { MASTER_KEY: Buffer.alloc(32, 7).toString("base64") };
const OTHER = { MASTER_KEY: Buffer.alloc(32, 8).toString("base64") };
const DAY = 24 * 3600_000;
const NOW = Date.UTC(2026, 10, 21, 12);
const EMAIL = newId("em", NOW - 300 * DAY, "7ZK3Q9AB");

const address = (position = 3, now = NOW) =>
  bounceAddress(MASTER, { email_id: EMAIL, position }, "bounces.example", now);

describe("a return path", () => {
  test("names its recipient, in whichever case it comes back, and its local part fits", () => {
    for (const text of [address(), address().toUpperCase(), ` ${address()} `]) {
      expect(readBounceAddress(MASTER, text, NOW)).toEqual({ email_id: EMAIL, position: 3 });
    }
    expect(address()).toMatch(/^bounces\+[0-9a-hjkmnp-tv-z]{48}@bounces\.example$/);
    expect(address().indexOf("@")).toBeLessThanOrEqual(64);
  });

  test.each([
    ["on its last day", BOUNCE_LIFE_DAYS, true],
    ["the day after", BOUNCE_LIFE_DAYS + 1, false],
    ["a year later", 365, false],
    ["where our clock is behind by a day", -1, true],
    ["from the future", -2, false],
  ])("is read %s: %i days, %s", (_when, days, isRead) => {
    expect(readBounceAddress(MASTER, address(), NOW + days * DAY) !== null).toBe(isRead);
  });

  test("of a message that waited for a year is as good as any: its life begins with the attempt", () => {
    expect(readBounceAddress(MASTER, address(0), NOW)).toEqual({ email_id: EMAIL, position: 0 });
  });

  test("under another MASTER_KEY is none, and under the previous one it is while that is kept", () => {
    expect(readBounceAddress(OTHER, address(), NOW)).toBeNull();
    const both = { ...OTHER, MASTER_KEY_PREVIOUS: MASTER.MASTER_KEY };
    expect(readBounceAddress(both, address(), NOW)).toEqual({ email_id: EMAIL, position: 3 });
  });

  test("with any one character changed is none: nobody makes another recipient's, another day's or another message's", () => {
    const [local = "", domain] = address().split("@");
    const start = "bounces+".length;
    for (let at = start; at < local.length; at++) {
      for (const digit of "0123456789abcdefghjkmnpqrstvwxyz") {
        if (digit === local[at]) continue;
        const forged = `${local.slice(0, at)}${digit}${local.slice(at + 1)}@${domain}`;
        expect(readBounceAddress(MASTER, forged, NOW)).toBeNull();
      }
    }
  });

  test("is no unsubscribe token, nor the other way round", () => {
    const token = unsubscribeToken(MASTER, { email_id: EMAIL, position: 3 });
    expect(readBounceAddress(MASTER, `bounces+${token}@bounces.example`, NOW)).toBeNull();
    expect(readUnsubscribeToken(MASTER, address().slice(8, 56))).toBeNull();
  });

  test("no other text is one, whatever it is", () => {
    const texts = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(..."0123456789abcdefghjkmnpqrstvwxyz"), minLength: 48, maxLength: 48 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(readBounceAddress(MASTER, text, NOW)).toBeNull();
        expect(readBounceAddress(MASTER, `bounces+${text}@x.example`, NOW)).toBeNull();
        expect(readUnsubscribeToken(MASTER, text)).toBeNull();
      }),
    );
  });

  test.each([
    ["bounces@m.example", true],
    ["Bounces+x@m.example", true],
    ["bounces+@m.example", true],
    ["bouncesx@m.example", false],
    ["agent+bounces@m.example", false],
  ])("%s is meant as one: %s", (text, is) => {
    expect(isBounceAddress(text)).toBe(is);
  });
});

describe("an unsubscribe link", () => {
  test("names one recipient in the headers and nobody in the footer", () => {
    for (const position of [0, 49, null]) {
      expect(readUnsubscribeToken(MASTER, unsubscribeToken(MASTER, { email_id: EMAIL, position }))).toEqual({
        email_id: EMAIL,
        position,
      });
    }
  });

  test("stands in the headers as RFC 8058 §3.1 asks", () => {
    const [[name, value], post] = unsubscribeHeaders("https://mail.example/", MASTER, {
      email_id: EMAIL,
      position: 1,
    }) as [[string, string], [string, string]];
    expect(name).toBe("List-Unsubscribe");
    expect(value).toMatch(/^<https:\/\/mail\.example\/v1\/unsubscribe\/[0-9a-z]{44}>$/);
    expect(post).toEqual(["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"]);
  });
});
