import { describe, expect, test } from "vitest";
import { verifyMessage } from "../../src/identity/verify-message.ts";
import { sent, trusted } from "../support/identity-signer.ts";

/** A message that was changed on its way: by one byte anywhere, or by a relay that only writes it differently. */

const latin1 = (raw: Uint8Array) => Buffer.from(raw).toString("latin1");
const bytes = (text: string) => Buffer.from(text, "latin1");
const isVerified = async (raw: Uint8Array) => (await verifyMessage(raw, trusted())).verified;

/** Text, HTML and a file; with the §2.4 signature alone, so that nothing else catches a change. */
async function plain(): Promise<string> {
  const raw = await sent({
    content: { text: "Grüße, pay 100.\nBye", html: "<p>Pay 100 = all.</p>", cc: [] },
    files: [["a.pdf", Buffer.from([1, 2, 3, 4])]],
    headers: (made) => made.filter(([name]) => !/Identity|AI/.test(name)),
  });
  return latin1(raw);
}

/** Lines in which a change is harmless, the harmless bytes marked. All other bytes of all other lines are covered. */
const HARMLESS: Record<number, string[]> = {
  // Display names; what the recipient's program makes of the file; headers that are as good as not there.
  1: [
    "From:[ Support ]<support@agents.example.com>",
    "To:[ ]Z[oe ]<zoe@example.org>",
    "[MIME-Version]:[ 1.0]",
    "Content-Type: text/html;[ charset]=utf-8",
    "[Content-Transfer-Encoding]: 7bit",
    "[Content-Type]:[ ]a[pplic]a[tion]/[pdf]",
    '[Content-Disposition]: attachment;[ filename]="[a.pdf]"',
  ],
  // The same, and the case of whatever has none: names, keywords, addresses, hexadecimal digits.
  32: [
    "[X]-[MultiMail]-[Agent]-[Id]: agt_support_responder_v2",
    "[X]-[MultiMail]-[Tenant]: ten_01HX0000000000000000000001",
    "[X]-[MultiMail]-[Oversight]-[Mode]: gated_send",
    "[X]-[MultiMail]-[Key]-[Id]: key_01HX0000000000000000000005; bound",
    "[X]-[MultiMail]-[Approval]: apr_01HX0000000000000000000077",
    "[X]-[MultiMail]-[Signature]: ",
    "[From]:[ Support ]<[support]@[agents].[example].[com]>",
    "[To]:[ Zoe ]<[zoe]@[example].[org]>",
    "[Subject]: =?[UTF]-8?[B]?WmHFvMOzxYLEhyDigJQgUTIgcmV2aWV3?=",
    "[Message]-[ID]: <em_01HX0000000000000000000042@agents.example.com>",
    "[Date]: Sun, 19 Apr 2026 14:22:31 +0000",
    "[MIME]-[Version]:[ 1.0]",
    "[Content]-[Type]: [multipart]/[mixed];",
    ' [boundary]="',
    "[Content]-[Type]: [multipart]/[alternative];",
    ' [boundary]="',
    "[Content]-[Type]: [text]/[plain]; [charset]=[utf]-8",
    "[Content]-[Transfer]-[Encoding]: [quoted]-[printable]",
    "Gr=[C]3=[BC]=[C]3=9[F]e, pay 100.",
    "[Content]-[Type]: [text]/[html]; [charset]=[utf]-8",
    "[Content]-[Transfer]-[Encoding]: 7[bit]",
    "[Content]-[Type]: [application]/[pdf]",
    "[Content]-[Transfer]-[Encoding]: [base]64",
    '[Content]-[Disposition]: [attachment]; [filename]="[a.pdf]"',
  ],
};

/** What differs from run to run: ECDSA is randomised, and the boundary is ours to choose. */
function withoutRandom(line: string): string {
  return line.replace(/(Signature\]?: )[0-9a-f]+$/, "$1").replace(/(boundary\]?=")[^"]*"$/, "$1");
}

