import "../../src/mail/digest-names-in-workerd.ts";
import fc from "fast-check";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { describe, expect, it } from "vitest";
import { HEADER } from "../../src/identity/header-form.ts";
import { composeMessage } from "../../src/mail/compose.ts";
import { type DkimKey, dkimDnsRecord, generateDkimKeys, txtStrings } from "../../src/mail/dkim-keys.ts";
import { type DkimSigningKey, signDkim } from "../../src/mail/dkim-sign.ts";
import { ADDITIONS, CHANGES, changed, messageWithEveryHeader, SIGNED_AT, SIGNING_DOMAIN } from "./dkim-changes.ts";

const DOMAIN = SIGNING_DOMAIN;
const NOW = SIGNED_AT;

/** The keys' records as a zone, in strings as published. */
function zoneOf(keys: readonly DkimKey[]): Map<string, string[][]> {
  return new Map(
    keys.map((key) => {
      const record = dkimDnsRecord(DOMAIN, key);
      return [record.name, [txtStrings(record.value)]];
    }),
  );
}

async function verify(raw: Uint8Array, keys: readonly DkimKey[]): Promise<string[]> {
  const zone = zoneOf(keys);
  const resolver = async (name: string, type: string) => {
    const answer = type === "TXT" ? zone.get(name) : undefined;
    if (!answer) throw Object.assign(new Error("not found"), { code: "ENOTFOUND" });
    return answer;
  };
  const { results } = await dkimVerify(Buffer.from(raw), { resolver, curTime: NOW });
  return results.map((result) => `${result.algo} ${result.status?.result} ${result.status?.aligned}`);
}

const keys = generateDkimKeys();
const signingKeys: DkimSigningKey[] = keys.map((key) => ({ domain: DOMAIN, ...key }));

function composed(): Promise<Uint8Array> {
  return composeMessage({
    content: {
      from: { name: "Ada Ågent", address: `a@${DOMAIN}` },
      reply_to: [],
      to: [{ name: null, address: "b@x.example" }],
      cc: [],
      bcc: [{ name: null, address: "hidden@x.example" }],
      subject: "Grüße 🎉",
      text: "one\n\n  two  \n\n\n",
      html: "<p>one</p>",
      attachments: [],
      in_reply_to: null,
      references: [],
    },
    attachments: [],
    message_id: "<em_1@sender.example>",
    date: NOW,
    extra_headers: [["X-MultiMail-Agent-Id", "ada"]],
  });
}

const text = (raw: Uint8Array): string => Buffer.from(raw).toString("latin1");
const unfolded = (raw: Uint8Array): string =>
  text(raw)
    .split("\r\n\r\n")[0]
    ?.replace(/\r\n[ \t]+/g, " ") ?? "";

