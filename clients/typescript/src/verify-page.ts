import { readGivenKeys } from "../../../src/identity/given-keys.ts";
import type { TrustedKeys } from "../../../src/identity/keys.ts";
import { partsOfRaw } from "../../../src/identity/mime-leaves.ts";
import { UnreadableKey } from "../../../src/identity/public-keys.ts";
import { senderOf } from "../../../src/identity/sender.ts";
import { verifyParsed } from "../../../src/identity/verify-message.ts";
import { answerOf, type Checked, troubleOf } from "./page/answer.ts";
import { checkChosenFiles } from "./page/chosen-file.ts";
import { find } from "./page/dom.ts";
import { domainBoundAs, publishedKeys, tenantNamed } from "./page/keys.ts";
import { domainsIn, NotUsable } from "./page/usable.ts";

/** The page /verify: a visitor chooses or drops a message, and it is checked here. It leaves this browser by no way. */

const MAX_MESSAGE_OCTETS = 25 * 1024 * 1024;

const ownKey = find("own-key", HTMLTextAreaElement);
const ownDomains = find("own-domains", HTMLInputElement);

/** @throws {NotUsable} where the file cannot be read, or is too large. */
async function octetsOf(file: File): Promise<Uint8Array> {
  if (file.size > MAX_MESSAGE_OCTETS)
    throw new NotUsable("This file is larger than 25 MiB. No mail that large is checked here.");
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    // A browser gives a folder, or a file that was moved since, as a file that cannot be read.
    throw new NotUsable("This file cannot be read. Is it a folder, or was it moved?");
  }
}

/** The keys that the visitor pasted, else those that this deployment publishes for the account that the message names. */
async function keysFor(
  unchecked: Checked["verdict"],
  from: string | null,
): Promise<Pick<Checked, "keys_from"> & { keys: TrustedKeys | null }> {
  if (ownKey.value.trim() !== "") {
    const given = readGivenKeys(ownKey.value);
    return { keys: { ...given, domains: domainsIn(ownDomains.value) ?? given.domains }, keys_from: "what you pasted" };
  }
  const tenant = tenantNamed(unchecked);
  const keys = tenant === null ? null : await publishedKeys(tenant, domainBoundAs(unchecked, from));
  return { keys, keys_from: keys && location.host };
}

async function check(file: File): Promise<Checked> {
  const message = await partsOfRaw(await octetsOf(file));
  const unchecked = verifyParsed(message, null);
  const from = senderOf(message);
  const nothing = { keys: null, keys_from: null };
  const { keys, keys_from } = unchecked.verified === null ? nothing : await keysFor(unchecked, from);
  return {
    name: file.name,
    from,
    verdict: keys === null ? unchecked : verifyParsed(message, keys),
    keys_from,
    domains_unknown: keys !== null && keys.domains === null,
  };
}

function sentenceFor(error: unknown): string {
  if (error instanceof NotUsable) return error.message;
  if (error instanceof UnreadableKey) return [error.message, error.hint].filter((part) => part !== null).join(" ");
  reportError(error);
  return "This page made a mistake with this message. Please tell its makers; the browser's console says more.";
}

const input = find("message", HTMLInputElement);
checkChosenFiles({
  input,
  check: (file) => check(file).then(answerOf, (error: unknown) => troubleOf(sentenceFor(error))),
  nothingChosen: () => troubleOf("Choose a message first."),
  notAFile: () => troubleOf("That was no file. Save the message as an .eml file first, and drop that."),
});
