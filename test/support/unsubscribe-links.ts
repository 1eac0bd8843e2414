import { env } from "cloudflare:workers";
import { unwrap } from "../../src/errors.ts";
import type { MailAddress } from "../../src/mail/message.ts";
import { request } from "./door-harness.ts";
import { makeMailbox, type TestMailbox } from "./mailbox-harness.ts";
import { receivedFor } from "./received-mail.ts";
import { addressFor, sent } from "./returned-mail.ts";

/** Promotional mail that went out, and the links in it by which its recipients unsubscribe. */

const ADDRESS = "Acme Ltd\n1 Street, Town";
export const PROMOTIONAL = { tags: { promotional: "" } };

/** A mailbox of an account that has a postal address, as promotional mail needs one. */
export async function withAddress(mode: "autonomous" | "gated_send" = "autonomous"): Promise<TestMailbox> {
  const box = await makeMailbox({ oversight_mode: mode });
  const tenant = env.TENANT.getByName(box.mailbox.tenant_id);
  unwrap(await tenant.updateAccount(box.admin, { postal_address: ADDRESS }, null));
  return box;
}

/** @returns the path of the link in the headers of the newest mail to an address. */
export async function linkFor({ address }: MailAddress): Promise<string> {
  const raw = (await receivedFor(address)).at(-1)?.raw.replace(/\r\n[ \t]+/g, " ") ?? "";
  const link = /^List-Unsubscribe: ?<https:\/\/mail\.test(\/v1\/unsubscribe\/[0-9a-z]+)>\r$/m.exec(raw)?.[1];
  if (!link) throw new Error("the mail has no link to unsubscribe");
  return link;
}

/** What a mail program sends (RFC 8058 §3.2). */
export const ONE_CLICK = {
  raw: "List-Unsubscribe=One-Click",
  headers: { "content-type": "application/x-www-form-urlencoded" },
};

export const oneClick = (path: string) => request(path, ONE_CLICK);

/** One message to two people; `path` is the first one's link. */
export async function mailed() {
  const box = await withAddress();
  const [ana, bo] = [addressFor(box, "ana"), addressFor(box, "bo")];
  const id = await sent(box, [ana, bo], PROMOTIONAL);
  return { box, ana, bo, id, path: await linkFor(ana) };
}
