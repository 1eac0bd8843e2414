import { env } from "cloudflare:workers";
import { setZones, type Zones } from "./domain-zones.ts";

/** The world that recipients' domains are looked up in: DNS, RDAP, and what both were asked. */

declare global {
  namespace Cloudflare {
    interface Env {
      DNS_ASKED_URL: string;
      REGISTRATIONS_URL: string;
    }
  }
}

/** The blocklist that the tests' deployment asks. */
export const BLOCKLIST = "dbl.agents.test";

/** @returns the names that were asked for, by DNS or RDAP, which are this one or below it, in order. */
export async function askedUnder(name: string): Promise<string[]> {
  const answer = await fetch(`${env.DNS_ASKED_URL}?${new URLSearchParams({ under: name })}`);
  if (!answer.ok) throw new Error(`the DNS of the tests answered ${answer.status}`);
  return answer.json();
}

/** Sets since when domains are registered; null: RDAP does not know them; `silent`: it never answers. */
export async function setRegistrations(registrations: Record<string, string | null>): Promise<void> {
  const answer = await fetch(env.REGISTRATIONS_URL, { method: "POST", body: JSON.stringify(registrations) });
  if (!answer.ok) throw new Error(`the RDAP of the tests answered ${answer.status}`);
}

/** Publishes a domain that nothing speaks against, but for what `more` says of it. */
export async function honestDomain(domain: string, more: Zones = {}): Promise<void> {
  await setZones({
    [domain]: { MX: [`10 mx.${domain}`], TXT: ["v=spf1 -all"] },
    [`_dmarc.${domain}`]: { TXT: ["v=DMARC1; p=reject"] },
    ...more,
  });
  await setRegistrations({ [domain]: "2009-04-17T08:00:00Z" });
}
