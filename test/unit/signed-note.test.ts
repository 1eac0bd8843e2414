import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Checkpoint, checkpointText, logOfOrigin, originOf, parseCheckpoint } from "../../src/audit/checkpoint.ts";
import { EMPTY_ROOT } from "../../src/audit/merkle-tree.ts";
import {
  formatNote,
  formatVerifierKey,
  isBy,
  NOTE_LIMITS,
  type Note,
  noteSignature,
  parseNote,
  parseVerifierKey,
  signedBy,
  signedOctets,
  type VerifierKey,
  verifierKeyOf,
} from "../../src/audit/signed-note.ts";
import { UnreadableKey } from "../../src/identity/public-keys.ts";
import { noteSigner } from "../support/note-signer.ts";

/** The example of C2SP signed-note. */
const EXAMPLE_TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const EXAMPLE_LINE =
  "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const EXAMPLE = `${EXAMPLE_TEXT}\n${EXAMPLE_LINE}`;

const LOG = noteSigner("mail.test/logs/ten_1", 1);
const WITNESS = noteSigner("witness.example/w1", 2, "cosignature/v1");
const TEXT = checkpointText({ origin: "mail.test/logs/ten_1", size: 3, root: new Uint8Array(32).fill(9) });
const NOTE = LOG.sign(TEXT);
const read = (note: string) => parseNote(note) as Note;

test("the example of the specification is read, holds, and is written the same", () => {
  const key = parseVerifierKey(EXAMPLE_KEY);
  expect(key).toMatchObject({ name: "PeterNeumann", algorithm: "ed25519" });
  expect(signedBy(read(EXAMPLE), key)).toEqual({ signed: "valid", time: null });
  expect(formatNote(read(EXAMPLE))).toBe(EXAMPLE);
  expect(formatVerifierKey(key)).toBe(EXAMPLE_KEY);
  expect(parseVerifierKey(`${EXAMPLE_KEY}\n`)).toEqual(key);
});

test("any change of a note's text makes the signature invalid", () => {
  const key = parseVerifierKey(EXAMPLE_KEY);
  fc.assert(
    fc.property(fc.nat({ max: EXAMPLE_TEXT.length - 2 }), (at) => {
      const changed = EXAMPLE_TEXT[at] === "x" ? "y" : "x";
      const text = EXAMPLE_TEXT.slice(0, at) + changed + EXAMPLE_TEXT.slice(at + 1);
      expect(signedBy({ ...read(EXAMPLE), text }, key)).toEqual({ signed: "invalid" });
    }),
  );
});

describe("a log and a witness sign the same note", () => {
  const note = read(WITNESS.sign(NOTE, 1_679_315_147));

  test("each by its own key, and the witness says when", () => {
    expect(signedBy(note, LOG.key)).toEqual({ signed: "valid", time: null });
    expect(signedBy(note, WITNESS.key)).toEqual({ signed: "valid", time: 1_679_315_147 });
    expect(signedBy(note, noteSigner("mail.test/logs/ten_1", 3).key)).toEqual({ signed: "absent" });
  });

  test("what a cosignature covers is spelled as the specification has it", () => {
    const covered = Buffer.from(signedOctets(TEXT, 1_679_315_147)).toString();
    expect(covered).toBe(`cosignature/v1\ntime 1679315147\n${TEXT}`);
    const line = note.signatures[1] as Note["signatures"][number];
    expect([line.keyId.length, line.signature.length]).toEqual([4, 72]);
    expect(Buffer.from(line.signature).readBigUInt64BE(0)).toBe(1_679_315_147n);
  });

  test("a cosignature that says another time does not hold", () => {
    const [own, theirs] = note.signatures as [Note["signatures"][number], Note["signatures"][number]];
    const signature = theirs.signature.slice();
    signature[7] = (signature[7] ?? 0) ^ 1;
    expect(signedBy({ ...note, signatures: [own, { ...theirs, signature }] }, WITNESS.key)).toEqual({
      signed: "invalid",
    });
  });

  test("the last second of the year 9999 is a time, and the next one is none: no date can be written of what comes later", () => {
    const at = (seconds: number) => signedBy(read(WITNESS.sign(NOTE, seconds)), WITNESS.key);
    expect(at(253_402_300_799)).toEqual({ signed: "valid", time: 253_402_300_799 });
    expect(at(253_402_300_800)).toEqual({ signed: "invalid" });
  });

  test("the key of a log is none of a witness, whatever their names", () => {
    const { publicKey, name } = LOG.key;
    const asWitness = verifierKeyOf(name, publicKey, "cosignature/v1");
    expect(note.signatures.some((line) => isBy(line, asWitness))).toBe(false);
    expect(signedBy(note, asWitness)).toEqual({ signed: "absent" });
  });

  test("one line of a key that does not hold spoils another of it that does", () => {
    const [own] = note.signatures as [Note["signatures"][number]];
    const broken = { ...own, signature: own.signature.slice().fill(0) };
    for (const signatures of [
      [own, broken],
      [broken, own],
    ]) {
      expect(signedBy({ text: note.text, signatures }, LOG.key)).toEqual({ signed: "invalid" });
    }
  });
});

