import { env } from "cloudflare:workers";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { TestTenant } from "./door-harness.ts";
import { formsOf } from "./everything-stored.ts";
import { caller, inObject, type TestMailbox } from "./mailbox-harness.ts";

/** A person whom nobody else is like, and what an account has of them. */

/** The mailbox of a tenant that was made through the doors, with callers in its object. */
export function boxOf({ id, mailbox: first }: TestTenant, mailbox: Mailbox = first): TestMailbox {
  return {
    mailbox,
    stub: env.MAILBOX.getByName(mailbox.id.slice(-8)),
    agent: caller(id, ["read", "send"]),
    overseer: caller(id, ["read", "oversight"]),
    admin: caller(id, ["admin"]),
    stranger: caller("ten_00000000000000000000000000", ["read", "send", "admin"]),
  };
}

let made = 0;
/** Words that stand nowhere else. */
export function person() {
  made += 1;
  const unique = `${made}${Math.random().toString(36).slice(2, 8)}`;
  return {
    address: `ana.${unique}@customer.example`,
    name: `Anastasia Zq${unique}`,
    subject: `Quokka${unique} offer`,
    text: `wombat${unique} is in it`,
    file: `secret-${unique}.txt`,
    content: `numbat${unique} in a file`,
  };
}
export type Person = ReturnType<typeof person>;

/** Single words too: the full-text index has no others, and leaves out what a word has in common with the one before. */
export const needlesOf = ({ address, name, subject, text, file, content }: Person) =>
  [
    address,
    name,
    ...[name.split(" ").at(-1), subject.split(" ")[0], text.split(" ")[0]].map(String),
    file,
    content,
  ].flatMap(formsOf);

export function mailOf({ address, name, subject, text, file, content }: Person, to: string): string {
  return [
    `From: ${name} <${address}>`,
    `To: ${to}`,
    `Subject: ${subject}`,
    `Message-ID: <${address}>`,
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="b"',
    "",
    "--b",
    "Content-Type: text/plain",
    "",
    text,
    "--b",
    `Content-Type: text/plain; name="${file}"`,
    "Content-Transfer-Encoding: base64",
    `Content-Disposition: attachment; filename="${file}"`,
    "",
    Buffer.from(content).toString("base64"),
    "--b--",
    "",
  ].join("\r\n");
}

export async function newest(box: TestMailbox): Promise<string> {
  return inObject(box, (object) => object.messages.present(0, 1_000).at(-1)?.id ?? "");
}
