import type { MailboxRpc } from "../../../durable-objects/mailbox-rpc.ts";
import type { MasterKeys } from "../../store/secrets.ts";

/** What a mailbox object answers about decision links. */
export type Links = Pick<MailboxRpc, "openLink" | "noteRefusedByLink" | "decideByLink">;

/** The part of the worker's environment that decision links need; the whole `Env` is one. */
export interface ApproveEnv extends MasterKeys {
  MAILBOX: { getByName(routing: string): Links };
  STORE: {
    get(key: string): Promise<{ body: ReadableStream; size: number } | null>;
    head(key: string): Promise<{ size: number } | null>;
  };
  PUBLIC_URL: string;
}

/** Storage that does not answer, told apart from mistakes of ours. */
export class Unavailable extends Error {}

/**
 * Calls the mailbox. An object that was reset breaks its old stub once, so a second stub gets a second try.
 * @returns the answer, and whether the first try may have taken effect unheard.
 * @throws {Unavailable} if both fail.
 */
export async function askMailbox<T>(
  env: ApproveEnv,
  routing: string,
  call: (links: Links) => Promise<T>,
): Promise<{ value: T; retried: boolean }> {
  let first: unknown;
  try {
    return { value: await call(env.MAILBOX.getByName(routing)), retried: false };
  } catch (error) {
    first = error;
  }
  try {
    return { value: await call(env.MAILBOX.getByName(routing)), retried: true };
  } catch (second) {
    const errors = { first: String(first), second: String(second) };
    console.error("decision page: the mailbox does not answer", { routing, ...errors });
    throw new Unavailable("the mailbox does not answer", { cause: second });
  }
}

/** @returns an attachment's number, as a path gives it; undefined if it gives none. */
export function attachmentNumber(index: string | undefined): number | undefined {
  return /^(?:0|[1-9]\d{0,3})$/.test(index ?? "") ? Number(index) : undefined;
}

/**
 * Fetches an attachment, or only its size where a HEAD asks.
 * @throws {Unavailable} if the store fails, or does not hold what the mailbox says it holds.
 */
export async function fetchFile(
  env: ApproveEnv,
  key: string,
  sizeOnly: boolean,
): Promise<{ body: ReadableStream | null; size: number }> {
  let stored: { body?: ReadableStream; size: number } | null;
  try {
    stored = sizeOnly ? await env.STORE.head(key) : await env.STORE.get(key);
  } catch (error) {
    console.error("decision page: the store does not answer", { key, error: String(error) });
    throw new Unavailable("the store does not answer", { cause: error });
  }
  if (stored) return { body: stored.body ?? null, size: stored.size };
  console.error("decision page: an attachment is missing from the store", { key });
  throw new Unavailable("an attachment is missing from the store");
}
