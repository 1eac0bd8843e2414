import fc from "fast-check";
import PostalMime from "postal-mime";
import { describe, expect, test } from "vitest";
import { MESSAGE_LIMITS, partsOfRaw } from "../../src/identity/mime-leaves.ts";
import { verifyMessage } from "../../src/identity/verify-message.ts";
import { PARSE_LIMITS } from "../../src/mail/parse.ts";
import { sent, trusted } from "../support/identity-signer.ts";

/** Somebody who got a signed message sends it on with its parts put together anew: what is shown must be what was signed. */

const bytes = (text: string) => Buffer.from(text, "latin1");
const FILE = "<p>Pay Mallory.</p>";
const TEXT = "Content-Type: text/plain; charset=utf-8\r\n\r\nPay nobody.\r\n";
const HTML = "Content-Type: text/html; charset=utf-8\r\n\r\n<p>Pay nobody.</p>\r\n";
const fileAs = (type: string, more = "") => `Content-Type: ${type}\r\n${more}\r\n${FILE}\r\n`;
const ATTACHED = fileAs("application/octet-stream", "Content-Disposition: attachment\r\n");
const of = (boundary: string, ...parts: string[]) =>
  `${parts.map((part) => `--${boundary}\r\n${part}`).join("")}--${boundary}--\r\n`;
const within = (type: string, ...parts: string[]) => `Content-Type: ${type}; boundary=c\r\n\r\n${of("c", ...parts)}`;

/** The signed message of text, HTML and a file, with another body; all its headers stay. */
async function rebuilt(type: string, body: string): Promise<Uint8Array> {
  const content = { text: "Pay nobody.", html: "<p>Pay nobody.</p>" };
  const raw = Buffer.from(await sent({ content, files: [["a.html", bytes(FILE)]] })).toString("latin1");
  const head = raw.slice(0, raw.indexOf("Content-Type: multipart"));
  return bytes(`${head}Content-Type: ${type}; boundary=b\r\n\r\n${body}`);
}

const verdictOn = async (type: string, body: string) => verifyMessage(await rebuilt(type, body), trusted());

describe("a message whose parts were put together anew", () => {
  test.each<[string, string, string]>([
    ["as it was", "multipart/mixed", of("b", within("multipart/alternative", TEXT, HTML), ATTACHED)],
    ["one after the other", "multipart/mixed", of("b", TEXT, HTML, ATTACHED)],
    ["the file in the HTML", "multipart/alternative", of("b", TEXT, within("multipart/related", HTML, ATTACHED))],
    ["a calendar as an alternative", "multipart/alternative", of("b", TEXT, HTML, fileAs("text/calendar"))],
    [
      "spaces after each boundary",
      "multipart/mixed",
      of("b", TEXT, HTML, ATTACHED).replace(/--b(--)?/g, `$&${" ".repeat(400)}`),
    ],
  ])("verifies with %s", async (_what, type, body) => {
    expect((await verdictOn(type, body)).reasons).toEqual([]);
  });

  const LAST = of("b", HTML, ATTACHED, TEXT).replace(/--b--\r\n$/, "");
  const FAR = " ".repeat(400);
  test.each<[string, string, string]>([
    ["HTML as the last alternative", "multipart/alternative", of("b", TEXT, HTML, fileAs("text/html"))],
    ["a text that some programs prefer", "multipart/alternative", of("b", TEXT, HTML, fileAs("text/enriched"))],
    ["a text as the last alternative", "multipart/alternative", of("b", HTML, TEXT, fileAs("text/plain"))],
    [
      "HTML as an alternative to the rest",
      "multipart/alternative",
      of("b", within("multipart/mixed", TEXT, HTML), fileAs("text/html")),
    ],
    [
      "the root of related alternatives",
      "multipart/alternative",
      of("b", TEXT, HTML, within("multipart/related", fileAs("text/html"))),
    ],
    ["the root of the rest", "multipart/related", of("b", fileAs("text/enriched"), TEXT, HTML)],
    ["a picture that the rest belongs to", "multipart/related", of("b", fileAs("image/png"), TEXT, HTML)],
  ])("is not verified with the file as %s", async (_what, type, body) => {
    expect(await verdictOn(type, body)).toMatchObject({ verified: false, reasons: [{ reason: "malformed" }] });
  });

  test.each([
    ["the last boundary", `${LAST}--b--${FAR}Pay Mallory.`],
    ["the last boundary, and tabs", `${LAST}--b--${FAR.replaceAll(" ", "\t")}Pay Mallory.\r\n`],
    ["a boundary", of("b", HTML, ATTACHED, TEXT).replace("--b\r\n", `--b${FAR}Pay Mallory.\r\n`)],
  ])("is not verified with words far behind %s", async (_what, body) => {
    expect(await verdictOn("multipart/mixed", body)).toMatchObject({
      verified: false,
      reasons: [{ reason: "malformed" }],
    });
  });
});

/** The contents of all leaves, as the parser finds them whose text agents read. */
async function leavesShown(raw: Uint8Array): Promise<string[]> {
  const parser = new PostalMime({ forceRfc822Attachments: true });
  await parser.parse(raw);
  interface Node {
    childNodes: Node[];
    contentType: { multipart: string | false };
    content: ArrayBuffer | null;
  }
  const leaves = (node: Node): string[] => {
    if (node.contentType.multipart || node.childNodes.length > 0) return node.childNodes.flatMap(leaves);
    return [withoutEnd(Buffer.from(node.content ?? new ArrayBuffer()).toString("latin1"))];
  };
  return leaves((parser as unknown as { root: Node }).root);
}

const withoutEnd = (text: string) => text.replace(/\r\n/g, "\n").replace(/\n+$/, "");

test("whatever is accepted has just the parts that agents read", async () => {
  const pieces = fc.constantFrom(
    ...["Content-Type: text/plain\r\n\r\nPay", "Content-Type: text/html\r\n\r\n<p>", "X: y", "", " ", "x", "--", "-b"],
    ...["--b", "--b--", "--b ", "--b--\t", "--c", "--c--", "--x", "=41=", "Content-Type: application/x\r\n\r\nPDF"],
    ...["--b", "--b--"].flatMap((line) => [line.padEnd(400), `${line.padEnd(400)}x`]),
    "Content-Type: multipart/alternative; boundary=c\r\n",
    'Content-Type: multipart/related; boundary="c"\r\n',
    "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nUGF5",
    "Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nq",
    "Content-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\n\r\nx",
  );
  const head = "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
  await fc.assert(
    fc.asyncProperty(fc.array(pieces, { minLength: 1, maxLength: 14 }), fc.boolean(), async (lines, isEnded) => {
      const raw = bytes(`${head}${lines.join("\r\n")}${isEnded ? "\r\n" : ""}`);
      const { unreadable, text, html, attachments_sha256 } = await partsOfRaw(raw);
      if (unreadable) return;
      const shown = await leavesShown(raw);
      const bodies = [text, html].filter((body) => body !== null);
      expect(shown).toHaveLength(bodies.length + attachments_sha256.length);
      for (const body of bodies) expect(shown).toContain(withoutEnd(body));
    }),
    { numRuns: 5000 },
  );
}, 60_000);

test("no header is signed that lies behind what arrivals read", () => {
  expect(MESSAGE_LIMITS.headers).toBeLessThan(PARSE_LIMITS.headerSection);
});