/** The same in Node and in workerd. */
export function describeDkim(): void {
  describe("DKIM signatures", () => {
    it("one per key, each verified by its published record, before the message as it was", async () => {
      const raw = await composed();
      const signed = await signDkim(raw, signingKeys, NOW);
      expect(await verify(signed, keys)).toEqual([`rsa-sha256 pass ${DOMAIN}`, `ed25519-sha256 pass ${DOMAIN}`]);
      expect(text(signed).endsWith(text(raw))).toBe(true);
      expect(
        Math.max(
          ...text(signed)
            .split("\r\n")
            .map(({ length }) => length),
        ),
      ).toBeLessThanOrEqual(998);
    });

    it("are relaxed/relaxed, without l=, at the time given", async () => {
      const header = unfolded(await signDkim(await composed(), signingKeys.slice(0, 1), NOW)).split("\r\n")[0];
      expect(header).toContain("c=relaxed/relaxed");
      expect(header).toContain(`t=${NOW.getTime() / 1000}`);
      expect(header).not.toMatch(/\bl=/);
    });

    it.each(CHANGES.map((change) => [change.what, change] as const))("after %s", async (what, change) => {
      const signed = await signDkim(await messageWithEveryHeader(), signingKeys, NOW);
      const forged = changed(signed, change);
      if (what !== "nothing") expect(text(forged)).not.toBe(text(signed));
      const verdicts = await verify(forged, keys);
      expect(verdicts.map((verdict) => verdict.includes("pass"))).toEqual(keys.map(() => change.survives));
    });

    it.each(ADDITIONS.map((change) => [change.what, change] as const))(
      "break after %s to a message that had none",
      async (_what, change) => {
        const least = Buffer.from(`From: a@${DOMAIN}\r\n\r\none\r\n`);
        const forged = changed(await signDkim(least, signingKeys, NOW), change);
        for (const verdict of await verify(forged, keys)) expect(verdict).not.toContain("pass");
      },
    );

    it("survive any folding and any white space between words", async () => {
      const signed = text(await signDkim(await messageWithEveryHeader(), signingKeys, NOW));
      const end = signed.indexOf("\r\n\r\n");
      const spaces = fc.constantFrom(" ", "  ", "\t", " \t ", "\r\n ", "\r\n\t", " \r\n   ");
      await fc.assert(
        fc.asyncProperty(fc.array(spaces, { minLength: 40, maxLength: 40 }), async (drawn) => {
          let at = 0;
          const head = signed.slice(0, end).replace(/(?<=\S)(?:\r\n)?[ \t]+(?=\S)/g, () => drawn[at++ % 40] ?? " ");
          const verdicts = await verify(Buffer.from(head + signed.slice(end), "latin1"), keys);
          for (const verdict of verdicts) expect(verdict).toContain("pass");
        }),
        { numRuns: 20 },
      );
    });

    it("break when any octet of a word changes", async () => {
      const signed = text(await signDkim(await messageWithEveryHeader(), signingKeys, NOW));
      const start = signed.indexOf(`\r\n${HEADER.identity}:`);
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: start + 2, max: signed.length - 1 }), async (at) => {
          const octet = signed.charAt(at);
          if (!/[!-~]/.test(octet) || octet === ":") return;
          const swapped = /[a-z]/i.test(octet) ? "0" : "q";
          const forged = signed.slice(0, at) + swapped + signed.slice(at + 1);
          const verdicts = await verify(Buffer.from(forged, "latin1"), keys);
          for (const verdict of verdicts) expect(verdict).not.toContain("pass");
        }),
        { numRuns: 60 },
      );
    });

    it("are not made for another domain's From, for two, or for none", async () => {
      const raw = text(await composed());
      for (const changed of [
        raw.replace(`a@${DOMAIN}`, "a@other.example"),
        raw.replace(`a@${DOMAIN}`, `a@not${DOMAIN}`),
        `From: b@${DOMAIN}\r\n${raw}`,
        raw.replace(/^From: .*\r\n/m, ""),
      ]) {
        await expect(signDkim(Buffer.from(changed, "latin1"), signingKeys, NOW)).rejects.toThrow(
          /does not sign|failed/,
        );
      }
      const child = Buffer.from(raw.replace(`a@${DOMAIN}`, `a@sub.${DOMAIN}`), "latin1");
      expect(await signDkim(child, signingKeys, NOW)).toBeInstanceOf(Uint8Array);
    });

    it("that fail are errors, not left out", async () => {
      const raw = await composed();
      const [rsa, ed25519] = signingKeys as [DkimSigningKey, DkimSigningKey];
      await expect(signDkim(raw, [rsa, { ...ed25519, private_key_pem: "none" }], NOW)).rejects.toThrow("failed");
      await expect(signDkim(raw, [{ ...rsa, algorithm: "ed25519-sha256" }], NOW)).rejects.toThrow("failed");
      await expect(signDkim(raw, [{ ...rsa, selector: "a; d=evil.example" }], NOW)).rejects.toThrow("failed");
    });

    it("without keys leave the message as it is", async () => {
      const raw = await composed();
      expect(await signDkim(raw, [], NOW)).toBe(raw);
    });

    it("fit a message of 1 MiB that has no body line end", async () => {
      const raw = Buffer.concat([Buffer.from(`From: a@${DOMAIN}\r\n\r\n`), Buffer.alloc(1 << 20, "x")]);
      for (const verdict of await verify(await signDkim(raw, signingKeys, NOW), keys))
        expect(verdict).toContain("pass");
    });
  });
}
