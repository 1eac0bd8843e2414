import { describe, expect, test } from "vitest";
import { MAX_ARC_SETS, readArcChain } from "../../src/mail/arc-chain.ts";

/** What no chain may look like (RFC 8617 §4, §5.2), whatever its signatures say. */

type Kind = "arc-seal" | "arc-message-signature" | "arc-authentication-results";

const B = "A".repeat(64);

/** The three fields of one set; a change replaces the value of one. */
function setOf(i: number, change: Partial<Record<Kind, string | null>> = {}) {
  const values: Record<Kind, string | null> = {
    "arc-seal": ` i=${i}; a=rsa-sha256; t=1; cv=${i === 1 ? "none" : "pass"}; d=hop${i}.example; s=s1;\r\n b=${B}`,
    "arc-message-signature": ` i=${i}; a=rsa-sha256; c=relaxed/relaxed; d=Hop${i}.example; h=From:To; s=s1; bh=${B}; b=${B}`,
    "arc-authentication-results": ` i=${i}; mx.hop${i}.example; dmarc=pass header.from=bank.example`,
    ...change,
  };
  return (Object.keys(values) as Kind[]).flatMap((key) =>
    values[key] === null ? [] : [{ key, line: Buffer.from(`${key}:${values[key]}`, "latin1") }],
  );
}

const seal = (change: (text: string) => string, i = 1) =>
  setOf(i, { "arc-seal": change(` i=${i}; a=rsa-sha256; cv=none; d=hop.example; s=s1; b=${B}`) });
const signature = (change: (text: string) => string) =>
  setOf(1, {
    "arc-message-signature": change(
      ` i=1; a=rsa-sha256; c=relaxed/relaxed; d=hop.example; h=From:To; s=s1; bh=${B}; b=${B}`,
    ),
  });

test("a chain is read in order of instance, wherever its fields stand", () => {
  const fields = [
    ...setOf(2),
    { key: "subject", line: Buffer.from("Subject: x") },
    ...setOf(3),
    ...setOf(1),
  ].toReversed();
  expect(readArcChain(fields)).toEqual({
    sets: [1, 2, 3].map((instance) => ({
      instance,
      sealer: `hop${instance}.example`,
      signer: `hop${instance}.example`,
      results: ` mx.hop${instance}.example; dmarc=pass header.from=bank.example`,
    })),
    fault: null,
  });
});

test("fifty sets are a chain, fifty-one are none", () => {
  const chain = (count: number) => Array.from({ length: count }, (_, n) => setOf(n + 1)).flat();
  expect(readArcChain(chain(MAX_ARC_SETS)).sets).toHaveLength(MAX_ARC_SETS);
  expect(readArcChain(chain(MAX_ARC_SETS + 1)).fault).toContain("no instance from 1 to 50");
});

describe("is no chain", () => {
  test.each<[string, ReturnType<typeof setOf>, RegExp]>([
    ["one that begins at 2", setOf(2), /instance 1 is missing/],
    ["one with a gap", [...setOf(1), ...setOf(3)], /instance 2 is missing/],
    ["one with an instance twice", [...setOf(1), ...setOf(1)], /more than one ARC-Seal/],
    [
      "one with two results",
      [...setOf(1), ...setOf(1, { "arc-seal": null, "arc-message-signature": null })],
      /more than one ARC-Auth/,
    ],
    ["one without a seal", setOf(1, { "arc-seal": null }), /no ARC-Seal/],
    ["one without a message signature", setOf(1, { "arc-message-signature": null }), /no ARC-Message-Signature/],
    ["one without results", setOf(1, { "arc-authentication-results": null }), /no ARC-Authentication-Results/],
    [
      "results whose instance comes later",
      setOf(1, { "arc-authentication-results": " mx.example; i=1" }),
      /no instance/,
    ],
    ["results whose instance has no semicolon", setOf(1, { "arc-authentication-results": " i=1" }), /no instance/],
    ["instance 0", seal((text) => text.replace("i=1", "i=0")), /no instance/],
    ["instance 001", seal((text) => text.replace("i=1", "i=001")), /no instance/],
    ["instance 1e0", seal((text) => text.replace("i=1", "i=1e0")), /no instance/],
    ["instance +1", seal((text) => text.replace("i=1", "i=+1")), /no instance/],
    ["an instance in a comment", seal((text) => text.replace("i=1", "i=(x)1")), /no instance/],
    ["a first seal that says cv=pass", seal((text) => text.replace("cv=none", "cv=pass")), /cv=pass .* says none/],
    ["a later seal that says cv=none", [...setOf(1), ...seal((text) => text, 2)], /cv=none .* says pass/],
    ["a seal that says cv=fail", seal((text) => text.replace("cv=none", "cv=fail")), /cv=fail/],
    ["a seal with h=", seal((text) => `${text}; h=from`), /tag h=, which a seal may not have/],
    ["a seal with a tag twice", seal((text) => `${text}; d=evil.example`), /twice/],
    ["a seal with an empty tag", seal((text) => text.replace("; d=", ";; d=")), /no “tag=value”/],
    ["a seal with a tag name that is none", seal((text) => `${text}; 1x=y`), /no “tag=value”/],
    ["a seal with its tags in capitals", seal((text) => text.replace("; d=", "; D=")), /no tag d=/],
    ["a seal by SHA-1", seal((text) => text.replace("sha256", "sha1")), /a= that is not valid/],
    ["a seal without a signature", seal((text) => text.replace(/b=.*/, "b=")), /b= that is not valid/],
    ["a seal whose signature is no base64", seal((text) => text.replace(/b=.*/, "b=!!!!")), /b= that is not valid/],
    [
      "a seal of a domain that is none",
      seal((text) => text.replace("hop.example", "hop example")),
      /d= that is not valid/,
    ],
    ["a seal with a time that is none", seal((text) => `${text}; t=soon`), /t= that is not valid/],
    ["a seal with an octet that may not stand there", seal((text) => `${text}; x=\u00a0`), /octets/],
    ["a seal with a NUL", seal((text) => text.replace("s=s1", "s=s1\0")), /octets/],
    [
      "a signature that covers the seal",
      signature((text) => text.replace("h=From:To", "h=From:ARC-Seal")),
      /covers ARC-Seal/,
    ],
    [
      "a signature that does not cover From",
      signature((text) => text.replace("h=From:To", "h=To")),
      /does not cover From/,
    ],
    ["a signature without h=", signature((text) => text.replace("h=From:To; ", "")), /no tag h=/],
    ["a signature without bh=", signature((text) => text.replace(/bh=A+; /, "")), /no tag bh=/],
    [
      "a signature of an unknown canonicalisation",
      signature((text) => text.replace("relaxed/relaxed", "nofws")),
      /c= that/,
    ],
    ["a signature with an l= that is no number", signature((text) => `${text}; l=-1`), /l= that is not valid/],
    ["a signature by another way of asking", signature((text) => `${text}; q=http`), /q= that is not valid/],
  ])("%s", (_what, fields, fault) => {
    expect(readArcChain(fields)).toEqual({ sets: null, fault: expect.stringMatching(fault) });
  });
});

test("a field of a megabyte is read in one pass", () => {
  for (const filler of [";", "; ", "i=1;", "(", "a=b ", " \t"]) {
    const long = filler.repeat(1_000_000 / filler.length);
    const fields = (["arc-seal", "arc-authentication-results"] as const).map((key) => ({
      key,
      line: Buffer.from(`${key}: ${long}`),
    }));
    for (const field of fields) expect(readArcChain([field]).sets).toBeNull();
  }
});
