import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitQuotedHistory } from "../../src/mail/quoted-history.ts";

const QUOTES = "> Can you confirm?\n> Ann\n";
const ATTRIBUTIONS: [string, string][] = [
  ["English", "On Tue, Jun 3, 2025 at 9:14 AM Ann <ann@a.example> wrote:"],
  ["English over two lines", "On Tue, Jun 3, 2025 at 9:14 AM Ann Longname-Surname\n<ann@a.example> wrote:"],
  ["markdown", "On Tue, Jun 3, 2025 at 9:14 AM Ann <[ann@a.example](mailto:ann@a.example)> wrote:"],
  ["German", "Am Di., 3. Juni 2025 um 09:14 Uhr schrieb Ann <ann@a.example>:"],
  ["French", "Le mar. 3 juin 2025 à 09:14, Ann <ann@a.example> a écrit :"],
  ["Spanish", "El mar, 3 jun 2025 a las 9:14, Ann (<ann@a.example>) escribió:"],
  ["Italian", "Il giorno mar 3 giu 2025 alle ore 09:14 Ann <ann@a.example> ha scritto:"],
  ["Portuguese", "Em ter., 3 de jun. de 2025 às 09:14, Ann <ann@a.example> escreveu:"],
  ["Dutch", "Op di 3 jun 2025 om 09:14 schreef Ann <ann@a.example>:"],
  ["Swedish", "Den tis 3 juni 2025 kl 09:14 skrev Ann <ann@a.example>:"],
  ["Polish", "W dniu wt., 3 cze 2025 o 09:14 Ann <ann@a.example> napisał(a):"],
  ["Russian", "вт, 3 июн. 2025 г. в 09:14, Ann <ann@a.example>:\nAnn <ann@a.example> пишет:"],
  ["Chinese", "2025年6月3日 09:14,Ann <ann@a.example> 写道:"],
  ["Japanese", "2025年6月3日(火) 9:14 Ann <ann@a.example>:"],
];

describe("history is split off", () => {
  test.each(ATTRIBUTIONS)("after an attribution in %s", (_language, attribution) => {
    const text = `Yes, it is.\n\n${attribution}\n\n${QUOTES}`;
    expect(splitQuotedHistory(text)).toEqual({ fresh: "Yes, it is.\n\n", quoted: `${attribution}\n\n${QUOTES}` });
  });

  test.each([
    ["Outlook's separator", "-----Original Message-----\nFrom: Ann\nSent: Tuesday\n\nCan you?"],
    ["its German one", "-----Ursprüngliche Nachricht-----\nVon: Ann\n\nGeht das?"],
    ["Gmail's forward", "---------- Forwarded message ---------\nFrom: Ann <ann@a.example>\nDate: Tue\n\nHello"],
    ["Apple's forward", "Begin forwarded message:\n\nFrom: Ann\n\nHello"],
    [
      "Outlook's block",
      "From: Ann <ann@a.example>\nSent: Tuesday, June 3, 2025 9:14 AM\nTo: Agent\nSubject: x\n\nCan you?",
    ],
    ["Outlook's block in markdown", "**From:** Ann <ann@a.example>  \n**Sent:** Tuesday  \n**To:** Agent\n\nCan you?"],
    ["Outlook's block in French", "De : Ann <ann@a.example>\nEnvoyé : mardi\nÀ : Agent\n\nPouvez-vous ?"],
    ["an attribution without quote marks", "On Tuesday, 3 June 2025, Ann <ann@a.example> wrote:\nCan you?\nAnn"],
    ["bare quotes at the end", "> Can you?\n> Ann"],
    ["quotes of quotes", "On Tuesday, 3 June 2025, Ann wrote:\n> Can you?\n>> Could you?\n> \n\n"],
  ])("at %s", (_what, history) => {
    expect(splitQuotedHistory(`Yes.\n\n${history}`)).toEqual({ fresh: "Yes.\n\n", quoted: history });
  });
});

describe("a message stays whole", () => {
  test.each([
    ["that quotes nothing", "Hello,\n\nOn Monday I wrote: a poem.\n\nAnn"],
    ["that answers between the quotes", "On Tue, 3 June 2025, Ann wrote:\n> One?\nYes.\n> Two?\nNo."],
    ["that answers between bare quotes", "Hi\n> One?\nYes.\n> Two?\nNo."],
    ["that answers below the quotes", "On Tue, 3 June 2025, Ann wrote:\n> One?\n\nYes."],
    ["that is nothing but history", "On Tue, 3 June 2025, Ann wrote:\n> One?\n"],
    ["that is empty", ""],
    ["of endless lines", "a\n".repeat(60_000)],
  ])("%s", (_what, text) => {
    expect(splitQuotedHistory(text)).toEqual({ fresh: text, quoted: null });
  });
});

test("nothing is ever lost: fresh and quoted together are the text", () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "> quote",
      ">> deeper",
      "",
      "  ",
      "On Tue Ann <a@b> wrote:",
      "From: Ann",
      "Sent: Tue",
      "-----Original Message-----",
      "\r",
    ),
    fc.constantFrom(...ATTRIBUTIONS.map(([, attribution]) => attribution)),
  );
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom("\n", "\r\n"), (lines, end) => {
      const text = lines.join(end);
      const { fresh, quoted } = splitQuotedHistory(text);
      expect(fresh + (quoted ?? "")).toBe(text);
    }),
    { numRuns: 500 },
  );
});
