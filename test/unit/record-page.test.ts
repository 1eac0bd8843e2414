import { describe, expect, test } from "vitest";
import { recordPage } from "../../src/pages/record/page.tsx";
import { RECORD_STYLE } from "../../src/pages/record/style.ts";
import { STYLE_SOURCES, styleSource } from "../../src/pages/style.ts";
import { ALTERED_RECORD, ERASED_RECORD, OFFER_RECORD, RECORD_PAGES } from "../support/record-pages.tsx";

/** The words of a page, without what only isolates them. */
function words(page: string): string {
  return page.replace(/<\/?bdi>/g, "");
}

describe.each(Object.entries(RECORD_PAGES))("the page %s", (_name, page) => {
  test("runs nothing, loads nothing, and styles itself only as its policy lets it", () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\son\w+=|javascript:/i);
    const styles = [...page.matchAll(/<style>(.*?)<\/style>/gs)].map(([, style = ""]) => style);
    for (const style of styles) expect(STYLE_SOURCES).toContain(styleSource(style));
    expect(styles).toContain(RECORD_STYLE);
  });

  test("has the checkpoint and the key by which it can be checked", () => {
    expect(page).toContain(OFFER_RECORD.checkpoint.verifier_key);
    expect(page).toContain(OFFER_RECORD.checkpoint.checkpoint.trim());
  });
});

test("says who wrote it, who decided with which note, what was signed, and every step with its hash", () => {
  const page = words(recordPage(OFFER_RECORD));
  for (const said of [
    "Your order 4711 ships on Thursday",
    "the agent order-desk, the key key_01KBMX3Z8Q4N7W2T0789ABCDEF, the model sonnet-5, anthropic",
    "Sending held",
    "The price is right.",
    "DKIM mm-ed25519, mm-rsa; the identity key idk_01KBMX3Z8Q4N7W2T0 (X-MultiMail-Identity, Message-Signature)",
    "This message was returned by the recipient",
  ]) {
    expect(page).toContain(said);
  }
  for (const { hash, entry_id, text } of OFFER_RECORD.steps)
    for (const said of [hash, entry_id ?? "no id", text]) expect(page).toContain(said);
});

test("of an erased message says so in each place, and nothing of the person", () => {
  const page = words(recordPage(ERASED_RECORD));
  expect(page).toContain("Its content was erased on");
  expect(page).toContain("It was erased.");
  expect(page.match(/details erased/g)).toHaveLength(5);
  for (const word of ["customer@", "anna@", "4711 ships", "price is right"]) expect(page).not.toContain(word);
});

test("of altered entries says so first, shows nothing of what stands in their place, and calls nothing erased that only cannot be read", () => {
  const page = words(recordPage(ALTERED_RECORD));
  expect(page).toContain("2 entries about this message were changed after they were written.");
  expect(page.indexOf("2 entries about this message")).toBeLessThan(page.indexOf("At a glance"));
  expect(page.match(/This entry was changed after it was written: /g)).toHaveLength(2);
  expect(page.match(/details cannot be read/g)).toHaveLength(3);
  expect(page).toContain("It cannot be read.");
  for (const word of ["decision.rejected", "It was erased", "details erased", "Approved by"]) {
    expect(page).not.toContain(word);
  }
  expect(words(recordPage(OFFER_RECORD))).not.toContain("changed after");
});

test("someone else's words are text, their hidden characters spelled out", () => {
  const page = RECORD_PAGES.hostile ?? "";
  expect(page).toContain("&lt;script&gt;");
  expect(page).toContain("&lt;b&gt;No&lt;/b&gt;");
  expect(page).not.toContain("\u202E");
});

test("what is left out, and what is archived, is told", () => {
  const page = words(RECORD_PAGES.hostile ?? "");
  expect(page).toContain("1 step more is not shown");
  expect(page).toContain("Steps up to Tue, 30 Jun 2026");
});
