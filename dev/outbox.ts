import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import PostalMime, { type Email } from "postal-mime";
import type { KeptEnvelope } from "./smtp-outbound.ts";

/** Reads what the world's relay kept. */

/** One message that was handed to the relay. */
export interface KeptMail {
  file: string;
  raw: Buffer;
  envelope: KeptEnvelope;
  parsed: Email;
}

async function readMail(file: string): Promise<KeptMail> {
  const raw = readFileSync(file);
  const envelope: KeptEnvelope = JSON.parse(readFileSync(file.replace(/\.eml$/, ".json"), "utf8"));
  return { file, raw, envelope, parsed: await PostalMime.parse(raw) };
}

/** @returns the mail that went to `recipient`, oldest first. */
export async function mailTo(outboxDir: string, recipient: string): Promise<KeptMail[]> {
  const files = readdirSync(outboxDir).filter((name) => name.endsWith(".eml"));
  const mails = await Promise.all(files.sort().map((name) => readMail(join(outboxDir, name))));
  return mails.filter(({ envelope }) => envelope.to.includes(recipient));
}
