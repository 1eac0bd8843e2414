import { randomBytes } from "node:crypto";

/** Mail as people at the office write it. */

export interface Letter {
  from: string;
  to: string;
  subject: string;
  body?: string;
  /** Header fields on top of the others, each ended by CRLF. */
  trace?: string;
  /** The same, below the others. */
  more?: string;
}

/** @returns it, its body in UTF-8 and declared as 8 bit (RFC 6152). */
export function letter({ from, to, subject, body = "Hello\r\n", trace = "", more = "" }: Letter): Buffer {
  const head = [
    `From: Alice <${from}>`,
    `To: ${to}`,
    `Subject: ${subject}`,
    `Message-ID: <${randomBytes(8).toString("hex")}@office.example>`,
    `Date: ${new Date().toUTCString().replace("GMT", "+0000")}`,
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    "",
  ];
  return Buffer.from(`${trace}${head.join("\r\n")}${more}\r\n${body}`);
}
