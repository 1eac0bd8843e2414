import { readGivenKeys } from "../../../src/identity/given-keys.ts";
import type { TrustedKeys } from "../../../src/identity/keys.ts";
import { partsOfRaw } from "../../../src/identity/mime-leaves.ts";
import { UnreadableKey } from "../../../src/identity/public-keys.ts";
import { senderOf } from "../../../src/identity/sender.ts";
import { verifyParsed } from "../../../src/identity/verify-message.ts";
import { answerOf, type Checked, troubleOf } from "./page/answer.ts";
import { find } from "./page/dom.ts";
import { domainBoundAs, publishedKeys, tenantNamed } from "./page/keys.ts";
import { domainsIn, NotUsable } from "./page/usable.ts";

/** The page /verify: a visitor chooses or drops a message, and it is checked here. It leaves this browser by no way. */

const MAX_MESSAGE_OCTETS = 25 * 1024 * 1024;

const form = find("check", HTMLFormElement);
const fileInput = find("message", HTMLInputElement);
const ownKey = find("own-key", HTMLTextAreaElement);
const ownDomains = find("own-domains", HTMLInputElement);
const drop = find("drop", HTMLElement);
const progress = find("progress", HTMLElement);
const answer = find("answer", HTMLElement);

/** What was chosen or dropped last. */
let chosen: File | null = null;
/** Counts the checks: only the newest one's answer is shown. */
let newest = 0;

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

function show({ parts, spoken }: { parts: Node[]; spoken: string }): void {
  answer.replaceChildren(...parts);
  answer.hidden = false;
  progress.textContent = spoken;
  answer.scrollIntoView({ block: "nearest" });
}

function sentenceFor(error: unknown): string {
  if (error instanceof NotUsable) return error.message;
  if (error instanceof UnreadableKey) return [error.message, error.hint].filter((part) => part !== null).join(" ");
  reportError(error);
  return "This page made a mistake with this message. Please tell its makers; the browser's console says more.";
}

async function checkChosen(): Promise<void> {
  const mine = ++newest;
  if (chosen === null) {
    show(troubleOf("Choose a message first."));
    fileInput.focus();
    return;
  }
  progress.textContent = "Checking…";
  const found = await check(chosen).then(answerOf, (error: unknown) => troubleOf(sentenceFor(error)));
  if (mine === newest) show(found);
}

function choose(file: File | undefined): void {
  chosen = file ?? null;
  if (file) void checkChosen();
  else show(troubleOf("That was no file. Save the message as an .eml file first, and drop that."));
}

fileInput.addEventListener("change", () => choose(fileInput.files?.[0]));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void checkChosen();
});
// Anywhere on the page: a file that is dropped beside a target would replace the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  fileInput.value = "";
  choose(event.dataTransfer?.files[0]);
});
form.hidden = false;
