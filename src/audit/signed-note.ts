import { fromBase64, toBase64, utf8 } from "../identity/encoding.ts";
import { readEd25519, UnreadableKey } from "../identity/public-keys.ts";
import { verifyEd25519 } from "../identity/signatures.ts";
import { sha256 } from "./sha256.ts";

/** Signed notes (C2SP signed-note): a text for people and programs, an empty line, and a line for each signature. */

/** By the first octet of the key in a verifier key. A cosignature (C2SP tlog-cosignature) is a witness's, and says when. */
const ALGORITHMS = { ed25519: 0x01, "cosignature/v1": 0x04 } as const;

export type NoteAlgorithm = keyof typeof ALGORITHMS;

/** A public key that notes are checked with. */
export interface VerifierKey {
  /** Who signs, as the signature lines name it. */
  name: string;
  /** The first four octets of SHA-256(name ‖ LF ‖ algorithm ‖ key): with the name, how a signature line names its key. */
  keyId: Uint8Array;
  algorithm: NoteAlgorithm;
  /** 32 octets (RFC 8032 §5.1.5). */
  publicKey: Uint8Array;
}

/** One signature line. */
export interface NoteSignature {
  name: string;
  keyId: Uint8Array;
  /** 64 octets; of a cosignature, 8 octets of time before them. What other algorithms have is not ours to know. */
  signature: Uint8Array;
}

export interface Note {
  /** With the LF at its end: what is signed. */
  text: string;
  signatures: NoteSignature[];
}

/** What one key says of a note. */
export type NoteVerdict = { signed: "absent" | "invalid" } | { signed: "valid"; time: number | null };

/** Characters of a note, and lines of signatures: more is nothing that we or a witness wrote. */
export const NOTE_LIMITS = { text: 64 * 1024, signatures: 100 } as const;

const KEY_ID_OCTETS = 4;
const SIGNATURE_OCTETS = 64;
const TIME_OCTETS = 8;
/** The last second of the year 9999: no clock says a later one, and dates cannot be written of it. */
const MAX_TIME = 253_402_300_799n;
/** No control characters but LF, no lone surrogates, an LF at its end. */
const NOTE_TEXT = /^(?:[^\p{Cc}\p{Cs}]*\n)+$/u;
const NAME = /^[^\p{White_Space}\p{Cc}\p{Cs}+]+$/u;
/** The dash is U+2014. */
const SIGNATURE_LINE = /^— ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/u;

