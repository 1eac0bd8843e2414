import { describe, expect, test } from "vitest";
import { newDataKey, rewrapDataKey, unwrapDataKey, wrapDataKey } from "../../src/audit/sealing.ts";
import { csrfSecret, isCsrfSecret } from "../../src/doors/approve/csrf.ts";
import {
  checkMasterKeys,
  deriveKeys,
  type MasterKeys,
  masterKeyId,
  open,
  reseal,
  type SecretPurpose,
  seal,
} from "../../src/store/secrets.ts";

const OLD = Buffer.alloc(32, 1).toString("base64");
const NEW = Buffer.alloc(32, 2).toString("base64");
const THIRD = Buffer.alloc(32, 3).toString("base64");

const before: MasterKeys = { MASTER_KEY: OLD };
const changing: MasterKeys = { MASTER_KEY: NEW, MASTER_KEY_PREVIOUS: OLD };
const after: MasterKeys = { MASTER_KEY: NEW };

const WORDS = Buffer.from("a private key");
const read = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");
const keys = (master: MasterKeys, purpose: SecretPurpose = "dkim-key") => deriveKeys(master, purpose);

describe("the master keys", () => {
  test.each<[string, Partial<MasterKeys>, string]>([
    ["no MASTER_KEY", {}, "MASTER_KEY must be 32 random bytes in base64. Make one with: openssl rand -base64 32"],
    ["an empty one", { MASTER_KEY: "" }, "openssl rand -base64 32"],
    ["one of 31 bytes", { MASTER_KEY: Buffer.alloc(31).toString("base64") }, "openssl rand -base64 32"],
    ["one of 33 bytes", { MASTER_KEY: Buffer.alloc(33).toString("base64") }, "openssl rand -base64 32"],
    ["a previous one that is empty", { MASTER_KEY: NEW, MASTER_KEY_PREVIOUS: "" }, "MASTER_KEY_PREVIOUS must be"],
    ["a previous one of 31 bytes", { MASTER_KEY: NEW, MASTER_KEY_PREVIOUS: OLD.slice(3) }, "MASTER_KEY_PREVIOUS must"],
    ["a previous one only", { MASTER_KEY_PREVIOUS: OLD }, "MASTER_KEY must be"],
  ])("%s: nothing is served, and the words say what to do", (_what, master, words) => {
    expect(() => checkMasterKeys(master as MasterKeys)).toThrow(words);
    expect(() => deriveKeys(master as MasterKeys, "csrf")).toThrow(words);
  });

  test("one, two, and twice the same are taken: a change begins with two that are the same or swapped", () => {
    for (const master of [before, changing, after, { MASTER_KEY: OLD, MASTER_KEY_PREVIOUS: OLD }]) {
      expect(() => checkMasterKeys(master)).not.toThrow();
    }
  });

  test("each purpose has keys of its own", () => {
    const purposes: SecretPurpose[] = ["dkim-key", "data-key", "identity-key", "csrf", "approval-code", "key-id"];
    const all = purposes.flatMap((purpose) => keys(changing, purpose).map((key) => Buffer.from(key).toString("hex")));
    expect(new Set(all).size).toBe(12);
  });

  test("a key's name says which one it is, whatever the other one is, and not what it is", () => {
    expect(masterKeyId(changing)).toBe(masterKeyId(after));
    expect(masterKeyId(changing)).not.toBe(masterKeyId(before));
    expect(masterKeyId(before)).toMatch(/^[0-9a-f]{16}$/);
    expect(Buffer.from(OLD, "base64").toString("hex")).not.toContain(masterKeyId(before));
  });
});

