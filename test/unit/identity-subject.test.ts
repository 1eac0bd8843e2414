import { describe, expect, test } from "vitest";
import { readSubject } from "../../src/identity/header-values.ts";

/** Subject as it is signed: decoded (RFC 2047), to the last character that a reader may or may not see. */

const utf8 = (text: string) => `=?UTF-8?B?${Buffer.from(text).toString("base64")}?=`;
const octets = (...values: number[]) => `=?UTF-8?B?${Buffer.from(values).toString("base64")}?=`;

describe("a subject", () => {
  test.each<[string, string, string]>([
    ["of no encoded words", "Invoice 100", "Invoice 100"],
    ["of one", utf8("Grüße 🎉"), "Grüße 🎉"],
    ["that begins with a byte order mark", utf8("\uFEFFx"), "\uFEFFx"],
    ["with a byte order mark where a word begins", `${utf8("a ")} ${utf8("\uFEFFb")}`, "a \uFEFFb"],
    ["whose words part a character", `${octets(0x61, 0xc3)} ${octets(0xa9, 0x62)}`, "aéb"],
    ["whose words part a character, in both encodings", `${octets(0xc3)}\t=?utf-8?Q?=A9_b?=`, "é b"],
    ["whose words have other charsets", `=?iso-8859-1?Q?=E9?= ${utf8("é")}`, "éé"],
    ["with words between", `Re: ${utf8("é")} and ${utf8("ü")} end`, "Re: é and ü end"],
    ["with white space that is encoded", utf8("  x  "), "  x  "],
    ["with what looks like an encoded word", utf8("=?UTF-8?Q?x?="), "=?UTF-8?Q?x?="],
    ["with a language", "=?UTF-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"],
    ["that is folded by a tab", "Invoice\t100", "Invoice 100"],
    ["that holds a replacement character", utf8("\uFFFD"), "\uFFFD"],
  ])("%s is read as it was written", (_what, value, text) => {
    expect(readSubject(value)).toEqual({ value: text, fault: null });
  });

  test.each([
    ["half a character", octets(0x61, 0xc3)],
    ["half a character before another charset", `${octets(0xc3)} =?iso-8859-1?Q?=A9?=`],
    ["a charset that readers differ in", "=?utf-7?Q?+AGE-?="],
    ["an unknown encoding", "=?UTF-8?X?abc?="],
    ["base64 with more behind its padding", "=?UTF-8?B?YQ==YQ==?="],
    ["an escape that is none", "=?UTF-8?Q?=4?="],
    ["octets that are not escaped", "=?UTF-8?Q?é?="],
    ["octets that are no UTF-8", "a\uFFFDb"],
    ["more than a verifier reads", "x".repeat(16 * 1024 + 1)],
  ])("with %s is not read at all", (_what, value) => {
    expect(readSubject(value)).toMatchObject({ value: null, fault: { reason: "malformed" } });
  });
});
