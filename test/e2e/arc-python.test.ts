import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sealArc } from "../../src/mail/arc-seal.ts";
import { authenticateMessage } from "../../src/mail/authenticate.ts";
import type { DkimSigningKey } from "../../src/mail/dkim-sign.ts";
import { txtResolver } from "../support/arc-suite.ts";
import { dkimpyArc, hasDkimPython } from "./python.ts";

/** Our ARC seals, judged by dkimpy. */

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const RECORD = `v=DKIM1; k=rsa; p=${publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;
const ZONE = { "s1._domainkey.list.example": RECORD, "s1._domainkey.hop.example": RECORD };
const NOW = Date.UTC(2026, 8, 25);

const MAIL =
  "From: Ann <ann@bank.example>\r\nTo: agent@agents.test\r\nSubject: A subject\r\n that is folded\r\n" +
  "Date: Fri, 25 Sep 2026 05:07:50 +0000\r\nMessage-ID: <1@bank.example>\r\n\r\nHello  \r\n\r\n\r\n";

const keyOf = (domain: string): DkimSigningKey => ({
  ...{ domain, selector: "s1", algorithm: "rsa-sha256" },
  private_key_pem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
});

async function passedOn(raw: Uint8Array, domain: string): Promise<Uint8Array> {
  const from = [{ name: "Ann", address: "ann@bank.example" }];
  const input = { raw, envelope_from: "ann@bank.example", client: null, from, mta: domain, now: NOW };
  const verdicts = await authenticateMessage(input, txtResolver(ZONE));
  return await sealArc(raw, { key: keyOf(domain), verdicts, authserv_id: `mx.${domain}`, now: NOW });
}

function judged(...messages: Uint8Array[]): { cv: string; instances: number[] }[] {
  const folder = mkdtempSync(join(tmpdir(), "arc-"));
  const zone = join(folder, "zone.json");
  writeFileSync(zone, JSON.stringify(ZONE));
  const files = messages.map((message, index) => {
    const file = join(folder, `${index}.eml`);
    writeFileSync(file, message);
    return file;
  });
  return dkimpyArc(zone, ...files).map(({ cv, instances }) => ({ cv, instances }));
}

const change = (raw: Uint8Array) =>
  Buffer.from(Buffer.from(raw).toString("latin1").replace("Hello", "Hullo"), "latin1");

describe.skipIf(!hasDkimPython)("dkimpy, which shares no code with us", () => {
  test("finds our chains valid, hop by hop, and broken ones broken", async () => {
    const first = await passedOn(Buffer.from(MAIL), "list.example");
    const second = await passedOn(first, "hop.example");
    const third = await passedOn(second, "list.example");
    const ended = await passedOn(change(first), "hop.example");
    expect(judged(Buffer.from(MAIL), first, second, third, change(third), ended)).toEqual([
      { cv: "none", instances: [] },
      { cv: "pass", instances: [1] },
      { cv: "pass", instances: [1, 2] },
      { cv: "pass", instances: [1, 2, 3] },
      { cv: "fail", instances: expect.anything() },
      { cv: "fail", instances: expect.anything() },
    ]);
  });
});