describe("what is sealed", () => {
  const sealed = seal(keys(before), "agents.test/s1", WORDS);

  test("before the change opens while the previous key is there, and not without", () => {
    expect(read(open(keys(changing), "agents.test/s1", sealed))).toBe("a private key");
    expect(() => open(keys(after), "agents.test/s1", sealed)).toThrow();
  });

  test("during the change is under the new key alone", () => {
    const later = seal(keys(changing), "agents.test/s1", WORDS);
    expect(read(open(keys(after), "agents.test/s1", later))).toBe("a private key");
    expect(() => open(keys(before), "agents.test/s1", later)).toThrow();
  });

  test("opens on both sides of the swap, when first the new key is the other one", () => {
    const accepting: MasterKeys = { MASTER_KEY: OLD, MASTER_KEY_PREVIOUS: NEW };
    for (const [by, reader] of [
      [accepting, changing],
      [changing, accepting],
    ] as const) {
      expect(read(open(keys(reader), "c", seal(keys(by), "c", WORDS)))).toBe("a private key");
    }
  });

  test("fails under two keys as it fails under one", () => {
    const failure = (master: MasterKeys) => {
      try {
        open(keys(master), "agents.test/s1", sealed);
      } catch (error) {
        return String(error);
      }
      throw new Error("it opened");
    };
    expect(failure({ MASTER_KEY: NEW, MASTER_KEY_PREVIOUS: THIRD })).toBe(failure(after));
  });

  test.each([
    ["another context", "agents.test/s2", sealed],
    [
      "a changed byte",
      "agents.test/s1",
      { ...sealed, ct: `A${sealed.ct.slice(1)}` === sealed.ct ? `B${sealed.ct.slice(1)}` : `A${sealed.ct.slice(1)}` },
    ],
    ["a cut tag", "agents.test/s1", { ...sealed, ct: Buffer.from(sealed.ct, "base64").subarray(1).toString("base64") }],
  ])("does not open with %s, whatever keys there are", (_what, context, given) => {
    expect(() => open(keys(changing), context, given)).toThrow();
    expect(() => reseal(keys(changing), context, given)).toThrow();
  });
});

describe("resealing", () => {
  test("brings it under the new key once, and leaves it alone from then on", () => {
    const sealed = seal(keys(before), "c", WORDS);
    const moved = reseal(keys(changing), "c", sealed);
    if (moved === null) throw new Error("it was left under the old key");
    expect(read(open(keys(after), "c", moved))).toBe("a private key");
    expect(() => open(keys(before), "c", moved)).toThrow();
    expect(reseal(keys(changing), "c", moved)).toBeNull();
    expect(reseal(keys(after), "c", moved)).toBeNull();
  });

  test("of a wrapped data key keeps the data key, so that what it sealed still opens", () => {
    const key = newDataKey("em_1");
    const wrapped = wrapDataKey(before, key);
    const moved = rewrapDataKey(keys(changing, "data-key"), "em_1", wrapped) ?? "";
    expect(unwrapDataKey(after, "em_1", moved)).toEqual(key);
    expect(() => unwrapDataKey(before, "em_1", moved)).toThrow();
    expect(() => rewrapDataKey(keys(changing, "data-key"), "em_2", wrapped)).toThrow();
    expect(rewrapDataKey(keys(changing, "data-key"), "em_1", moved)).toBeNull();
  });
});

describe("a form's secret", () => {
  const given = csrfSecret(before, "token", "content");

  test.each<[string, MasterKeys, boolean]>([
    ["before the change", before, true],
    ["during the change", changing, true],
    ["once the previous key is removed", after, false],
  ])("of a page that was opened before the change, %s", (_when, master, taken) => {
    expect(isCsrfSecret(given, master, "token", "content")).toBe(taken);
  });

  test("is no other link's and no other content's, under either key", () => {
    expect(isCsrfSecret(given, changing, "another", "content")).toBe(false);
    expect(isCsrfSecret(given, changing, "token", "changed")).toBe(false);
    for (const wrong of ["", given.slice(1), csrfSecret({ MASTER_KEY: THIRD }, "token", "content")]) {
      expect(isCsrfSecret(wrong, changing, "token", "content")).toBe(false);
    }
  });

  test("of a page that is opened now holds when the previous key is gone", () => {
    expect(isCsrfSecret(csrfSecret(changing, "token", "content"), after, "token", "content")).toBe(true);
  });
});
