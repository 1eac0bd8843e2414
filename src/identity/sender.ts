import { Fields, readSender } from "./covered-fields.ts";
import type { MessageParts } from "./mime-leaves.ts";
import { comparable } from "./normal-form.ts";

/** @returns the addr-spec of the message's one author (RFC 5322 §3.6.2), lower-case; null where there is none, or more than one. */
export function senderOf({ headers }: Pick<MessageParts, "headers">): string | null {
  const { value } = readSender(new Fields(headers));
  return value === null ? null : comparable(value);
}
