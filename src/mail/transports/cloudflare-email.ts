import { cloudflareProblem } from "./cloudflare-rules.ts";
import { responseLine } from "./response-line.ts";
import { abortOf } from "./smtp-session.ts";
import type { RecipientOutcome, Transport } from "./transport.ts";

/** `EmailMessage` of `cloudflare:email`. */
export type EmailMessageClass = new (from: string, to: string, raw: string) => EmailMessage;

/**
 * The provider's error codes that no retry changes
 * (https://developers.cloudflare.com/email-service/api/send-emails/workers-api/). Any other failure is deferred.
 */
const FINAL_CODES: ReadonlySet<string> = new Set([
  "E_VALIDATION_ERROR",
  "E_FIELD_MISSING",
  "E_TOO_MANY_RECIPIENTS",
  "E_CONTENT_TOO_LARGE",
  "E_RECIPIENT_NOT_ALLOWED",
  "E_RECIPIENT_SUPPRESSED",
  "E_HEADER_NOT_ALLOWED",
  "E_HEADER_USE_API_FIELD",
  "E_HEADER_VALUE_INVALID",
  "E_HEADER_VALUE_TOO_LONG",
  "E_HEADER_NAME_INVALID",
  "E_HEADERS_TOO_LARGE",
  "E_HEADERS_TOO_MANY",
]);

const OUT_OF_TIME = { outcome: "deferred", code: null, response: "No time was left for this recipient" } as const;

function failed(recipient: string, error: unknown): RecipientOutcome {
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const response = responseLine(`${code} ${text}`);
  return { recipient, outcome: FINAL_CODES.has(code) ? "refused" : "deferred", code: null, response };
}

/** One copy for one recipient. */
async function sendOne(
  binding: SendEmail,
  message: EmailMessage,
  recipient: string,
  signal: AbortSignal,
): Promise<RecipientOutcome> {
  try {
    signal.throwIfAborted();
    const { messageId } = await Promise.race([binding.send(message), abortOf(signal)]);
    const response = responseLine(`accepted as ${messageId}`);
    return { recipient, outcome: "accepted", code: null, response, provider_id: messageId };
  } catch (error) {
    return signal.aborted ? { recipient, ...OUT_OF_TIME } : failed(recipient, error);
  }
}

/**
 * Cloudflare's Email Service through the `send_email` binding. It sets Message-ID, Date, DKIM and the return path itself and folds
 * headers, so our signatures would not survive. One message per recipient, so that each has its own outcome, and its own id in the
 * service's events. What the service's rules do not allow is refused before it is asked.
 * @param binding the `send_email` binding.
 * @param Message `EmailMessage` of `cloudflare:email`.
 */
export function cloudflareEmail(binding: SendEmail, Message: EmailMessageClass): Transport {
  return {
    name: "cloudflare",
    preserves_bytes: false,
    // It takes no other envelope sender than the address in From.
    keeps_return_path: false,
    async deliver({ from, to }, raw, signal) {
      const problem = cloudflareProblem(raw);
      if (problem) return to.map((recipient) => ({ recipient, outcome: "refused", code: null, response: problem }));
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
      const outcomes: RecipientOutcome[] = [];
      for (const recipient of to) {
        const sender = typeof from === "string" ? from : from(recipient);
        outcomes.push(await sendOne(binding, new Message(sender, recipient, text), recipient, signal));
      }
      return outcomes;
    },
  };
}
