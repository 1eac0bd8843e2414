import { describe, expect, test } from "vitest";
import {
  blankWrappedTokens,
  findTokensInBytes,
  findWrappedTokens,
  guardLinks,
  MAX_BLANKED_SINGLY,
  MAX_ROUTINGS_UNCHECKED,
  revokeTokens,
} from "../../src/mail/link-guard.ts";
import { parseMessage } from "../../src/mail/parse.ts";
import { BLANKED_TOKEN, hashDecisionToken } from "../../src/oversight/decision-links.ts";
import { MAX_ROUTINGS } from "../../src/store/routing-lookup.ts";

const TOKEN = "7ZK3Q9AB-abcDEF_ghi-JKL0123456789mnopqrstuvwxyzABCDE";
const OTHER = "00000001-ZYXwvu_tsr-QPO9876543210zyxwvutsrqponmlkjih";
const LINK = `https://mail.example/v1/approve/${TOKEN}`;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const folded = (text: string) => text.replace(/.{76}/g, "$&\r\n");

/** Ways in which a link comes back, each with the text as it stands in a stored field. */
const WRAPPED: [string, string][] = [
  ["as it is", LINK],
  ["inside other text", `see ${LINK}?x=1&y for it`],
  ["percent-encoded", `https://safe.example/?url=${encodeURIComponent(LINK)}&data=1`],
  ["every character percent-encoded", [...TOKEN].map((c) => `%${c.charCodeAt(0).toString(16)}`).join("")],
  [
    "percent-encoded twice",
    `?u=${encodeURIComponent([...TOKEN].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(""))}`,
  ],
  ["quoted-printable with soft line breaks", `${LINK.slice(0, 40)}=\r\n${LINK.slice(40)}`],
  ["quoted-printable characters", LINK.replaceAll("-", "=2D")],
  ["HTML entities", LINK.replaceAll("-", "&#45;").replaceAll("_", "&#x5F;")],
  ["named entities", LINK.replaceAll("-", "&hyphen;").replaceAll("_", "&lowbar;")],
  ["HTML tags", `${LINK.slice(0, 45)}<wbr>${LINK.slice(45, 60)}</b><span style="x">${LINK.slice(60)}`],
  ["zero-width characters", `${LINK.slice(0, 45)}\u200b${LINK.slice(45, 60)}\u00ad${LINK.slice(60)}`],
  ["a line break", `${LINK.slice(0, 50)}\n${LINK.slice(50)}`],
  ["quoted lines", `> ${LINK.slice(0, 50)}\r\n> ${LINK.slice(50)}`],
];

describe("a decision link is found", () => {
  test.each([
    ...WRAPPED,
    ["base64", base64(`Open ${LINK} now, it is only one click away.`)],
    ["folded base64", folded(base64(`${"x".repeat(200)} ${LINK} ${"y".repeat(200)}`))],
    ["base64 in a path", `https://click.example/track/abc/${base64(LINK).replaceAll("=", "")}/1`],
    ["base64url", `u=${Buffer.from(LINK).toString("base64url")}`],
    ["base64 of base64", base64(base64(`${LINK} and some more text around it`))],
    ["UTF-16", Buffer.from(LINK, "utf16le").toString("latin1")],
  ])("wrapped in %s", (_how, text) => {
    expect(findWrappedTokens(text)).toContain(TOKEN);
    expect(findTokensInBytes(Buffer.from(text))).toContain(TOKEN);
  });

  test.each([
    ["nothing", ""],
    ["an ordinary link", "https://mail.example/v1/emails/em_01J8Z3Q9ABCDEFGHJKMNPQRSTV?page=2"],
    ["a UUID", "7f3c1c1e-6b0a-4f7e-9a57-0b1f8b0b8f3a"],
    ["base64 of noise", folded(Buffer.from(Array.from({ length: 3_000 }, (_, n) => (n * n) % 251)).toString("base64"))],
  ])("and nothing in %s", (_what, text) => {
    expect(findWrappedTokens(text)).toEqual([]);
  });
});

describe("blanking", () => {
  test.each(WRAPPED)("leaves nothing of a link wrapped in %s", (how, text) => {
    const blanked = blankWrappedTokens(`before ${text} after`);
    expect(findWrappedTokens(blanked)).toEqual([]);
    expect(blanked).toContain(BLANKED_TOKEN);
    if (how !== "percent-encoded twice") expect(blanked).toMatch(/^before [\s\S]* after$/);
  });

  test("gives up the whole text where it cannot cut the link out", () => {
    expect(blankWrappedTokens(`see ${base64(`Open ${LINK} now, please`)}`)).toBe(BLANKED_TOKEN);
  });

  test("leaves other text as it is", () => {
    expect(blankWrappedTokens("nothing here")).toBe("nothing here");
  });
});

