import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Refused } from "../../src/errors.ts";
import { isQueryableName } from "../../src/mail/dns-over-https.ts";
import {
  domainNote,
  MAX_DOMAIN_OCTETS,
  readDomainName,
  registrableDomain,
  shownDomain,
} from "../../src/mail/domain-name.ts";
import { domainOf, READ_AS, REFUSED_AS, SHOWN_AS } from "../support/domain-names.ts";

function refusal(text: string) {
  try {
    return readDomainName(text);
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
}

describe("a domain", () => {
  it.each(READ_AS)("%j is read as %s", (typed, stored) => {
    expect(readDomainName(typed)).toBe(stored);
  });

  it.each(SHOWN_AS)("%s is shown as %s, which reads back as the same", (stored, shown) => {
    expect(shownDomain(stored)).toBe(shown);
    expect(readDomainName(shown)).toBe(stored);
  });

  it.each(REFUSED_AS.map((row) => [row[0].slice(0, 40), ...row] as const))(
    "%j is refused, saying what it is and what to give",
    (_shown, typed, sentence, hint) => {
      const found = refusal(typed);
      expect(found).toMatchObject({ code: "invalid_input", issues: [{ path: "domain" }] });
      if (typeof found === "string") return;
      expect(found.error).toContain(sentence);
      expect(found.hint ?? "").toContain(hint);
      expect(found.error.length + (found.hint?.length ?? 0)).toBeLessThan(400);
    },
  );

  it("the longest one has room for the address that a bounce comes back to", () => {
    const domain = readDomainName(domainOf(MAX_DOMAIN_OCTETS));
    expect(`bounces+${"0".repeat(44)}@bounces.${domain}`).toHaveLength(254);
  });

  it("whatever is typed is refused or read into a name that can be asked for, and reading that again changes nothing", () => {
    const label = fc.string({
      unit: fc.constantFrom(..."abzAZ09-.ü。＠@:/[]*_ \u200d\u0301אх%".split("")),
      maxLength: 30,
    });
    fc.assert(
      fc.property(fc.oneof(label, fc.string({ unit: "binary", maxLength: 40 }), fc.domain()), (typed) => {
        const read = refusal(typed);
        if (typeof read !== "string") {
          expect(read.code).toBe("invalid_input");
          return;
        }
        expect(isQueryableName(read)).toBe(true);
        expect(read).toMatch(/^[a-z0-9.-]+$/);
        expect(readDomainName(read)).toBe(read);
        expect(readDomainName(shownDomain(read))).toBe(read);
      }),
      { numRuns: 3_000 },
    );
  });
});

it.each([
  ["customer.example", null],
  ["xn--bcher-kva.example", null],
  ["xn--80ak6aa92e.com", "аррӏе.com"],
  ["xn--pypal-4ve.com", "pаypal.com"],
])("the letters of %s are noted if they imitate others", (ascii, noted) => {
  const note = domainNote(ascii);
  expect(note === null).toBe(noted === null);
  if (noted !== null) expect(note).toContain(`${noted} look like Latin ones and are not; in A-labels it is ${ascii}.`);
});

it.each([
  ["mail.customer.co.uk", "customer.co.uk"],
  ["a.b.customer.example", "customer.example"],
  ["shop.alice.github.io", "alice.github.io"],
  ["co.uk", "co.uk"],
])("what one registers of %s is %s", (name, registrable) => {
  expect(registrableDomain(name)).toBe(registrable);
});
