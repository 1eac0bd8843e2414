import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CUSTOMER_DOMAIN } from "../../dev/senders.ts";
import { type DkimKey, dkimDnsRecord, generateDkimKeys } from "../../src/mail/dkim-keys.ts";
import { type DkimSigningKey, signDkim } from "../../src/mail/dkim-sign.ts";
import {
  ADDITIONS,
  CHANGES,
  type Change,
  changed,
  messageWithEveryHeader,
  OVERSIGNED_HEADERS,
  SIGNED_AT,
  SIGNING_DOMAIN,
} from "../support/dkim-changes.ts";
import { IdentityWorld } from "./identity-world.ts";
import { type DkimPythonVerdict, dkimPythonVerify, hasDkimPython } from "./python.ts";

/** What is DKIM-signed here, judged by dkimpy. MULTIMAIL_PYTHON names an interpreter that has it, with PyNaCl. */

const ALGORITHMS = ["rsa-sha256", "ed25519-sha256"];
const LEAST = Buffer.from(`From: a@${SIGNING_DOMAIN}\r\n\r\none\r\n`);

describe.skipIf(!hasDkimPython)("dkimpy, of what is signed", () => {
  let folder: string;
  let zone: string;
  const keys: DkimKey[] = generateDkimKeys();
  const signingKeys: DkimSigningKey[] = keys.map((key) => ({ domain: SIGNING_DOMAIN, ...key }));

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "dkim-python-"));
    zone = file("zone.json", JSON.stringify(zoneOf(keys)));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function zoneOf(published: readonly DkimKey[]): Record<string, string> {
    return Object.fromEntries(
      published.map((key) => {
        const { name, value } = dkimDnsRecord(SIGNING_DOMAIN, key);
        return [name.toLowerCase(), value];
      }),
    );
  }

  function file(name: string, content: string | Uint8Array): string {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  }

  /** Each change of one signed message, with what dkimpy then says of its signatures. */
  function judgedAfter(signed: Uint8Array, changes: readonly Change[]): [Change, DkimPythonVerdict[]][] {
    const files = changes.map((change, index) => file(`${index}.eml`, changed(signed, change)));
    const verdicts = dkimPythonVerify(zone, ...files);
    return changes.map((change, index) => [change, verdicts[index] ?? []]);
  }

  it("both signatures pass as they are, relaxed/relaxed, aligned and without l=", async () => {
    const signed = await signDkim(await messageWithEveryHeader(), signingKeys, SIGNED_AT);
    const [verdicts = []] = dkimPythonVerify(zone, file("signed.eml", signed));
    expect(verdicts.map(({ algorithm }) => algorithm)).toEqual(ALGORITHMS);
    expect(verdicts.map(({ selector }) => selector)).toEqual(keys.map(({ selector }) => selector));
    for (const { passes, domain, tags, headers } of verdicts) {
      expect(passes).toBe(true);
      expect(domain).toBe(SIGNING_DOMAIN);
      expect(tags).not.toContain("l");
      // Each once for the header that is there, and once more for one that is not.
      const twice = OVERSIGNED_HEADERS.filter((name) => headers.filter((each) => each === name).length === 2);
      expect(twice).toEqual(OVERSIGNED_HEADERS);
    }
    expect(
      Buffer.from(signed)
        .toString("latin1")
        .match(/c=relaxed\/relaxed/g),
    ).toHaveLength(2);
  });

  it("they hold after what is harmless, and after nothing else", async () => {
    const signed = await signDkim(await messageWithEveryHeader(), signingKeys, SIGNED_AT);
    const judged = judgedAfter(signed, CHANGES);
    const passing = judged.map(([{ what }, verdicts]) => [what, verdicts.map(({ passes }) => passes)]);
    expect(passing).toEqual(CHANGES.map(({ what, survives }) => [what, ALGORITHMS.map(() => survives)]));
  });

  it("no header can be added that was not there", async () => {
    const judged = judgedAfter(await signDkim(LEAST, signingKeys, SIGNED_AT), [
      { what: "nothing", survives: true, apply: (signed) => signed },
      ...ADDITIONS,
    ]);
    const passing = judged.map(([{ what }, verdicts]) => [what, verdicts.map(({ passes }) => passes)]);
    expect(passing).toEqual(passing.map(([what]) => [what, ALGORITHMS.map(() => what === "nothing")]));
  });

  it("no other key verifies them", async () => {
    const signed = file("signed.eml", await signDkim(LEAST, signingKeys, SIGNED_AT));
    const others = generateDkimKeys().map((key, index) => ({ ...key, selector: keys[index]?.selector ?? "" }));
    for (const published of [others, []]) {
      const [verdicts = []] = dkimPythonVerify(file("other.json", JSON.stringify(zoneOf(published))), signed);
      expect(verdicts.map(({ passes }) => passes)).toEqual([false, false]);
    }
  });
});

describe.skipIf(!hasDkimPython)("dkimpy, of what leaves the world by its relay", () => {
  const ALICE = `alice@${CUSTOMER_DOMAIN}`;
  let world: IdentityWorld;
  beforeAll(async () => {
    world = await IdentityWorld.start();
  });
  afterAll(() => world?.stop());

  it("passes by the zone that the world publishes, for the domain in From", async () => {
    const files = await Promise.all(
      [
        { subject: "🎉 Grüße", markdown: "**One**\n\n.\n.dot\n\n\n" },
        { subject: "", text: "" },
        { subject: "Files", text: "See.", attachments: [{ name: "a.txt", content_base64: btoa("a\r\n.\r\nb") }] },
      ].map(async (message, index) => {
        const id = await world.send("autonomous", { to: [ALICE], ...message });
        return world.write(`sent-${index}.eml`, Buffer.from((await world.delivered(id, ALICE)).raw));
      }),
    );
    const zones = JSON.parse(readFileSync(world.world.zones_file, "utf8")) as Record<string, { TXT?: string[] }>;
    const published = Object.entries(zones).map(([name, { TXT = [] }]) => [name.toLowerCase(), TXT.join("")]);
    const zone = world.write("zone.json", JSON.stringify(Object.fromEntries(published)));
    const domain = world.mailbox("autonomous").address.split("@")[1];
    for (const verdicts of dkimPythonVerify(zone, ...files)) {
      expect(verdicts.map(({ algorithm, passes }) => `${algorithm} ${passes}`)).toEqual(
        ALGORITHMS.map((algorithm) => `${algorithm} true`),
      );
      expect(verdicts.every((verdict) => verdict.domain === domain)).toBe(true);
    }
  });
});