describe("what is no note is refused whole", () => {
  test.each<[string, string]>([
    ["nothing", ""],
    ["no signature", EXAMPLE_TEXT],
    ["no signature after the empty line", `${EXAMPLE_TEXT}\n`],
    ["no empty line", `${EXAMPLE_TEXT}${EXAMPLE_LINE}`],
    ["no text", `\n${EXAMPLE_LINE}`],
    ["no LF at the end", EXAMPLE.trimEnd()],
    ["an empty line at the end", `${EXAMPLE}\n`],
    ["lines in CRLF", EXAMPLE.replaceAll("\n", "\r\n")],
    ["a control character", EXAMPLE.replace("think", "th\u0007nk")],
    ["a lone surrogate", EXAMPLE.replace("think", "th\ud800nk")],
    ["a hyphen for the dash", EXAMPLE.replace("—", "-")],
    ["two spaces before the signature", EXAMPLE.replace("PeterNeumann ", "PeterNeumann  ")],
    ["a name with a space", EXAMPLE.replace("— PeterNeumann", "— Peter Neumann")],
    ["a name with a plus sign", EXAMPLE.replace("— PeterNeumann", "— Peter+Neumann")],
    ["a name with a space of another kind", EXAMPLE.replace("— PeterNeumann", "— Peter\u00a0Neumann")],
    ["base64 without its padding", EXAMPLE.replace("nAM=", "nAM")],
    ["base64 with unused bits", EXAMPLE.replace("nAM=", "nAN=")],
    ["base64 of another alphabet", EXAMPLE.replace("x08go/", "x08go_")],
    [
      "a signature of nothing but the key's id",
      `${EXAMPLE_TEXT}\n— PeterNeumann x08goQ==\n`.replace("x08goQ==", "x08gow=="),
    ],
    ["something else among the signatures", `${EXAMPLE}hello\n`],
    ["more signatures than anyone has", EXAMPLE + EXAMPLE_LINE.repeat(NOTE_LIMITS.signatures)],
    ["more text than anyone writes", `${"a\n".repeat(NOTE_LIMITS.text / 2)}\n${EXAMPLE_LINE}`],
  ])("%s", (_what, note) => expect(parseNote(note)).toBeNull());

  test("as many signatures and as much text as there may be are read", () => {
    expect(parseNote(EXAMPLE + EXAMPLE_LINE.repeat(NOTE_LIMITS.signatures - 1))?.signatures).toHaveLength(100);
    const signed = `\n${EXAMPLE_LINE}`;
    expect(parseNote(`${"a".repeat(NOTE_LIMITS.text - signed.length - 1)}\n${signed}`)).not.toBeNull();
  });

  test("a text may have empty lines: the last one ends it", () => {
    expect(read(`a\n\nb\n\n${EXAMPLE_LINE}`).text).toBe("a\n\nb\n");
  });
});

