import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { startDnsWorld } from "../support/dns-world.ts";
import { startSmtpServer } from "../support/smtp-server.ts";

declare module "vitest" {
  interface ProvidedContext {
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
    /** `SLOW=1`: what is drawn at random is drawn ten times as often. */
    slow: boolean;
    /** `SEED=…`: what was drawn at random is drawn again; null: anew. */
    seed: number | null;
  }
}

/** Tests in workerd cannot run a server, so theirs run here, for as long as the tests. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const plain = await startSmtpServer({ tls: "starttls" });
  const implicit = await startSmtpServer({ tls: "implicit" });
  const elsewhere = await startSmtpServer({ tls: "starttls", certificate: "elsewhere" });
  const implicitElsewhere = await startSmtpServer({ tls: "implicit", certificate: "elsewhere" });
  const expired = await startSmtpServer({ tls: "starttls", certificate: "expired" });
  const implicitExpired = await startSmtpServer({ tls: "implicit", certificate: "expired" });
  const selfSigned = await startSmtpServer({ tls: "starttls", certificate: "self_signed" });
  const implicitSelfSigned = await startSmtpServer({ tls: "implicit", certificate: "self_signed" });
  const untrusted = [elsewhere, implicitElsewhere, expired, implicitExpired, selfSigned, implicitSelfSigned];
  const servers = [plain, implicit, ...untrusted];
  const http = createServer((request, response) => {
    const to = new URL(request.url ?? "/", "http://localhost").searchParams.get("to");
    const all = servers.flatMap(({ received }) => received);
    const mails = to === null ? all : all.filter(({ envelope }) => envelope.to.includes(to));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(mails.map((mail) => ({ ...mail, raw: mail.raw.toString("base64") }))));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  project.provide("smtpPort", plain.port);
  project.provide("smtpTlsPort", implicit.port);
  project.provide("smtpElsewherePort", elsewhere.port);
  project.provide("smtpTlsElsewherePort", implicitElsewhere.port);
  project.provide("smtpExpiredPort", expired.port);
  project.provide("smtpTlsExpiredPort", implicitExpired.port);
  project.provide("smtpSelfSignedPort", selfSigned.port);
  project.provide("smtpTlsSelfSignedPort", implicitSelfSigned.port);
  project.provide("smtpReceivedUrl", `http://127.0.0.1:${(http.address() as AddressInfo).port}/received`);
  const dns = await startDnsWorld();
  project.provide("dohUrl", dns.doh_url);
  project.provide("dnsZonesUrl", dns.zones_url);
  project.provide("dnsAskedUrl", dns.asked_url);
  project.provide("rdapUrl", dns.rdap_url);
  project.provide("registrationsUrl", dns.registrations_url);
  project.provide("slow", process.env.SLOW === "1");
  project.provide("seed", process.env.SEED ? Number(process.env.SEED) : null);
  return async () => {
    for (const server of servers) await server.close();
    await new Promise((resolve) => http.close(resolve));
    await dns.close();
  };
}