/** @returns the octets one after the other. */
function joined(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** @returns whether a key or a signature may have this name: not empty, without spaces and plus signs. */
export function isNoteName(name: string): boolean {
  return NAME.test(name);
}

/**
 * @param publicKey 32 octets.
 * @returns the key under a name. @throws RangeError for a name that no key may have, or another length: mistakes of ours.
 */
export function verifierKeyOf(name: string, publicKey: Uint8Array, algorithm: NoteAlgorithm): VerifierKey {
  if (!isNoteName(name)) throw new RangeError("a key's name has no spaces and no plus signs, and is not empty");
  if (publicKey.length !== 32) throw new RangeError("an Ed25519 key is 32 octets");
  const named = joined(utf8(`${name}\n`), Uint8Array.of(ALGORITHMS[algorithm]), publicKey);
  return { name, keyId: sha256(named).slice(0, KEY_ID_OCTETS), algorithm, publicKey };
}

/** @returns the verifier key as text: `<name>+<key id in hex>+<base64 of algorithm and key>`. */
export function formatVerifierKey({ name, keyId, algorithm, publicKey }: VerifierKey): string {
  const id = [...keyId].map((octet) => octet.toString(16).padStart(2, "0")).join("");
  return `${name}+${id}+${toBase64(joined(Uint8Array.of(ALGORITHMS[algorithm]), publicKey))}`;
}

const VERIFIER_KEY_HINT = "A verifier key looks like mail.example.com/logs/ten_1+0a1b2c3d+Abcd…, on one line.";

/**
 * Reads a verifier key, with or without an LF at its end.
 * @throws {UnreadableKey} for anything else: another algorithm, an id that does not fit, octets that are no key.
 */
export function parseVerifierKey(text: string): VerifierKey {
  const [, name = "", id, encoded = ""] = /^([^+\n]+)\+([0-9a-f]{8})\+([^\n]+)\r?\n?$/.exec(text) ?? [];
  if (id === undefined || !isNoteName(name)) throw new UnreadableKey("This is no verifier key.", VERIFIER_KEY_HINT);
  const octets = fromBase64(encoded);
  if (!octets || octets.length < 2) throw new UnreadableKey("The verifier key's last part is not base64.");
  const algorithm = (Object.keys(ALGORITHMS) as NoteAlgorithm[]).find((each) => ALGORITHMS[each] === octets[0]);
  if (!algorithm) throw new UnreadableKey(`The verifier key is of an unknown algorithm, ${octets[0]}.`);
  const key = verifierKeyOf(name, readEd25519(toBase64(octets.subarray(1))), algorithm);
  if (formatVerifierKey(key) !== `${name}+${id}+${encoded}`) {
    throw new UnreadableKey("The verifier key does not have the id that it says: a character of it was changed.");
  }
  return key;
}

/**
 * What a key signs of a note.
 * @param text the note's, with the LF at its end.
 * @param time of a cosignature, in seconds since the epoch; null for a log's own signature.
 */
export function signedOctets(text: string, time: number | null): Uint8Array {
  return utf8(time === null ? text : `cosignature/v1\ntime ${time}\n${text}`);
}

/**
 * @param signature 64 octets over `signedOctets(text, time)`. @param time as there.
 * @returns the signature line's contents. @throws RangeError where key, time and signature do not fit: mistakes of ours.
 */
export function noteSignature(key: VerifierKey, signature: Uint8Array, time: number | null = null): NoteSignature {
  const isCosignature = key.algorithm === "cosignature/v1";
  if (signature.length !== SIGNATURE_OCTETS || isCosignature !== (time !== null)) {
    throw new RangeError("a signature is 64 octets, and a cosignature has a time");
  }
  const stamp = new Uint8Array(time === null ? 0 : TIME_OCTETS);
  if (time !== null) new DataView(stamp.buffer).setBigUint64(0, BigInt(time));
  return { name: key.name, keyId: key.keyId, signature: joined(stamp, signature) };
}

/** @returns the note as it travels. @throws RangeError for a text or a name that no note may have, or no signature. */
export function formatNote({ text, signatures }: Note): string {
  const lines = signatures.map(({ name, keyId, signature }) => `— ${name} ${toBase64(joined(keyId, signature))}\n`);
  const note = `${text}\n${lines.join("")}`;
  if (!parseNote(note)) throw new RangeError("this is no note");
  return note;
}

function signatureOf(line: string): NoteSignature | null {
  const [, name = "", encoded = ""] = SIGNATURE_LINE.exec(line) ?? [];
  const octets = fromBase64(encoded);
  if (!isNoteName(name) || !octets || octets.length <= KEY_ID_OCTETS) return null;
  return { name, keyId: octets.slice(0, KEY_ID_OCTETS), signature: octets.slice(KEY_ID_OCTETS) };
}

/** @returns the note's parts, nothing of them checked against any key; null if this is no note. */
export function parseNote(note: string): Note | null {
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || note.length > NOTE_LIMITS.text || !note.endsWith("\n")) return null;
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split("\n");
  if (!NOTE_TEXT.test(text) || lines.length > NOTE_LIMITS.signatures) return null;
  const signatures = lines.map(signatureOf);
  return signatures.includes(null) ? null : { text, signatures: signatures.filter((each) => each !== null) };
}

/** @returns whether a signature line names this key. */
export function isBy({ name, keyId }: NoteSignature, key: VerifierKey): boolean {
  return name === key.name && keyId.every((octet, index) => octet === key.keyId[index]);
}

function verdictOn(text: string, { signature }: NoteSignature, { algorithm, publicKey }: VerifierKey): NoteVerdict {
  const stamp = algorithm === "cosignature/v1" ? TIME_OCTETS : 0;
  if (signature.length !== stamp + SIGNATURE_OCTETS) return { signed: "invalid" };
  const seconds = stamp ? new DataView(signature.buffer, signature.byteOffset).getBigUint64(0) : null;
  if (seconds !== null && seconds > MAX_TIME) return { signed: "invalid" };
  const time = seconds === null ? null : Number(seconds);
  const isValid = verifyEd25519(publicKey, signature.subarray(stamp), signedOctets(text, time));
  return isValid ? { signed: "valid", time } : { signed: "invalid" };
}

/**
 * @returns whether the key signed the note, with the time (seconds since the epoch) that a cosignature says. Lines of other keys
 * are passed over (C2SP signed-note), and a single line of this key that does not hold makes it invalid.
 */
export function signedBy({ text, signatures }: Note, key: VerifierKey): NoteVerdict {
  const verdicts = signatures.filter((line) => isBy(line, key)).map((line) => verdictOn(text, line, key));
  return verdicts.find(({ signed }) => signed === "invalid") ?? verdicts[0] ?? { signed: "absent" };
}
