import { originOf } from "../../src/audit/checkpoint.ts";
import {
  formatNote,
  formatVerifierKey,
  noteSignature,
  parseVerifierKey,
  signedOctets,
  type VerifierKey,
  verifierKeyOf,
} from "../../src/audit/signed-note.ts";
import { newLogKey, openLogKey } from "../../src/store/log-keys.ts";
import type { Log } from "./log.ts";

/** The key that signs a log's checkpoints. It is made with the log, and the origin it signs under stays with it. */

interface LogKeyRow extends Record<string, SqlStorageValue> {
  origin: string;
  verifier_key: string;
  key: string;
}

/** Makes the key. Inside `commit`. */
export function makeLogKey(log: Log): void {
  const { log: name } = log.identity();
  const origin = originOf(log.environment().PUBLIC_URL, name);
  const { public_key, sealed } = newLogKey(log.environment(), name);
  const verifierKey = formatVerifierKey(verifierKeyOf(origin, public_key, "ed25519"));
  log.storage().exec("INSERT INTO log_keys VALUES (?, ?, ?, ?)", name, origin, verifierKey, sealed);
}

function rowOf(log: Log): LogKeyRow {
  return log.storage().exec<LogKeyRow>("SELECT origin, verifier_key, key FROM log_keys").one();
}

/** @returns under which origin the log signs, and what checks it (C2SP signed-note). */
export function verifierKeyOfLog(log: Log): { origin: string; verifier_key: string } {
  const { origin, verifier_key } = rowOf(log);
  return { origin, verifier_key };
}

function opened(log: Log): { verifierKey: VerifierKey; sign: (message: Uint8Array) => Uint8Array } {
  const { verifier_key, key } = rowOf(log);
  const verifierKey = parseVerifierKey(verifier_key);
  return { verifierKey, sign: openLogKey(log.environment(), log.identity().log, key, verifierKey.publicKey) };
}

/** Under which keys each log's own key was last seen to open. Lost with the instance. */
const OPENED = new WeakMap<Log, string>();

/** @throws Error if neither MASTER_KEY opens the log's key: this is not the MASTER_KEY that the log was made under. */
export function checkLogKey(log: Log): void {
  const { MASTER_KEY, MASTER_KEY_PREVIOUS = "" } = log.environment();
  const keys = `${MASTER_KEY} ${MASTER_KEY_PREVIOUS}`;
  if (OPENED.get(log) === keys) return;
  opened(log);
  OPENED.set(log, keys);
}

/** @returns a note of that text, signed by the log. @throws Error if neither MASTER_KEY opens its key. */
export function signedNote(log: Log, text: string): string {
  const { verifierKey, sign } = opened(log);
  return formatNote({ text, signatures: [noteSignature(verifierKey, sign(signedOctets(text, null)))] });
}
