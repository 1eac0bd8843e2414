import { Unanswered } from "./unanswered.ts";

/** When a domain was registered, by RDAP (RFC 9082, RFC 9083). */

/** A registry's answer about one domain has some ten kilobytes. */
const MAX_ANSWER_OCTETS = 256 * 1024;

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let octets = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    octets += chunk.byteLength;
    if (octets > MAX_ANSWER_OCTETS) throw new Unanswered("failed");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Unanswered("failed", error);
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

/**
 * @param answer an RDAP answer as JSON.
 * @param domain whom it is to be about.
 * @returns when the domain was registered last, ISO 8601 (RFC 9083 §4.5).
 * @throws {Unanswered} `no_data` where it does not say.
 */
export function registrationIn(answer: unknown, domain: string): string {
  const name = member(answer, "ldhName");
  if (typeof name !== "string" || name.toLowerCase().replace(/\.$/, "") !== domain) throw new Unanswered("no_data");
  const events = member(answer, "events");
  // A domain that was deleted and registered again by somebody else is as old as its last registration.
  const dates = (Array.isArray(events) ? events : []).flatMap((event) => {
    const action = member(event, "eventAction");
    const date = member(event, "eventDate");
    const at = typeof date === "string" ? Date.parse(date) : Number.NaN;
    return (action === "registration" || action === "reregistration") && !Number.isNaN(at) ? [at] : [];
  });
  if (dates.length === 0) throw new Unanswered("no_data");
  return new Date(Math.max(...dates)).toISOString();
}

/**
 * Asks when a domain was registered.
 * @param url the server's address for domains, to which the name is added: `https://rdap.org/domain/`.
 * @param fetch carries the deadline.
 * @throws {Unanswered} `no_data` for a registry that has no RDAP or does not know the name, `failed` for every breakdown.
 */
export async function lookUpRegistration(domain: string, url: string, fetch: typeof globalThis.fetch): Promise<string> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${url}${encodeURIComponent(domain)}`, { headers: { accept: "application/rdap+json" } });
    if (!response.ok) {
      await response.body?.cancel();
      throw new Unanswered(response.status === 404 ? "no_data" : "failed");
    }
    text = await readBounded(response);
  } catch (error) {
    throw error instanceof Unanswered ? error : new Unanswered("failed", error);
  }
  return registrationIn(parsed(text), domain);
}
