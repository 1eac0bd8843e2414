import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isAttachmentType } from "../../src/mail/compose.ts";
import { encodedSize } from "../../src/mail/limits.ts";
import { attachmentsIn, decodeBase64 } from "../../src/operations/attachments-in.ts";

describe("decodeBase64", () => {
  test("takes exactly what an encoder makes (RFC 4648 §4)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeBase64(Buffer.from(bytes).toString("base64"))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test("every text has at most one reading: what it takes, an encoder gives back", () => {
    const letters = fc.constantFrom(..."ABab01+/=-_ \n");
    fc.assert(
      fc.property(fc.string({ unit: letters, maxLength: 12 }), (text) => {
        const bytes = decodeBase64(text);
        if (bytes) expect(Buffer.from(bytes).toString("base64")).toBe(text);
      }),
      { numRuns: 2_000 },
    );
  });

  test("takes a large file without recursion", () => {
    const text = Buffer.alloc(9 * 1024 * 1024, 7).toString("base64");
    expect(decodeBase64(text)?.byteLength).toBe(9 * 1024 * 1024);
    expect(decodeBase64(`${text.slice(0, -1)}!`)).toBeNull();
  });
});

test.each([
  [0, 0],
  [1, 6],
  [57, 78],
  [58, 84],
  [114, 156],
])("%i octets take %i in a message", (octets, encoded) => {
  expect(encodedSize(octets)).toBe(encoded);
});

const attachment = (rest: object) => attachmentsIn.safeParse([{ name: "a.txt", content_base64: "", ...rest }]);

test.each([
  ["text/plain", "text/plain"],
  ["Text/HTML; charset=UTF-8", "text/html"],
  ['application/pdf;name="x y.exe"', "application/pdf"],
  ["image/PNG", "image/png"],
  [undefined, "application/octet-stream"],
])("the type %j is kept, hashed and sent as %j", (given, kept) => {
  const parsed = attachment(given === undefined ? {} : { content_type: given });
  expect(parsed.data?.[0]?.content_type).toBe(kept);
  expect(isAttachmentType(kept)).toBe(true);
});

test.each<[string, object, string]>([
  ["no type", { content_type: "" }, "invalid_attachment"],
  ["only parameters", { content_type: "; charset=utf-8" }, "invalid_attachment"],
  ["half a parameter", { content_type: "text/plain; x" }, "invalid_attachment"],
  ["half a type", { content_type: "text" }, "invalid_attachment"],
  ["a type of parts", { content_type: "Multipart/Mixed; boundary=x" }, "invalid_attachment"],
  ["a type of messages", { content_type: "message/rfc822" }, "invalid_attachment"],
  ["a type beyond ASCII", { content_type: "text/plaın" }, "invalid_attachment"],
  ["a line break in a parameter", { content_type: "text/plain;\r\nX-Evil: 1" }, "forbidden_characters"],
  ["a path", { name: "../a.txt" }, "invalid_attachment"],
  ["a Windows path", { name: "C:\\a.txt" }, "invalid_attachment"],
  ["a control character", { name: "a\tb" }, "invalid_attachment"],
  ["an encoded word", { name: "=?utf-8?q?x?=.pdf" }, "invalid_attachment"],
  ["a lone surrogate", { name: "a\ud800" }, "invalid_attachment"],
  ["a line break", { name: "a\nb" }, "forbidden_characters"],
])("%s is refused, by its path", (_name, rest, code) => {
  const { error } = attachment(rest);
  expect(error?.issues[0]?.path).toEqual([0, Object.keys(rest)[0]]);
  expect(error?.issues.map((issue) => (issue.code === "custom" ? issue.params?.code : null))).toContain(code);
});
