import { createHash, generateKeyPairSync, sign } from "node:crypto";
import type { ARCData } from "mailauth";
import { arc } from "mailauth/lib/arc/index.js";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { describe, expect, test } from "vitest";
import { MAX_ARC_SETS } from "../../src/mail/arc-chain.ts";
import { type ArcSealing, sealArc } from "../../src/mail/arc-seal.ts";
import { authenticateMessage, type JudgedMessage } from "../../src/mail/authenticate.ts";
import { MAX_HEADER_OCTETS } from "../../src/mail/authenticate-octets.ts";
import type { DkimSigningKey } from "../../src/mail/dkim-sign.ts";
import { DnsError, type Resolver } from "../../src/mail/dns-over-https.ts";
import {
  onTheWire,
  type SealingCase,
  type SealingScenario,
  sealingScenarios,
  txtResolver,
} from "../support/arc-suite.ts";

const AUTHSERV = "mx.agents.test";
const NOW = 1_790_000_000_000;

const PAIRS = {
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ed25519: generateKeyPairSync("ed25519"),
};

function keyOf(kind: keyof typeof PAIRS, domain: string): DkimSigningKey {
  return {
    domain,
    selector: kind,
    algorithm: kind === "rsa" ? "rsa-sha256" : "ed25519-sha256",
    private_key_pem: PAIRS[kind].privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

const spki = (kind: keyof typeof PAIRS) => PAIRS[kind].publicKey.export({ type: "spki", format: "der" });
const RECORDS: Record<string, string> = {};
for (const domain of ["hop.example", "list.example"]) {
  RECORDS[`rsa._domainkey.${domain}`] = `v=DKIM1; k=rsa; p=${spki("rsa").toString("base64")}`;
  RECORDS[`ed25519._domainkey.${domain}`] = `v=DKIM1; k=ed25519; p=${spki("ed25519").subarray(-32).toString("base64")}`;
}
const DNS = txtResolver(RECORDS);

const MAIL = [
  "From: Ann <ann@bank.example>",
  "To: agent@agents.test",
  "Subject: A subject that was\r\n folded on its way",
  "Date: Fri, 25 Sep 2026 05:07:50 +0000",
  "Message-ID: <1@bank.example>",
  "Content-Type: text/plain",
  "",
  "Please pay 5 euros.  ",
  "",
  "",
].join("\r\n");

async function arrived(raw: Uint8Array, dns: Resolver = DNS): Promise<JudgedMessage> {
  return await authenticateMessage(
    {
      raw,
      envelope_from: "ann@bank.example",
      client: null,
      from: [{ name: "Ann", address: "ann@bank.example" }],
      mta: AUTHSERV,
      now: NOW,
    },
    dns,
  );
}

/** Judges and seals, as a hop does. */
async function passedOn(raw: Uint8Array, change: Partial<ArcSealing> = {}): Promise<Uint8Array> {
  const key = keyOf("rsa", "hop.example");
  return await sealArc(raw, { key, verdicts: await arrived(raw), authserv_id: AUTHSERV, now: NOW, ...change });
}

const textOf = (raw: Uint8Array) => Buffer.from(raw).toString("latin1");
const field = (raw: Uint8Array, name: string) =>
  new RegExp(`^${name}:((?:[^\\n]|\\n[ \\t])*)\\n`, "im").exec(textOf(raw))?.[1]?.replace(/\s+/g, " ").trim() ?? "";
const tag = (list: string, name: string) => new RegExp(`(?:^|; ?)${name}=([^;]*)`).exec(list)?.[1]?.replace(/\s/g, "");

/** The library's own validator, apart from our checks. */
async function byLibrary(raw: Uint8Array, resolver: Resolver = DNS): Promise<string> {
  const { arc: data } = await dkimVerify(Buffer.from(raw), { resolver, strict: true } as never);
  return (await arc(data as ARCData, { resolver, strict: true })).status.result;
}

describe("ValiMail's suite, sealing", () => {
  const SCENARIOS = sealingScenarios();
  test("is whole", () => {
    expect(SCENARIOS.flatMap(({ tests }) => Object.keys(tests))).toHaveLength(17);
  });

  /**
   * The suite writes down its own sealer's order of tags, its choice of header fields (`sig-headers`), and results copied from
   * an Authentication-Results field. Ours come from what we verified ourselves, so `h` and the results differ, and with them
   * `b`; every other tag is as the suite has it.
   */
  const COMPARED = { AS: ["a", "cv", "d", "i", "s", "t"], AMS: ["a", "bh", "c", "d", "i", "s", "t"] };
  const NAMES = { AS: "ARC-Seal", AMS: "ARC-Message-Signature" } as const;

  const judged = (raw: Uint8Array, scenario: SealingScenario) =>
    authenticateMessage(
      {
        ...{ raw, envelope_from: "", client: null, mta: "lists.example.org", now: 12_345_000 },
        from: [{ name: "John Q Doe", address: "jqd@d1.example.org" }],
      },
      txtResolver(scenario["txt-records"] ?? {}),
    );

  async function sealed(scenario: SealingScenario, each: SealingCase): Promise<Uint8Array> {
    const raw = onTheWire(each.message);
    return await sealArc(raw, {
      key: {
        ...{ domain: scenario.domain, selector: scenario.sel, algorithm: "rsa-sha256" as const },
        private_key_pem: scenario.privatekey,
      },
      verdicts: await judged(raw, scenario),
      authserv_id: each["srv-id"],
      now: each.t * 1000,
    });
  }

  describe.each(SCENARIOS.map((scenario) => [scenario.description.trim(), scenario] as const))("%s", (_, scenario) => {
    test.each(Object.entries(scenario.tests))("%s", async (_name, each) => {
      const raw = onTheWire(each.message);
      const out = await sealed(scenario, each);
      if (each.AS === "") {
        expect(textOf(out)).toBe(textOf(raw));
        return;
      }
      expect(textOf(out).endsWith(textOf(raw))).toBe(true);
      for (const kind of ["AS", "AMS"] as const) {
        const [ours, theirs] = [field(out, NAMES[kind]), each[kind].replace(/\s+/g, " ").trim()];
        for (const name of COMPARED[kind])
          expect([kind, name, tag(ours, name)]).toEqual([kind, name, tag(theirs, name)]);
      }
      const covered = tag(field(out, NAMES.AMS), "h")?.toLowerCase().split(":");
      expect(covered).toEqual(expect.arrayContaining(each["sig-headers"].split(":")));
      const instance = `i=${tag(each.AS.replace(/\s+/g, " "), "i")}`;
      expect(field(out, "ARC-Authentication-Results")).toMatch(new RegExp(`^${instance}; ${each["srv-id"]}; arc=`));
      const cv = tag(each.AS.replace(/\s+/g, " "), "cv");
      expect((await judged(out, scenario)).arc_result).toBe(cv === "fail" ? "fail" : "pass");
    });
  });
});

describe("a sealed message", () => {
  test.each(["rsa", "ed25519"] as const)("is valid by the library's validator and by ours, with %s", async (kind) => {
    const out = await passedOn(Buffer.from(MAIL), { key: keyOf(kind, "hop.example") });
    expect(textOf(out).endsWith(MAIL)).toBe(true);
    expect(await byLibrary(out)).toBe("pass");
    expect((await arrived(out)).checks.arc).toMatchObject({ result: "pass", domain: "hop.example" });
  });

  test("says what was found on arrival, in results that the next hop can read", async () => {
    const verdicts = {
      ...(await arrived(Buffer.from(MAIL))),
      ...{ spf_result: "pass", spf_domain: "bank.example", dmarc_result: "pass", dmarc_policy: "reject" },
      dkim_signatures: [
        {
          ...{ result: "pass" as const, domain: "bank.example", selector: "s1", algorithm: "rsa-sha256" },
          ...{ key_bits: 2048, body_length_limited: false, aligned: true, comment: null },
        },
      ],
    };
    const out = await passedOn(Buffer.from(MAIL), { verdicts });
    expect(field(out, "ARC-Authentication-Results")).toBe(
      "i=1; mx.agents.test; arc=none; dkim=pass header.d=bank.example header.s=s1 header.a=rsa-sha256; " +
        "spf=pass smtp.mailfrom=bank.example; dmarc=pass policy.published-domain-policy=reject header.from=bank.example",
    );
    expect((await arrived(out)).checks.arc.sealers).toEqual([
      {
        ...{ instance: 1, domain: "hop.example", signed_message: true },
        ...{ arc: "none", dmarc: "pass", dmarc_from: "bank.example" },
      },
    ]);
  });

  test("names nothing that the writer of the message could have made up into a result", async () => {
    const verdicts = {
      ...(await arrived(Buffer.from(MAIL))),
      ...{ spf_domain: 'x;\r\n dmarc=pass" header.from=bank.example', spf_result: "fail" },
    };
    const results = field(await passedOn(Buffer.from(MAIL), { verdicts }), "ARC-Authentication-Results");
    expect(results).toContain("; spf=fail; dmarc=none");
    expect(results).not.toContain("dmarc=pass");
  });

  test("covers the whole body and no trace fields", async () => {
    const signature = field(
      await passedOn(Buffer.from(`Received: from x\r\nAuthentication-Results: y; dkim=pass\r\n${MAIL}`)),
      "ARC-Message-Signature",
    );
    expect(tag(signature, "l")).toBeUndefined();
    expect(tag(signature, "c")).toBe("relaxed/relaxed");
    expect(tag(signature, "h")?.toLowerCase().split(":").sort()).toEqual([
      "content-type",
      "date",
      "from",
      "message-id",
      "subject",
      "to",
    ]);
  });

  test("covers what a reader sees unless a field comes twice, of which readers show the first and signers sign the last", async () => {
    const twice = Buffer.from(`Subject: Another subject\r\n${MAIL}`);
    expect((await arrived(await passedOn(Buffer.from(MAIL)))).checks.arc.covers_message).toBe(true);
    const out = Buffer.from(`Subject: Another subject\r\n${textOf(await passedOn(twice))}`, "latin1");
    expect((await arrived(await passedOn(twice))).checks.arc).toMatchObject({ result: "pass", covers_message: false });
    expect((await arrived(out)).checks.arc.covers_message).toBe(false);
  });

  test("whose message signature is another domain's is not said to be signed by its sealer", async () => {
    const first = await passedOn(Buffer.from(MAIL), { key: keyOf("rsa", "list.example") });
    const signature = /^ARC-Message-Signature:(?:[^\n]|\n[ \t])*\n/m.exec(textOf(first))?.[0] ?? "";
    const results = /^ARC-Authentication-Results:(?:[^\n]|\n[ \t])*\n/m.exec(textOf(first))?.[0] ?? "";
    const relaxed = (line: string) =>
      line
        .replace(/\r\n/g, "")
        .replace(/^([^:]+):\s*/, (_, name) => `${name.toLowerCase()}:`)
        .replace(/[ \t]+/g, " ")
        .trim();
    const seal = "ARC-Seal: i=1; a=ed25519-sha256; t=1790000000; cv=none; d=hop.example; s=ed25519; b=";
    const signed = `${relaxed(results)}\r\n${relaxed(signature)}\r\n${relaxed(seal)}`;
    const b = sign(null, createHash("sha256").update(signed, "latin1").digest(), PAIRS.ed25519.privateKey).toString(
      "base64",
    );
    const sealed = Buffer.from(`${seal}${b}\r\n${signature}${results}${MAIL}`, "latin1");
    const found = (await arrived(sealed)).checks.arc;
    expect(found.result).toBe("pass");
    expect(found.sealers).toMatchObject([{ domain: "hop.example", signed_message: false }]);
  });

  test.each<[string, (text: string) => string]>([
    ["the body", (text) => text.replace("5 euros", "6 euros")],
    ["the subject", (text) => text.replace("A subject", "Another subject")],
    ["what was found", (text) => text.replace("dkim=none", "dkim=pass")],
    ["the seal's own status", (text) => text.replace("cv=none", "cv=pass")],
  ])("is broken by a change of %s", async (_what, change) => {
    const out = textOf(await passedOn(Buffer.from(MAIL)));
    expect(change(out)).not.toBe(out);
    const verdicts = await arrived(Buffer.from(change(out), "latin1"));
    expect(verdicts.arc_result).toBe("fail");
  });
});

describe("a chain", () => {
  test("grows hop by hop and stays valid, each hop by its own key", async () => {
    let raw: Uint8Array = Buffer.from(MAIL);
    for (const domain of ["list.example", "hop.example", "list.example"]) {
      raw = await passedOn(raw, { key: keyOf("rsa", domain) });
      expect((await arrived(raw)).checks.arc).toMatchObject({ result: "pass", domain });
    }
    expect((await arrived(raw)).checks.arc.sealers.map(({ domain }) => domain)).toEqual([
      ...["list.example", "hop.example", "list.example"],
    ]);
    expect(field(raw, "ARC-Seal")).toContain("i=3; a=rsa-sha256; t=1790000000; cv=pass");
  });

  test("survives a hop that changes the message after judging it", async () => {
    const first = await passedOn(Buffer.from(MAIL), { key: keyOf("rsa", "list.example") });
    const verdicts = await arrived(first);
    const changed = Buffer.from(textOf(first).replace("Subject: A", "Subject: [list] A"), "latin1");
    expect((await arrived(changed)).arc_result).toBe("fail");
    expect((await arrived(await passedOn(changed, { verdicts }))).arc_result).toBe("pass");
  });

  test("that was broken on arrival is sealed with cv=fail over the new set alone, and then ends", async () => {
    const broken = Buffer.from(textOf(await passedOn(Buffer.from(MAIL))).replace("5 euros", "6 euros"), "latin1");
    const out = await passedOn(broken);
    expect(field(out, "ARC-Seal")).toContain("i=2; a=rsa-sha256; t=1790000000; cv=fail");
    expect((await arrived(out)).arc_result).toBe("fail");
    expect(textOf(await passedOn(out))).toBe(textOf(out));
    // RFC 8617 §5.1.2: the seal is as valid alone as it is after the broken set.
    const alone = textOf(out).slice(0, textOf(out).indexOf("ARC-Seal", 10));
    expect(alone).toContain("ARC-Authentication-Results: i=2");
  });

  test.each<[string, string]>([
    ["without a seal", "ARC-Message-Signature: i=1; a=rsa-sha256\r\nARC-Authentication-Results: i=1; x; none\r\n"],
    ["of an instance that came twice", "ARC-Seal: i=1; cv=none\r\nARC-Seal: i=1; cv=none\r\n"],
    ["that begins at 7", "ARC-Seal: i=7; cv=pass\r\n"],
  ])("%s is never said to have passed, whatever the verdicts say", async (_what, fields) => {
    const raw = Buffer.from(fields + MAIL);
    const verdicts = { ...(await arrived(raw)), arc_result: "pass" };
    expect(field(await passedOn(raw, { verdicts }), "ARC-Seal")).toContain("cv=fail");
  });

  test("of fifty sets gets no more", async () => {
    const fields = Array.from({ length: MAX_ARC_SETS }, (_, n) => `ARC-Seal: i=${n + 1}; cv=pass\r\n`).join("");
    expect(textOf(await passedOn(Buffer.from(fields + MAIL)))).toBe(fields + MAIL);
  });

  test("that could not be judged for want of the DNS is passed on as it is, neither passed nor failed", async () => {
    const raw = await passedOn(Buffer.from(MAIL));
    const dead = (async (domain: string, rrtype: string) => {
      throw new DnsError("ETIMEOUT", rrtype, domain);
    }) as unknown as Resolver;
    const verdicts = await arrived(raw, dead);
    expect(verdicts.arc_result).toBe("temperror");
    expect(textOf(await passedOn(raw, { verdicts }))).toBe(textOf(raw));
  });
});

describe("no set is added", () => {
  test.each<[string, string]>([
    ["a message without From", MAIL.replace(/^From:.*\r\n/, "")],
    ["only a body", "\r\nHello"],
    ["nothing", ""],
    ["a header section too large to judge", `X: ${"x".repeat(MAX_HEADER_OCTETS)}\r\n${MAIL}`],
  ])("to %s", async (_what, mail) => {
    expect(textOf(await passedOn(Buffer.from(mail)))).toBe(mail);
  });

  test("by a key that is none", async () => {
    const key = { ...keyOf("rsa", "hop.example"), private_key_pem: "no key" };
    await expect(passedOn(Buffer.from(MAIL), { key })).rejects.toThrow("no ARC set by rsa._domainkey.hop.example");
  });
});
