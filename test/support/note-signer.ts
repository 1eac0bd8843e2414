import { ed25519 } from "@noble/curves/ed25519.js";
import {
  formatNote,
  type NoteAlgorithm,
  noteSignature,
  parseNote,
  signedOctets,
  type VerifierKey,
  verifierKeyOf,
} from "../../src/audit/signed-note.ts";

/** Keys that sign notes in tests. Never use them elsewhere. */
export interface NoteSigner {
  key: VerifierKey;
  /** @param time of a cosignature, in seconds since the epoch. @returns the note of a text, or the note with one more line. */
  sign(textOrNote: string, time?: number): string;
}

/** @param seed one octet, 32 times: the private key. */
export function noteSigner(name: string, seed: number, algorithm: NoteAlgorithm = "ed25519"): NoteSigner {
  const secret = new Uint8Array(32).fill(seed);
  const key = verifierKeyOf(name, ed25519.getPublicKey(secret), algorithm);
  return {
    key,
    sign(textOrNote, time) {
      const note = parseNote(textOrNote) ?? { text: textOrNote, signatures: [] };
      const at = time ?? null;
      const line = noteSignature(key, ed25519.sign(signedOctets(note.text, at), secret), at);
      return formatNote({ text: note.text, signatures: [...note.signatures, line] });
    },
  };
}