describe("what is no verifier key is refused", () => {
  const flip = (at: number, by: string) => EXAMPLE_KEY.slice(0, at) + by + EXAMPLE_KEY.slice(at + 1);
  test.each<[string, string]>([
    ["nothing", ""],
    ["a name alone", "PeterNeumann"],
    ["no name", EXAMPLE_KEY.slice("PeterNeumann".length)],
    ["another name", EXAMPLE_KEY.replace("Peter", "Petra")],
    ["a name with a space", EXAMPLE_KEY.replace("Peter", "Peter ")],
    ["another id", EXAMPLE_KEY.replace("c74f20a3", "c74f20a4")],
    ["an id in capitals", EXAMPLE_KEY.replace("c74f20a3", "C74F20A3")],
    ["a key that is changed", flip(EXAMPLE_KEY.length - 5, "A")],
    ["a key cut short", EXAMPLE_KEY.slice(0, -4)],
    ["another algorithm", EXAMPLE_KEY.replace("+ARpc", "+BRpc")],
    ["no base64", EXAMPLE_KEY.replace("+ARpc", "+A_pc")],
    ["something after it", `${EXAMPLE_KEY}\nmore`],
    [
      "a private key of the same tools",
      "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
    ],
  ])("%s", (_what, text) => expect(() => parseVerifierKey(text)).toThrow(UnreadableKey));

  test("nor is one made that could not be read", () => {
    expect(() => verifierKeyOf("a b", LOG.key.publicKey, "ed25519")).toThrow(RangeError);
    expect(() => verifierKeyOf("a+b", LOG.key.publicKey, "ed25519")).toThrow(RangeError);
    expect(() => verifierKeyOf("", LOG.key.publicKey, "ed25519")).toThrow(RangeError);
    expect(() => verifierKeyOf("a", new Uint8Array(31), "ed25519")).toThrow(RangeError);
    expect(() => noteSignature(LOG.key, new Uint8Array(63))).toThrow(RangeError);
    expect(() => noteSignature(LOG.key, new Uint8Array(64), 5)).toThrow(RangeError);
    expect(() => noteSignature(WITNESS.key, new Uint8Array(64))).toThrow(RangeError);
    expect(() => formatNote({ text: TEXT, signatures: [] })).toThrow(RangeError);
    expect(() => formatNote({ text: "no end", signatures: read(NOTE).signatures })).toThrow(RangeError);
  });

  test.each<[string, VerifierKey]>([
    ["a log's", LOG.key],
    ["a witness's", WITNESS.key],
  ])("%s key is read as it was written", (_whose, key) => {
    expect(parseVerifierKey(formatVerifierKey(key))).toEqual(key);
  });
});

describe("checkpoints", () => {
  const checkpoint: Checkpoint = { origin: "mail.test/logs/mbx_1", size: 20_852_163, root: EMPTY_ROOT };
  const text = checkpointText(checkpoint);

  test("are three lines (C2SP tlog-checkpoint)", () => {
    expect(text).toBe("mail.test/logs/mbx_1\n20852163\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    expect(parseCheckpoint(text)).toEqual(checkpoint);
    expect(parseCheckpoint(`${text}an extension\nand another\n`)).toEqual(checkpoint);
  });

  test.each<[string, string]>([
    ["nothing", ""],
    ["two lines", "mail.test/logs/mbx_1\n3\n"],
    ["no LF at the end", text.trimEnd()],
    ["no origin", text.replace("mail.test/logs/mbx_1", "")],
    ["an origin with a space", text.replace("mail", "my mail")],
    ["a size with a zero before it", text.replace("2085", "02085")],
    ["a size with a sign", text.replace("2085", "+2085")],
    ["a size below nothing", text.replace("2085", "-2085")],
    ["a size in another notation", text.replace("20852163", "2e7")],
    ["a size larger than numbers go", text.replace("20852163", "9007199254740992")],
    ["a root that is too short", text.replace("47DE", "")],
    ["a root that is no base64", text.replace("47DE", "47-E")],
    ["an empty line in it", `${text}\nan extension\n`],
    ["an empty line after it", `${text}\n`],
  ])("%s is none", (_what, written) => expect(parseCheckpoint(written)).toBeNull());

  test("cannot be written of what none can say", () => {
    expect(() => checkpointText({ ...checkpoint, size: 0.5 })).toThrow(RangeError);
    expect(() => checkpointText({ ...checkpoint, root: new Uint8Array(31) })).toThrow(RangeError);
    expect(() => checkpointText({ ...checkpoint, origin: "a\n1\n" })).toThrow(RangeError);
  });

  test("the origin names host and log", () => {
    expect(originOf("https://mail.example.com/", "ten_1")).toBe("mail.example.com/logs/ten_1");
    expect(originOf("http://localhost:8787", "mbx_1")).toBe("localhost:8787/logs/mbx_1");
    expect(logOfOrigin("localhost:8787/logs/mbx_1")).toBe("mbx_1");
    expect([logOfOrigin("go.sum database tree"), logOfOrigin("a/logs/b/c"), logOfOrigin("/logs/b")]).toEqual([
      null,
      null,
      null,
    ]);
  });
});
