import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { dkimSign } from "mailauth/lib/dkim/sign.js";
import nodemailer from "nodemailer";
import { LOOPBACK } from "./listen.ts";
import { writePrivately } from "./world-files.ts";

/** People outside the deployment, so that mail can come in that is really signed: `customer.example` and `evil.example`. */

/** A domain outside, with the private half of the DKIM key its zone publishes. */
export interface Sender {
  domain: string;
  selector: string;
  /** PKCS #8, PEM. */
  privateKey: string;
  /** `p=` of its DNS record: base64 of the SubjectPublicKeyInfo. */
  publicKey: string;
}

/** A zones file's content. */
export type ZoneData = Record<string, Record<string, string[]>>;

export const CUSTOMER_DOMAIN = "customer.example";
export const EVIL_DOMAIN = "evil.example";
/** Where the approver and the operator have their mail; nothing is sent from it. */
export const PEOPLE_DOMAIN = "people.example";

const SELECTOR = "s1";

/** @returns the sender of `domain`, whose key is made and kept in `dir` at the first call. */
export async function loadSender(dir: string, domain: string): Promise<Sender> {
  const file = join(dir, `${domain}.json`);
  if (!existsSync(file)) {
    mkdirSync(dir, { recursive: true });
    const pair = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "der" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    const sender: Sender = {
      domain,
      selector: SELECTOR,
      privateKey: pair.privateKey,
      publicKey: pair.publicKey.toString("base64"),
    };
    await writePrivately(file, `${JSON.stringify(sender, null, 2)}\n`);
  }
  const sender: Sender = JSON.parse(readFileSync(file, "utf8"));
  return sender;
}

/** @returns what `domain` publishes: mail is taken here, sent from this machine only, and to be rejected if it fails DMARC. */
function mailZone(domain: string): ZoneData {
  return {
    [domain]: { MX: [`10 mx.${domain}`], TXT: [`v=spf1 ip4:${LOOPBACK} -all`] },
    [`mx.${domain}`]: { A: [LOOPBACK] },
    [`_dmarc.${domain}`]: { TXT: ["v=DMARC1; p=reject"] },
  };
}

/** @returns the zones of everyone outside. */
export function outsideZones(senders: Sender[]): ZoneData {
  const zones = mailZone(PEOPLE_DOMAIN);
  for (const { domain, selector, publicKey } of senders) {
    Object.assign(zones, mailZone(domain), {
      [`${selector}._domainkey.${domain}`]: { TXT: [`v=DKIM1; k=rsa; p=${publicKey}`] },
    });
  }
  return zones;
}

/**
 * Signs a message (RFC 6376).
 * @param claim the domain and selector to sign as; the sender's own unless it lies.
 * @returns the message with its DKIM-Signature on top.
 */
export async function sign(
  sender: Sender,
  raw: Buffer,
  claim: Pick<Sender, "domain" | "selector"> = sender,
): Promise<Buffer> {
  const key = { signingDomain: claim.domain, selector: claim.selector, privateKey: sender.privateKey };
  // The types want one key at the top; only those in `signatureData` are used.
  const { signatures, errors } = await dkimSign(raw, { ...key, signatureData: [key] });
  if (signatures === "") throw new Error(`Could not sign as ${claim.domain}: ${JSON.stringify(errors)}`);
  return Buffer.concat([Buffer.from(signatures), raw]);
}

/** What an SMTP server answered at the end of a transaction. */
export interface SmtpAnswer {
  code: number;
  text: string;
}

function isSmtpRefusal(error: unknown): error is Error & { responseCode: number; response: string } {
  return error instanceof Error && "responseCode" in error && typeof error.responseCode === "number";
}

/** Hands `raw` to the mail server on `port`, byte for byte. @throws Error if there is none. */
export async function submitOverSmtp(
  port: number,
  envelope: { from: string; to: string[] },
  raw: Buffer,
): Promise<SmtpAnswer> {
  const transport = nodemailer.createTransport({ host: LOOPBACK, port, ignoreTLS: true, name: "mx.customer.example" });
  try {
    const { response } = await transport.sendMail({ envelope, raw });
    return { code: Number(response.slice(0, 3)), text: response };
  } catch (error) {
    if (isSmtpRefusal(error)) return { code: error.responseCode, text: error.response };
    throw error;
  } finally {
    transport.close();
  }
}