describe("a message with links", () => {
  const forwarded = (body: string, headers = "") =>
    Buffer.from(`From: ann@a.example\r\nSubject: Fwd\r\n${headers}\r\n${body}`);
  const attached = (content: string, type = "application/octet-stream") =>
    forwarded(
      `--b\r\n\r\nsee the file\r\n--b\r\nContent-Type: ${type}\r\nContent-Disposition: attachment; filename=f\r\n${content}\r\n--b--\r\n`,
      "Content-Type: multipart/mixed; boundary=b\r\n",
    );

  test.each<[string, Buffer]>([
    ["its text", forwarded(`Please look: ${LINK}\r\n`)],
    ["its subject", forwarded("x", `Subject: ${LINK}\r\n`)],
    ["any other header", forwarded("x", `X-Link: ${LINK}\r\n`)],
    ["an encoded header", forwarded("x", `X-Link: =?utf-8?B?${base64(LINK)}?=\r\n`)],
    ["a display name", forwarded("x", `Reply-To: "${TOKEN}" <a@b.example>\r\n`)],
    ["a local part", forwarded("x", `Reply-To: x${TOKEN}@b.example\r\n`)],
    ["a Message-ID", forwarded("x", `Message-ID: <${TOKEN}@b.example>\r\n`)],
    ["HTML", forwarded(`<a href="${LINK}">Approve</a>`, "Content-Type: text/html\r\n")],
    [
      "quoted-printable",
      forwarded(`${LINK.slice(0, 60)}=\r\n${LINK.slice(60)}`, "Content-Transfer-Encoding: quoted-printable\r\n"),
    ],
    ["base64", forwarded(folded(base64(`Dear agent, ${LINK} is it`)), "Content-Transfer-Encoding: base64\r\n")],
    ["an attachment", attached(`\r\n${LINK}`)],
    [
      "a base64 attachment",
      attached(`Content-Transfer-Encoding: base64\r\n\r\n${folded(base64(`${"z".repeat(500)}${LINK}`))}`),
    ],
    [
      "an attached message",
      attached(
        `\r\nFrom: x@y.example\r\nContent-Transfer-Encoding: base64\r\n\r\n${folded(base64(`Open ${LINK} to approve it.`))}`,
        "message/rfc822",
      ),
    ],
    [
      "a file name",
      attached(`Content-Description: x\r\nContent-Disposition: attachment; filename="${TOKEN}"\r\n\r\nx`),
    ],
  ])("in %s shows none to anyone, and says so", async (_where, raw) => {
    const { message, tokens } = guardLinks(raw, await parseMessage(raw));
    expect(tokens).toContain(TOKEN);
    expect(message.flags).toContain("link_removed");
    expect(findWrappedTokens(JSON.stringify({ ...message, attachments: [] }))).toEqual([]);
    for (const { name, bytes } of message.attachments) {
      expect([...findTokensInBytes(bytes), ...findWrappedTokens(name)]).toEqual([]);
    }
  });

  test("keeps everything else", async () => {
    const raw = attached(`\r\n${LINK}`);
    const { message } = guardLinks(raw, await parseMessage(raw));
    expect(message).toMatchObject({ subject: "Fwd", markdown: "see the file" });
    expect(message.attachments).toMatchObject([{ name: "f.removed.txt", content_type: "text/plain" }]);
  });

  test("is the same message if it has none", async () => {
    const raw = forwarded("nothing");
    const parsed = await parseMessage(raw);
    expect(guardLinks(raw, parsed)).toEqual({ message: parsed, tokens: [] });
  });

  test("costs a bounded time, however nested", () => {
    let text = LINK;
    for (let n = 0; n < 12; n++) text = base64(`${"a ".repeat(50)}${text}`);
    expect(() => findWrappedTokens(text.repeat(50))).not.toThrow();
  });
});

