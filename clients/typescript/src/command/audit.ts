import { readTrust, type Trust, UnusableCheckpoint } from "../../../../src/audit/trust.ts";
import { type ExportVerdict, verifyExport } from "../../../../src/audit/verify-export.ts";
import { KEY_LIMITS, UnreadableKey } from "../../../../src/identity/public-keys.ts";
import { chunksOf, readOctets, UnreadableFile } from "./files.ts";
import { shown } from "./terminal.ts";
import type { VerifyAuditCommand } from "./verify-audit-arguments.ts";

/** As a verifier key begins, and hardly any path: a name, and eight hexadecimal digits between plus signs. */
const VERIFIER_KEY = /^[^+]+\+[0-9a-f]{8}\+/;

async function textOf(path: string): Promise<string> {
  return new TextDecoder().decode(await readOctets(path, KEY_LIMITS.text));
}

async function keysOf(given: readonly string[]): Promise<string[]> {
  return Promise.all(given.map((each) => (VERIFIER_KEY.test(each) ? each : textOf(each))));
}

/**
 * Reads the keys and the checkpoint that a call names.
 * @throws {UnreadableFile} where one cannot be read, or is not what it should be.
 */
export async function trustOf({ keys, witnesses, after, log }: VerifyAuditCommand): Promise<Trust> {
  try {
    return readTrust({
      keys: (await keysOf(keys)).join("\n"),
      witnesses: await keysOf(witnesses),
      after: after === null ? null : await textOf(after),
      log,
    });
  } catch (error) {
    if (error instanceof UnusableCheckpoint) throw new UnreadableFile(`${shown(after ?? "")}: ${error.message}`);
    if (!(error instanceof UnreadableKey)) throw error;
    throw new UnreadableFile([error.message, error.hint].filter((part) => part !== null).join(" "));
  }
}

/**
 * Checks one export, as it is read.
 * @throws {UnreadableFile} where it cannot be read.
 */
export function checkExport(path: string, trust: Trust): Promise<ExportVerdict> {
  return verifyExport(chunksOf(path), trust);
}
