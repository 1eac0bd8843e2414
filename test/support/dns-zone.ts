import { DnsError, type DnsErrorCode, type MxRecord, type Resolver } from "../../src/mail/dns-over-https.ts";

/** Zones for tests of pure functions, which take their resolver as a parameter. */

type RecordType = "A" | "AAAA" | "CNAME" | "MX" | "NS" | "SOA" | "TXT";
/** Records as in the local world's zones file (a TXT value may also be its strings), or how every look-up of the name breaks. */
export type ZoneEntry = Partial<Record<RecordType, (string | string[])[]>> | DnsErrorCode;
export type Zone = Record<string, ZoneEntry>;

function valuesOf(rrtype: string, values: readonly (string | string[])[]): MxRecord[] | string[][] | string[] {
  if (rrtype === "TXT") return values.map((value) => (Array.isArray(value) ? value : [value]));
  const texts = values.map(String);
  if (rrtype !== "MX") return texts;
  return texts.map((text) => {
    const [priority, exchange = ""] = text.split(" ");
    return { priority: Number(priority), exchange: exchange === "." ? "" : exchange };
  });
}

/**
 * @param zone by names in lower case; aliases are followed.
 * @param noted is told every question.
 */
export function zoneResolver(zone: Zone, noted: (name: string, rrtype: string) => void = () => {}): Resolver {
  const exists = (name: string) => Object.keys(zone).some((other) => other === name || other.endsWith(`.${name}`));
  const ask = async (domain: string, rrtype: string) => {
    noted(domain, rrtype);
    let name = domain.toLowerCase();
    for (let hops = 0; hops < 8; hops++) {
      const entry = zone[name];
      if (typeof entry === "string") throw new DnsError(entry, rrtype, domain);
      const values = entry?.[rrtype as RecordType];
      if (values && values.length > 0) return valuesOf(rrtype, values);
      const [alias] = entry?.CNAME ?? [];
      if (alias === undefined) throw new DnsError(exists(name) ? "ENODATA" : "ENOTFOUND", rrtype, domain);
      name = String(alias);
    }
    throw new DnsError("ESERVFAIL", rrtype, domain);
  };
  return ask as Resolver;
}
