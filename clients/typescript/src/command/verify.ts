import { readGivenKeys } from "../../../../src/identity/given-keys.ts";
import type { TrustedKeys } from "../../../../src/identity/keys.ts";
import { partsOfRaw } from "../../../../src/identity/mime-leaves.ts";
import { applyPolicy } from "../../../../src/identity/policy.ts";
import { KEY_LIMITS, readEd25519, UnreadableKey } from "../../../../src/identity/public-keys.ts";
import { senderOf } from "../../../../src/identity/sender.ts";
import { verifyParsed } from "../../../../src/identity/verify-message.ts";
import { readOctets, UnreadableFile } from "./files.ts";
import type { Checked } from "./report.ts";
import { shown } from "./terminal.ts";
import type { VerifyCommand } from "./verify-arguments.ts";

/** What the service takes in (API.md, Limits). */
const MAX_MESSAGE_OCTETS = 25 * 1024 * 1024;

/** Reads a key's file. @throws {UnreadableFile} where it cannot be read, or holds no such key. */
async function readKey<Key>(path: string, read: (text: string) => Key): Promise<Key> {
  const text = new TextDecoder().decode(await readOctets(path, KEY_LIMITS.text));
  try {
    return read(text);
  } catch (error) {
    if (!(error instanceof UnreadableKey)) throw error;
    throw new UnreadableFile(
      [`${shown(path)}: ${error.message}`, error.hint].filter((part) => part !== null).join(" "),
    );
  }
}

/**
 * Reads the keys that a call names.
 * @throws {UnreadableFile} where one cannot be read, or is no public key.
 */
export async function keysOf({ key, ed25519, domains }: VerifyCommand): Promise<TrustedKeys> {
  const given = await readKey(key, readGivenKeys);
  const more = ed25519 === null ? [] : [await readKey(ed25519, readEd25519)];
  return { ...given, ed25519: [...given.ed25519, ...more], domains: domains ?? given.domains };
}

/**
 * Checks one message.
 * @throws {UnreadableFile} where it cannot be read.
 */
export async function check(path: string, keys: TrustedKeys, command: VerifyCommand, now: Date): Promise<Checked> {
  const message = await partsOfRaw(await readOctets(path, MAX_MESSAGE_OCTETS));
  const verdict = verifyParsed(message, keys);
  return {
    path,
    from: senderOf(message),
    verdict,
    policy: applyPolicy(verdict, command.policy, now),
    domains_unknown: keys.domains === null,
  };
}
