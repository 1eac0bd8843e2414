import { env } from "cloudflare:workers";
import { generateKeyPairSync } from "node:crypto";
import { receiveEmail } from "../../email-workers/inbound.ts";
import { unwrap } from "../../src/errors.ts";
import { sealArc } from "../../src/mail/arc-seal.ts";
import { authenticateMessage } from "../../src/mail/authenticate.ts";
import { type DkimSigningKey, signDkim } from "../../src/mail/dkim-sign.ts";
import { dnsOverHttps } from "../../src/mail/dns-over-https.ts";
import type { EmailSummary } from "../../src/operations/shapes/email.ts";
import { signingKeysOf } from "../../src/store/domains.ts";
import { setZones } from "./domain-zones.ts";
import { EVERYTHING, type TestMailbox } from "./mailbox-harness.ts";

/** Mail from a bank that signs, a mailbox that passes it on, and the hop after it, all over the tests' DNS. */

const PAIR = generateKeyPairSync("rsa", { modulusLength: 2048 });
/** A list server that changes subjects, and seals what it has changed. */
const HOP = `lists-${crypto.randomUUID().slice(0, 8)}.example`;
export const BANK = `bank-${crypto.randomUUID().slice(0, 8)}.example`;
export const ANN = `ann@${BANK}`;
const BANK_KEY: DkimSigningKey = {
  domain: BANK,
  selector: "s",
  algorithm: "rsa-sha256",
  private_key_pem: PAIR.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
};

/** Publishes the bank's records, and the keys that the deployment's domain has. */
export async function publishAll(): Promise<void> {
  const { results } = await env.DB.prepare("SELECT domain, dkim_keys FROM domains WHERE domain = ?")
    .bind(env.MAIL_DOMAIN)
    .all<{ domain: string; dkim_keys: string }>();
  const keys = results.flatMap(({ domain, dkim_keys }) =>
    (JSON.parse(dkim_keys) as { selector: string; algorithm: string; public_key: string }[]).map((key) => [
      `${key.selector}._domainkey.${domain}`,
      { TXT: [`v=DKIM1; k=${key.algorithm === "rsa-sha256" ? "rsa" : "ed25519"}; p=${key.public_key}`] },
    ]),
  );
  await setZones({
    ...Object.fromEntries(keys),
    [`s._domainkey.${BANK}`]: {
      TXT: [`v=DKIM1; k=rsa; p=${PAIR.publicKey.export({ type: "spki", format: "der" }).toString("base64")}`],
    },
    [`s._domainkey.${HOP}`]: {
      TXT: [`v=DKIM1; k=rsa; p=${PAIR.publicKey.export({ type: "spki", format: "der" }).toString("base64")}`],
    },
    [`_dmarc.${BANK}`]: { TXT: ["v=DMARC1; p=reject"] },
  });
}

/** The deployment's own selectors. */
export async function ownSelectors(): Promise<string[]> {
  return (await signingKeysOf(env.DB, env, env.MAIL_DOMAIN)).map(({ selector }) => selector);
}

let written = 0;

export const octets = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
export const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

/** A mail that Ann's bank signed. */
export function signedMail({ subject = "Pay", body = "Five euros.  \r\n", headers = "" } = {}): Promise<Uint8Array> {
  written += 1;
  const mail = `From: Ann <${ANN}>\r\nTo: list@${BANK}\r\nSubject: ${subject}\r\nMessage-ID: <${written}@${BANK}>\r\n${headers}\r\n${body}`;
  return signDkim(octets(mail), [BANK_KEY], new Date());
}

/** Hands a mail to the email handler, as the platform does. @returns the bytes. */
export async function arrive(
  box: TestMailbox,
  mail: string | Uint8Array,
  from = ANN,
  to = box.mailbox.address,
): Promise<Uint8Array> {
  const raw = typeof mail === "string" ? octets(mail) : mail;
  const refuse = () => Promise.reject(new Error("not used"));
  await receiveEmail(
    {
      ...{ from, to, raw: new Blob([new Uint8Array(raw)]).stream(), rawSize: raw.byteLength },
      ...{ headers: new Headers(), canBeForwarded: false, forward: refuse, reply: refuse },
      setReject: (reason) => {
        throw new Error(`refused: ${reason}`);
      },
    },
    env,
    { now: Date.now, fetch },
  );
  return raw;
}

/** What the mailbox has, the newest first. */
export async function emails(box: TestMailbox): Promise<EmailSummary[]> {
  return unwrap(await box.stub.list(box.overseer, { ...EVERYTHING, limit: 100 })).emails;
}

/** The message that arrived last. */
export async function lastArrived(box: TestMailbox): Promise<EmailSummary> {
  const found = (await emails(box)).find(({ direction }) => direction === "inbound");
  if (!found) throw new Error("nothing arrived");
  return found;
}

/** The message that was made to pass another on last. */
export async function lastSent(box: TestMailbox): Promise<EmailSummary> {
  const found = (await emails(box)).find(({ direction }) => direction === "outbound");
  if (!found) throw new Error("nothing was sent");
  return found;
}

/** What leaves a hop that writes into the subject, so that the author's signature breaks, and seals what it found before. */
export async function throughList(raw: Uint8Array, envelope_from: string): Promise<Uint8Array> {
  const verdicts = await judgeAtNextHop(raw, envelope_from);
  const changed = octets(latin1(raw).replace(/^Subject: /m, "Subject: [list] "));
  return sealArc(changed, { key: { ...BANK_KEY, domain: HOP }, verdicts, authserv_id: `mx.${HOP}`, now: Date.now() });
}

/** What the next hop finds of a mail that came to it from here. */
export function judgeAtNextHop(raw: Uint8Array, envelope_from: string) {
  return authenticateMessage(
    {
      ...{ raw, envelope_from, client: null, mta: "mx.next.example", now: Date.now() },
      from: [{ name: "Ann", address: ANN }],
    },
    dnsOverHttps(env.DOH_URL, fetch),
  );
}