describe("one byte changed", () => {
  test.each([
    ["to its neighbour", 0x01],
    ["in its case, or to another character", 0x20],
  ])(
    "%s is caught wherever it is covered",
    async (_what, flip) => {
      const raw = await plain();
      expect(await isVerified(bytes(raw))).toBe(true);
      let marked = "";
      for (let i = 0; i < raw.length; i++) {
        const changed = bytes(raw);
        changed[i] = (changed[i] ?? 0) ^ flip;
        marked += (await isVerified(changed)) ? `[${raw[i]}]` : raw[i];
      }
      const lines = marked.replaceAll("][", "").split("\r\n");
      expect(lines.filter((line) => line.includes("[")).map(withoutRandom)).toEqual(HARMLESS[flip]);
    },
    180_000,
  );

  test("in any signature header is caught, and in a claim", async () => {
    const raw = latin1(await sent({ content: { text: "x", html: null } }));
    // A form's name may change: then the message does not have that form, and the others say enough.
    const values = [...raw.slice(0, raw.indexOf("\r\nFrom:")).matchAll(/(?<=: )\S.*/g)];
    const survived: string[] = [];
    for (const { index, 0: value } of values) {
      for (let i = index; i < index + value.length; i += 3) {
        const changed = bytes(raw);
        changed[i] = (changed[i] ?? 0) ^ 0x01;
        if (await isVerified(changed)) survived.push(raw.slice(i - 20, i + 20));
      }
    }
    expect(values).toHaveLength(9);
    expect(survived).toEqual([]);
  }, 180_000);
});

/** Each text part of a message, its body written anew by `encode`. */
function reencoded(raw: string, name: string, encode: (body: Buffer) => string): string {
  return raw.replace(
    /(Content-Type: text\/(?:plain|html); charset=utf-8\r\n)Content-Transfer-Encoding: ([\w-]+)\r\n\r\n([\s\S]*?)(?=\r\n--)/g,
    (_part, type: string, encoding: string, body: string) => {
      const text = body
        .replace(/=\r\n/g, "")
        .replace(/=([0-9A-F]{2})/g, (_hex, code) => String.fromCharCode(Number.parseInt(code, 16)));
      const decoded =
        { base64: () => Buffer.from(body, "base64"), "quoted-printable": () => bytes(text) }[encoding] ??
        (() => bytes(body));
      return `${type}Content-Transfer-Encoding: ${name}\r\n\r\n${encode(decoded())}`;
    },
  );
}

const ENCODINGS: [string, (body: Buffer) => string][] = [
  ["8bit", (body) => body.toString("latin1")],
  ["base64", (body) => `${body.toString("base64").replace(/.{40}/g, "$&\r\n")}`],
  ["BASE64", (body) => `${body.toString("base64")}\r\n\r\n`],
  [
    "quoted-printable",
    (body) =>
      body
        .toString("latin1")
        .replace(/[^\r\n]/g, (c) => `=${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`)
        .replace(/(?:=..){20}/g, "$&=\r\n"),
  ],
];

describe("a relay", () => {
  test.each(ENCODINGS)("that writes the texts in %s changes nothing that is signed", async (name, encode) => {
    const raw = latin1(await sent({ content: { text: "Grüße,\nund Schluß – 🧾.", html: "<p>é = è</p>" } }));
    const changed = reencoded(raw, name, encode);
    expect(changed).toContain(`Content-Transfer-Encoding: ${name}\r\n`);
    expect(await verifyMessage(bytes(changed), trusted()), changed).toMatchObject({ verified: true, reasons: [] });
  });

  test.each<[string, (raw: string) => string]>([
    ["adds a trace", (raw) => `Received: from a by b; Sun, 19 Apr 2026 14:22:35 +0000\r\nX-Spam: no\r\n${raw}`],
    [
      "folds at other places",
      (raw) => raw.replace("Subject: =", "Subject:\r\n =").replace("Date: Sun, 19", "Date: Sun,\r\n\t19"),
    ],
    ["writes the date in another zone", (raw) => raw.replace("14:22:31 +0000", "16:22:31 +0200 (CEST)")],
    [
      "sorts the headers",
      (raw) => {
        const [head = "", ...rest] = raw.split("\r\n\r\n");
        return [
          head
            .split(/\r\n(?![ \t])/)
            .sort()
            .join("\r\n"),
          ...rest,
        ].join("\r\n\r\n");
      },
    ],
    ["saves it with LF", (raw) => raw.replaceAll("\r\n", "\n")],
    ["writes new boundaries", (raw) => raw.replaceAll("--_NmP", "--_new")],
    ["adds line ends", (raw) => `${raw}\r\n\r\n`],
    ["adds To: undisclosed-recipients", (raw) => raw.replace("From:", "To: undisclosed-recipients:;\r\nFrom:")],
  ])("that %s changes nothing that is signed", async (what, change) => {
    const content = what.includes("undisclosed") ? { to: [] } : {};
    const raw = latin1(await sent({ content, files: [["a.txt", Buffer.from("a\nb\n"), "text/plain"]] }));
    expect(change(raw)).not.toBe(raw);
    expect(await isVerified(bytes(change(raw)))).toBe(true);
  });
});
