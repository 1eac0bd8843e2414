import type { MailboxRpc } from "../durable-objects/mailbox-rpc.ts";
import type { Env } from "../src/env.ts";
import { comparableAddress } from "../src/mail/address.ts";
import { type ProviderEvent, readEmailEvent } from "../src/mail/cloudflare-email-events.ts";

/**
 * The queue that Cloudflare's Email Service fills with what became of what it took: delivered, bounced, complained. Only whoever owns
 * the Cloudflare account can put a message there; even so an event counts for one recipient's copy, and only by the id that the
 * service gave us when it took that very copy.
 */

/** What it takes from outside. */
export interface ProviderEventsEnv extends Pick<Env, "DB"> {
  MAILBOX: { getByName(routing: string): Pick<MailboxRpc, "takeProviderEvent"> };
}

/**
 * An event may be faster than the commit of the answer that named its copy: so often it is looked for again. A message of the
 * deployment itself (approval requests) is nobody's mailbox's and is not looked for.
 */
const TRIES_TO_FIND = 5;
/** In seconds. */
const FIRST_PAUSE = 30;
/** After a breakdown of ours, in seconds; the queue gives up after `max_retries` of wrangler.toml. */
const LONGEST_PAUSE = 3_600;

function pauseAfter(attempts: number): number {
  return Math.min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE);
}

async function routingOf(db: D1Database, { sender }: ProviderEvent): Promise<string | null> {
  return await db
    .prepare("SELECT routing FROM mailboxes WHERE address = ?1")
    .bind(comparableAddress(sender))
    .first<string>("routing");
}

async function take(message: Message, env: ProviderEventsEnv): Promise<void> {
  const event = readEmailEvent(message.body);
  if (event === null) {
    // Never what it was subscribed to: it would be as unreadable the next time.
    console.error(`queue message ${message.id} is no event of the Email Service`);
    message.ack();
    return;
  }
  const routing = await routingOf(env.DB, event);
  const outcome = routing === null ? "nobody" : await env.MAILBOX.getByName(routing).takeProviderEvent(event);
  if (outcome === "unknown" && message.attempts < TRIES_TO_FIND) {
    message.retry({ delaySeconds: pauseAfter(message.attempts) });
  } else {
    message.ack();
  }
}

/**
 * Takes a batch of the queue. Each message is acknowledged once its event is durable, or is known to be about nothing of ours; after
 * a breakdown of ours it comes again, and no other message of the batch with it.
 */
export async function takeEmailEvents(batch: MessageBatch, env: ProviderEventsEnv): Promise<void> {
  await Promise.all(
    batch.messages.map(async (message) => {
      try {
        await take(message, env);
      } catch (error) {
        console.error(`queue message ${message.id} will come again`, error);
        message.retry({ delaySeconds: pauseAfter(message.attempts) });
      }
    }),
  );
}
