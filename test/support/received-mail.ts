import { env } from "cloudflare:workers";

/** A mail that a relay of the tests took. */
export interface RelayedMail {
  envelope: { from: string; to: string[] };
  raw: string;
}

declare global {
  namespace Cloudflare {
    interface Env {
      SMTP_RECEIVED_URL: string;
    }
  }
}

/** @returns what the tests' relay took for an address, oldest first; `raw` with its bytes as latin1. */
export async function receivedFor(address: string): Promise<RelayedMail[]> {
  const answer = await fetch(`${env.SMTP_RECEIVED_URL}?to=${encodeURIComponent(address)}`);
  const mails = (await answer.json()) as RelayedMail[];
  return mails.map((mail) => ({ ...mail, raw: Buffer.from(mail.raw, "base64").toString("latin1") }));
}
