import { HEADER } from "../../src/identity/header-form.ts";
import { composeMessage } from "../../src/mail/compose.ts";

/** A message with every header that DKIM covers, and what may happen to it on its way. */

export const SIGNED_AT = new Date("2026-11-21T10:00:00Z");
export const SIGNING_DOMAIN = "sender.example";

/** Each is oversigned: none may be added, removed or changed. */
export const OVERSIGNED_HEADERS: readonly string[] = [
  ...["From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "References", "In-Reply-To"],
  ...["MIME-Version", "Content-Type"],
  ...Object.values(HEADER),
];
/** Signed where present: what is there may not be removed or changed. */
const SIGNED_HEADERS = ["List-Unsubscribe", "List-Unsubscribe-Post"];

const address = (name: string | null, local: string, domain = "x.example") => ({ name, address: `${local}@${domain}` });

/** @returns a message in which every covered header is, with folded and encoded ones among them. */
export function messageWithEveryHeader(): Promise<Uint8Array> {
  return composeMessage({
    content: {
      from: address("Ada Ågent", "a", SIGNING_DOMAIN),
      reply_to: [address(null, "replies", SIGNING_DOMAIN)],
      to: [address("Bob", "b"), ...Array.from({ length: 8 }, (_, i) => address(`Reader ${i}`, `reader-${i}`))],
      cc: [address("Zoë", "z")],
      bcc: [address(null, "hidden")],
      subject: `Grüße 🎉 ${"word ".repeat(40).trim()}`,
      text: "one\n\n  two   three  \n.\n.dot\n\n\n",
      html: "<p>one</p>\n",
      attachments: [],
      in_reply_to: "<first@x.example>",
      references: ["<first@x.example>", "<second@x.example>"],
    },
    attachments: [],
    message_id: "<em_1@sender.example>",
    date: SIGNED_AT,
    extra_headers: [
      ...Object.values(HEADER).map((name) => [name, "v=1; some claim"] as const),
      ["List-Unsubscribe", "<https://mail.example/u/1>, <mailto:u@sender.example>"],
      ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"],
    ],
  });
}

/** Something that happens to a signed message. */
export interface Change {
  what: string;
  /** Whether its signatures hold. */
  survives: boolean;
  /** Each character is an octet. */
  apply(signed: string): string;
}

/** A field with its folds. */
const field = (name: string) => new RegExp(`^${name}:(?:[^\\r]|\\r\\n[ \\t])*\\r\\n`, "im");

const HARMLESS: readonly [what: string, apply: Change["apply"]][] = [
  ["nothing", (signed) => signed],
  [
    "trace headers above",
    (signed) => `Received: from x by y; Sat, 21 Nov 2026 10:00:00 +0000\r\nReturn-Path: <>\r\n${signed}`,
  ],
  ["a header that says nothing to anyone", (signed) => signed.replace(/^Subject:/m, "X-Spam-Status: No\r\nSubject:")],
  ["folds added", (signed) => signed.replace(/^To: /m, "To:\r\n   ")],
  ["folds undone", (signed) => signed.replace(/^(To:(?:[^\r]|\r\n[ \t])*)/m, (to) => to.replace(/\r\n[ \t]+/g, "  "))],
  ["a header's name in capitals", (signed) => signed.replace(/^Subject:/m, "SUBJECT:")],
  ["white space at line ends", (signed) => signed.replace("two   three", "two three \t")],
  ["empty lines at the end", (signed) => signed.replace(/(?:\r\n)+$/, "\r\n\r\n\r\n")],
  [
    "headers in another order",
    (signed) => signed.replace(/^(Message-ID:.*\r\n)((?:.*\r\n)*?)(MIME-Version:.*\r\n)/m, "$3$2$1"),
  ],
];

const HARMFUL: readonly [what: string, apply: Change["apply"]][] = [
  ["another word in the body", (signed) => signed.replace("two", "too")],
  ["a line at the end", (signed) => `${signed}more\r\n`],
  ["a line at the beginning", (signed) => signed.replace("\r\n\r\n", "\r\n\r\nmore\r\n")],
  ["an empty line in the middle", (signed) => signed.replace(/one\r\n/, "one\r\n\r\n")],
  ["a body cut short", (signed) => signed.slice(0, signed.lastIndexOf("\r\n--"))],
  ["l= added to the signature", (signed) => signed.replace(/^(DKIM-Signature:.*?v=1;)/gms, "$1 l=0;")],
  ["a header taken out of h=", (signed) => signed.replace(/\bh=[^;]*/g, (names) => names.replace(/Subject:\s*/gi, ""))],
];

function added(name: string): Change[] {
  const line = `${name}: ${name === "From" ? `evil@${SIGNING_DOMAIN}` : "added"}\r\n`;
  return [
    { what: `${name} added above`, survives: false, apply: (signed) => line + signed },
    { what: `${name} added below`, survives: false, apply: (signed) => signed.replace("\r\n\r\n", `\r\n${line}\r\n`) },
    { what: `an empty ${name} added`, survives: false, apply: (signed) => `${name}:\r\n${signed}` },
  ];
}

function removedOrChanged(name: string): Change[] {
  return [
    { what: `${name} removed`, survives: false, apply: (signed) => signed.replace(field(name), "") },
    {
      what: `${name} changed`,
      survives: false,
      apply: (signed) => signed.replace(field(name), (whole) => `${whole.trimEnd()}x\r\n`),
    },
  ];
}

/** What may happen to a signed message that has every header. */
export const CHANGES: readonly Change[] = [
  ...HARMLESS.map(([what, apply]) => ({ what, survives: true, apply })),
  ...HARMFUL.map(([what, apply]) => ({ what, survives: false, apply })),
  ...OVERSIGNED_HEADERS.flatMap(added),
  ...[...OVERSIGNED_HEADERS, ...SIGNED_HEADERS].flatMap(removedOrChanged),
];

/** What may happen to one that has the least: a header that was not there is not added either. */
export const ADDITIONS: readonly Change[] = OVERSIGNED_HEADERS.flatMap(added);

/** @returns the changed message. */
export function changed(signed: Uint8Array, { apply }: Change): Buffer {
  return Buffer.from(apply(Buffer.from(signed).toString("latin1")), "latin1");
}
