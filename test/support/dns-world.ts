import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDnsOverHttps } from "../../dev/dns-over-https-server.ts";
import { respondRdap } from "../../dev/rdap-server.ts";
import { ZonesFile } from "../../dev/zones.ts";

/** The DNS of tests in workerd: the local world's own server over zones that any test may set for names of its own. */

type Sets = Record<string, string[]>;

/** What the tests' deployment publishes itself. */
const DEPLOYMENT: Record<string, Sets> = {
  "_spf.agents.test": { TXT: ["v=spf1 ip4:127.0.0.1 -all"] },
  "mx.agents.test": { A: ["127.0.0.1"] },
};

/** Whom most tests write to: nothing speaks against them. */
const CUSTOMERS: Record<string, Sets> = {
  "customer.example": { MX: ["10 mx.customer.example"], TXT: ["v=spf1 -all"] },
  "_dmarc.customer.example": { TXT: ["v=DMARC1; p=reject"] },
};

export interface DnsWorld {
  doh_url: string;
  zones_url: string;
  /** `GET ?under=<name>`: the names that were asked for, by DNS or RDAP, that are this one or below it, as a JSON list. */
  asked_url: string;
  /** What the name of a domain is added to, for RDAP. */
  rdap_url: string;
  /** `POST` of `{"<domain>": "<ISO 8601>"}`: since when domains are registered; null: they are not known; `"silent"`: no answer ever. */
  registrations_url: string;
  close(): Promise<void>;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

/** Starts both servers on free ports of the loopback address. */
export async function startDnsWorld(): Promise<DnsWorld> {
  const directory = mkdtempSync(join(tmpdir(), "multimail-dns-"));
  const path = join(directory, "zones.json");
  const zones: Record<string, Sets> = { ...DEPLOYMENT, ...CUSTOMERS };
  const away = new Set<string>();
  const silent = new Set<string>();
  const registrations: Record<string, string> = { "customer.example": "2009-04-17T08:00:00Z" };
  const asked: string[] = [];
  const write = () => writeFileSync(path, JSON.stringify(zones));
  write();
  const server = await startDnsOverHttps(new ZonesFile(path, (sentence) => console.error(sentence)));

  function set(name: string, sets: Sets | "away" | "silent" | null): void {
    silent.delete(name);
    if (sets === "silent") {
      silent.add(name);
      return;
    }
    if (sets === "away") {
      away.add(name);
      return;
    }
    away.delete(name);
    if (sets === null) delete zones[name];
    else zones[name] = sets;
  }

  const isUnder = (name: string) => (each: string) => name === each || name.endsWith(`.${each}`);

  function isAway(name: string): boolean {
    return [...away].some(isUnder(name));
  }

  // A server that breaks down is one thing that the local world's cannot be made to be.
  const front = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (request.method === "POST" && url.pathname === "/zones") {
      const given = JSON.parse(await bodyOf(request)) as Record<string, Sets | "away" | "silent" | null>;
      for (const [name, sets] of Object.entries(given)) set(name, sets);
      write();
      response.end();
      return;
    }
    if (request.method === "POST" && url.pathname === "/registrations") {
      for (const [name, at] of Object.entries(JSON.parse(await bodyOf(request)) as Record<string, string | null>)) {
        if (at === null) delete registrations[name];
        else registrations[name] = at;
      }
      response.end();
      return;
    }
    if (url.pathname === "/asked") {
      const under = url.searchParams.get("under") ?? "";
      response.end(JSON.stringify(asked.filter((name) => isUnder(name)(under))));
      return;
    }
    const name = /^\/domain\/([^/]+)$/.exec(url.pathname)?.[1];
    asked.push(name ?? url.searchParams.get("name")?.toLowerCase() ?? "");
    if (name !== undefined) {
      if (registrations[name] !== "silent") respondRdap(response, name, registrations[name]);
      return;
    }
    if ([...silent].some(isUnder(url.searchParams.get("name")?.toLowerCase() ?? ""))) return;
    if (isAway(url.searchParams.get("name")?.toLowerCase() ?? "")) {
      response.writeHead(503).end();
      return;
    }
    const accept = request.headers.accept ?? "";
    const answer = await fetch(`${server.url}${url.search}`, { headers: { accept } });
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
  return {
    doh_url: `${base}/dns-query`,
    zones_url: `${base}/zones`,
    asked_url: `${base}/asked`,
    rdap_url: `${base}/domain/`,
    registrations_url: `${base}/registrations`,
    async close() {
      await new Promise((resolve) => {
        front.close(resolve);
        front.closeAllConnections();
      });
      await server.close();
      rmSync(directory, { recursive: true });
    },
  };
}
