import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { startDnsWorld } from "./dns-world.ts";
import { type SmtpServerOptions, startSmtpServer } from "./smtp-server.ts";

/** Where the servers are that tests in workerd talk to. */
export interface ServerAddresses {
  /** A relay on 127.0.0.1 that offers STARTTLS and takes mail without it. */
  smtpPort: number;
  /** The same, where TLS comes first. */
  smtpTlsPort: number;
  /** Like the two above, with a valid certificate for another name. */
  smtpElsewherePort: number;
  smtpTlsElsewherePort: number;
  /** Like the first two, with a certificate that has expired. */
  smtpExpiredPort: number;
  smtpTlsExpiredPort: number;
  /** Like the first two, with a certificate that only vouches for itself. */
  smtpSelfSignedPort: number;
  smtpTlsSelfSignedPort: number;
  /** `GET /received?to=<address>`: what the relays took, as JSON: `[{envelope, raw (base64), tls, auth, ehlo}]`. */
  smtpReceivedUrl: string;
  /** The DNS-over-HTTPS server of the tests, which knows nothing but what a test tells `dnsZonesUrl`. */
  dohUrl: string;
  /**
   * `POST` of `{"<name>": {"TXT": ["…"], …}}` (dev/zones.ts): these names have these records from now on; null: they have none;
   * `"away"`: for them and all names below, the server answers 503; `"silent"`: it never answers.
   */
  dnsZonesUrl: string;
  /** What was asked, and RDAP: test/support/dns-world.ts. */
  dnsAskedUrl: string;
  rdapUrl: string;
  registrationsUrl: string;
}

/** The relays by the name of their port, each with the certificate that it shows. */
const RELAYS = {
  smtpPort: { tls: "starttls" },
  smtpTlsPort: { tls: "implicit" },
  smtpElsewherePort: { tls: "starttls", certificate: "elsewhere" },
  smtpTlsElsewherePort: { tls: "implicit", certificate: "elsewhere" },
  smtpExpiredPort: { tls: "starttls", certificate: "expired" },
  smtpTlsExpiredPort: { tls: "implicit", certificate: "expired" },
  smtpSelfSignedPort: { tls: "starttls", certificate: "self_signed" },
  smtpTlsSelfSignedPort: { tls: "implicit", certificate: "self_signed" },
} as const satisfies Record<string, SmtpServerOptions>;

type RelayPort = keyof typeof RELAYS;

/** Starts all of them on free ports of the loopback address. */
export async function startServers(): Promise<{ addresses: ServerAddresses; close(): Promise<void> }> {
  const names = Object.keys(RELAYS) as RelayPort[];
  const relays = await Promise.all(names.map((name) => startSmtpServer(RELAYS[name])));
  const ports = Object.fromEntries(names.map((name, at) => [name, relays[at]?.port])) as Record<RelayPort, number>;
  const http = createServer((request, response) => {
    const to = new URL(request.url ?? "/", "http://localhost").searchParams.get("to");
    const all = relays.flatMap(({ received }) => received);
    const mails = to === null ? all : all.filter(({ envelope }) => envelope.to.includes(to));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(mails.map((mail) => ({ ...mail, raw: mail.raw.toString("base64") }))));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const dns = await startDnsWorld();
  return {
    addresses: {
      ...ports,
      smtpReceivedUrl: `http://127.0.0.1:${(http.address() as AddressInfo).port}/received`,
      dohUrl: dns.doh_url,
      dnsZonesUrl: dns.zones_url,
      dnsAskedUrl: dns.asked_url,
      rdapUrl: dns.rdap_url,
      registrationsUrl: dns.registrations_url,
    },
    async close() {
      for (const relay of relays) await relay.close();
      await new Promise((resolve) => http.close(resolve));
      await dns.close();
    },
  };
}