describe("many tokens", () => {
  const tokenOf = (n: number) => `${String(n).padStart(8, "0")}-${"Ab_9x".repeat(9).slice(0, 43)}`;
  const tokens = (count: number) => Array.from({ length: count }, (_, n) => tokenOf(n));
  const mail = (list: string[]) =>
    Buffer.from(
      `From: a@b.example\r\nSubject: Fwd\r\nX-Link: y ${list[0]}\r\n\r\nbefore ${list.join(" and ")} after\r\n`,
    );
  const revoker = (calls: string[]) => (routing: string) => ({
    async revokeLinks() {
      calls.push(routing);
      return 1;
    },
  });

  test(`up to ${MAX_BLANKED_SINGLY} are cut out of what stands around them`, async () => {
    const raw = mail(tokens(MAX_BLANKED_SINGLY));
    const { message } = guardLinks(raw, await parseMessage(raw));
    expect(message.markdown).toMatch(/^before \[[^\]]*\] and .* after$/);
    expect(findWrappedTokens(JSON.stringify(message.markdown))).toEqual([]);
  });

  test.each([MAX_BLANKED_SINGLY + 1, 20_000])(
    "of %i, each text that holds one is replaced whole",
    async (count) => {
      const raw = mail(tokens(count));
      const guarded = guardLinks(raw, await parseMessage(raw));
      expect(guarded.tokens).toHaveLength(count);
      expect(guarded.message).toMatchObject({ subject: "Fwd", markdown: BLANKED_TOKEN });
      expect(findWrappedTokens(JSON.stringify({ ...guarded.message, attachments: [] }))).toEqual([]);
    },
    10_000,
  );

  test("only mailboxes that exist are called, and all of those", async () => {
    const calls: string[] = [];
    const looked: string[][] = [];
    await revokeTokens(tokens(300), revoker(calls), async (routings) => {
      looked.push(routings);
      return new Set(["00000007", "00000299", "ZZZZZZZZ"]);
    });
    expect(looked).toEqual([tokens(300).map((token) => token.slice(0, 8))]);
    expect(calls.sort()).toEqual(["00000007", "00000299"]);
  });

  test(`at most ${MAX_ROUTINGS} routing numbers are looked at, or ${MAX_ROUTINGS_UNCHECKED} where nobody knows which exist`, async () => {
    const known: string[] = [];
    await revokeTokens(tokens(2_000), revoker(known), async (routings) => new Set(routings));
    expect(known).toHaveLength(MAX_ROUTINGS);
    const unknown: string[] = [];
    await revokeTokens(tokens(2_000), revoker(unknown));
    expect(unknown).toHaveLength(MAX_ROUTINGS_UNCHECKED);
  });

  test("few objects are called at once", async () => {
    let open = 0;
    let most = 0;
    const mailbox = () => ({
      async revokeLinks() {
        most = Math.max(most, ++open);
        await Promise.resolve();
        open--;
        return 1;
      },
    });
    await revokeTokens(tokens(100), mailbox, async (routings) => new Set(routings));
    expect(most).toBe(6);
  });

  test("an object that cannot be reached is an error", async () => {
    const mailbox = () => ({ revokeLinks: () => Promise.reject(new Error("unreachable")) });
    await expect(revokeTokens([TOKEN], mailbox, async (routings) => new Set(routings))).rejects.toThrow("unreachable");
  });

  test("no token, no look-up", async () => {
    await revokeTokens([], revoker([]), () => Promise.reject(new Error("asked")));
  });
});

describe("text made to be slow to blank", () => {
  test.each([
    ["line breaks that read in several ways", [...TOKEN].join("\n \n \n ")],
    ["tags between all characters", [...TOKEN].join("<a><b>")],
    ["beginnings of a token", TOKEN.slice(0, 51).concat("! ").repeat(20_000)],
    ["hyphens", "-".repeat(1 << 20)],
    ["unclosed tags", `0<${"x".repeat(3_000)}`.repeat(300)],
    ["a token after them", `${[...TOKEN.slice(0, -1)].join("\n \n \n ")}\n \n \n ! ${LINK}`],
  ])(
    "%s",
    (_what, text) => {
      expect(findWrappedTokens(blankWrappedTokens(`${text} ${OTHER}`))).toEqual([]);
    },
    10_000,
  );
});

test("links are withdrawn at the mailboxes they name, by their hashes", async () => {
  const calls: [string, string[], string][] = [];
  await revokeTokens([TOKEN, OTHER], (routing) => ({
    async revokeLinks(hashes, reason) {
      calls.push([routing, hashes, reason]);
      return 0;
    },
  }));
  expect(calls).toEqual([
    ["7ZK3Q9AB", [hashDecisionToken(TOKEN)], "it arrived in inbound mail"],
    ["00000001", [hashDecisionToken(OTHER)], "it arrived in inbound mail"],
  ]);
});
