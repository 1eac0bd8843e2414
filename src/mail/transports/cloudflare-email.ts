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

const MAX_RESPONSE = 500;

function failed(recipient: string, error: unknown): RecipientOutcome {
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const response = `${code} ${text}`.replace(/\s+/g, " ").trim().slice(0, MAX_RESPONSE);
  return { recipient, outcome: FINAL_CODES.has(code) ? "refused" : "deferred", code: null, response };
}

/**
 * Cloudflare's Email Service through the `send_email` binding. It sets Message-ID, Date and DKIM itself and folds headers, so our
 * signatures would not survive. One message per recipient, so that each has its own outcome.
 * @param binding the `send_email` binding.
 * @param Message `EmailMessage` of `cloudflare:email`.
 */
export function cloudflareEmail(binding: SendEmail, Message: EmailMessageClass): Transport {
  return {
    name: "cloudflare",
    preserves_bytes: false,
    async deliver(envelope, raw, signal) {
      const text = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(raw);
      const outcomes: RecipientOutcome[] = [];
      for (const recipient of envelope.to) {
        if (signal.aborted) {
          outcomes.push({
            recipient,
            outcome: "deferred",
            code: null,
            response: "No time was left for this recipient",
          });
          continue;
        }
        try {
          const { messageId } = await binding.send(new Message(envelope.from, recipient, text));
          outcomes.push({ recipient, outcome: "accepted", code: null, response: `accepted as ${messageId}` });
        } catch (error) {
          outcomes.push(failed(recipient, error));
        }
      }
      return outcomes;
    },
  };
}
