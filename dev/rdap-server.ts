import { existsSync, readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { LOOPBACK, listenOnLoopback } from "./listen.ts";

/** RDAP (RFC 9082, RFC 9083) for the world's domains: when each was registered, from one JSON file that may change at any moment. */

const PATH = /^\/domain\/([^/?]+)$/;

/** @returns the answer about one domain as a registry gives it, cut to what says its age. */
export function rdapAnswer(domain: string, registeredAt: string): Record<string, unknown> {
  return {
    objectClassName: "domain",
    rdapConformance: ["rdap_level_0"],
    ldhName: domain,
    status: ["active"],
    events: [
      { eventAction: "registration", eventDate: registeredAt },
      { eventAction: "last changed", eventDate: registeredAt },
    ],
  };
}

/** Writes what a server answers about a domain that it knows since `registeredAt`, or does not know. */
export function respondRdap(response: ServerResponse, domain: string, registeredAt: string | undefined): void {
  const body = registeredAt ? rdapAnswer(domain, registeredAt) : { errorCode: 404, title: "Not Found" };
  response.writeHead(registeredAt ? 200 : 404, { "content-type": "application/rdap+json" });
  response.end(JSON.stringify(body));
}

export interface RdapServer {
  /** What the name of a domain is added to. */
  url: string;
  close(): Promise<void>;
}

/**
 * Serves `{"<domain>": "<ISO 8601>"}` on loopback.
 * @param path the file, read with each question; no file is no domains.
 */
export async function startRdap(path: string): Promise<RdapServer> {
  const server = createServer((request, response) => {
    const name = PATH.exec(request.url ?? "")?.[1]?.toLowerCase() ?? "";
    const registered: Record<string, string> = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
    respondRdap(response, name, registered[name]);
  });
  const port = await listenOnLoopback(server, 0, server);
  return {
    url: `http://${LOOPBACK}:${port}/domain/`,
    close: () =>
      new Promise((closed, failed) => {
        server.close((error) => (error ? failed(error) : closed()));
        server.closeAllConnections();
      }),
  };
}
