import { expect, it } from "vitest";
import { Refused } from "../../src/errors.ts";
import { readDomainName, shownDomain } from "../../src/mail/domain-name.ts";
import { READ_AS, REFUSED_AS, SHOWN_AS } from "../support/domain-names.ts";

/** Domains are read in workerd as they are in Node. */

it.each(READ_AS)("%j is read as %s", (typed, stored) => {
  expect(readDomainName(typed)).toBe(stored);
});

it.each(SHOWN_AS)("%s is shown as %s", (stored, shown) => {
  expect(shownDomain(stored)).toBe(shown);
});

it.each(REFUSED_AS.map((row) => [row[0].slice(0, 40), ...row] as const))("%j is refused", (_shown, typed, sentence) => {
  expect(() => readDomainName(typed)).toThrow(Refused);
  expect(() => readDomainName(typed)).toThrow(sentence);
});
