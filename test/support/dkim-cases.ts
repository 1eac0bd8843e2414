import "../../src/mail/digest-names-in-workerd.ts";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { describe, expect, it } from "vitest";
import { composeMessage } from "../../src/mail/compose.ts";
import { type DkimKey, dkimDnsRecord, generateDkimKeys, txtStrings } from "../../src/mail/dkim-keys.ts";
import { type DkimSigningKey, signDkim } from "../../src/mail/dkim-sign.ts";

const DOMAIN = "sender.example";
const NOW = new Date("2026-11-21T10:00:00Z");

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

    it.each([
      ...["From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "References", "In-Reply-To"],
      ...["MIME-Version", "Content-Type", "X-MultiMail-Agent-Id"],
    ])("cover %s so that one more of it breaks them", async (name) => {
      const signed = await signDkim(await composed(), signingKeys, NOW);
      const value = name === "From" ? `evil@${DOMAIN}` : "added";
      for (const forged of [
        Buffer.concat([Buffer.from(`${name}: ${value}\r\n`), signed]),
        Buffer.from(text(signed).replace("\r\n\r\n", `\r\n${name}: ${value}\r\n\r\n`), "latin1"),
      ]) {
        for (const verdict of await verify(forged, keys)) expect(verdict).not.toContain("pass");
      }
    });

    it.each([
      ["the body", "one", "two"],
      ["the subject", "\r\nSubject: ", "\r\nSubject: x"],
      ["a recipient", "b@x.example", "c@x.example"],
    ])("break when %s changes", async (_name, from, to) => {
      const signed = await signDkim(await composed(), signingKeys, NOW);
      const changed = Buffer.from(text(signed).replace(from, to), "latin1");
      for (const verdict of await verify(changed, keys)) expect(verdict).not.toContain("pass");
    });

    it("survive refolding and white space", async () => {
      const signed = text(await signDkim(await composed(), signingKeys, NOW))
        .replace(/^To: /m, "To:\r\n   ")
        .replace(/(\r\n)+$/, "\r\n\r\n\r\n");
      for (const verdict of await verify(Buffer.from(signed, "latin1"), keys)) expect(verdict).toContain("pass");
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
