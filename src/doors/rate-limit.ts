import { isIPv6 } from "node:net";
import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";

/** How often one network address may call what takes work and asks for no key: as `[[ratelimits]]` in wrangler.toml says. */

/** Seconds; the period of the limit. */
const PERIOD = 60;
/** Who has one IPv6 address has the 2^64 beside it (RFC 6177), so they count as one. */
const IPV6_NETWORK_GROUPS = 4;

/** @param text as Cloudflare writes it. @returns the first 64 bits of an IPv6 address; any other text as it is. */
export function networkOf(text: string): string {
  if (!isIPv6(text)) return text;
  const [head = "", tail] = text.toLowerCase().split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  return [...before, ...zeros, ...after]
    .slice(0, IPV6_NETWORK_GROUPS)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}

/**
 * Counts a call. Where the deployment has no `RATE_LIMIT`, nothing is limited.
 * @throws {Refused} `rate_limited` with the seconds to wait.
 */
export async function limitRate({ RATE_LIMIT }: Pick<Env, "RATE_LIMIT">, headers: Headers): Promise<void> {
  if (!RATE_LIMIT) return;
  // Cloudflare sets it on every request and lets no client say it.
  const { success } = await RATE_LIMIT.limit({ key: networkOf(headers.get("cf-connecting-ip") ?? "") });
  if (success) return;
  throw new Refused("rate_limited", "This network address has called this too often; try again in a minute.", {
    detail: { retry_after: PERIOD },
  });
}
