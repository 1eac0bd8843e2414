import { comparableAddress } from "../../src/mail/address.ts";
import { type Mention, mentionOf } from "../../src/mail/mentions.ts";
import type { ContactSurvey } from "../mailbox-rpc.ts";
import type { MailboxBase } from "./base.ts";
import { countMessages, namedUnderWay } from "./mentions.ts";

/** What erasing a person would touch in a mailbox, before anything is erased. Changes nothing. */

/** @throws whatever R2 throws. */
export async function surveyContact(box: MailboxBase, address: string): Promise<ContactSurvey> {
  const mention = mentionOf(address);
  return {
    ...(await countMessages(box, mention)),
    under_way: namedUnderWay(box, mention),
    in_service: inService(box, mention),
    held: box.settings().legal_hold,
  };
}

/** @returns where the address works in a mailbox: people have to change that themselves first. */
export function inService(box: MailboxBase, mention: Mention): string[] {
  const mailbox = box.settings();
  const settings = Object.entries(mailbox).filter(([name, value]) => name !== "address" && mention.isIn(value));
  const templates = box.templates.living().filter(({ content }) => mention.isIn(content));
  return [
    ...(comparableAddress(mailbox.address) === mention.address ? [`address of ${mailbox.id}`] : []),
    ...settings.map(([name]) => `${name} of ${mailbox.id}`),
    ...(mention.isIn(box.rules()) ? [`policy of ${mailbox.id}`] : []),
    ...new Set(templates.map(({ id }) => `template ${id}`)),
  ];
}
