import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import dnsPacket, { type DecodedPacket, type Packet, type Answer as PacketAnswer } from "dns-packet";
import { LOOPBACK, listenOnLoopback } from "./listen.ts";
import { type Answer, lookUp, type ZoneRecord, type ZonesFile } from "./zones.ts";

/**
 * DNS over HTTPS from the world's zones, over plain HTTP since it never leaves the machine: RFC 8484 (GET and POST, wire
 * format) and the JSON form that public resolvers serve (`?name=&type=` with `accept: application/dns-json`).
 */

const PATH = "/dns-query";
const WIRE = "application/dns-message";
const JSON_FORM = "application/dns-json";
/** A DNS message has a 16-bit length in every other transport. */
const MAX_MESSAGE = 65_535;
/** Records may change at any moment, so nothing of them may be kept. */
const TTL_SECONDS = 0;
/** Of which zone a name is not there (RFC 2308 §3). All are this server's, and an absence may end at any moment, too. */
const AUTHORITY = {
  mname: "ns.invalid",
  rname: "hostmaster.invalid",
  serial: 1,
  refresh: 0,
  retry: 0,
  expire: 0,
  minimum: TTL_SECONDS,
};
/** RFC 1035 §4.1.1. */
const RCODES = { NOERROR: 0, FORMERR: 1, NXDOMAIN: 3, NOTIMP: 4 } as const;
/** RFC 1035 §3.2.2, RFC 3596 §2.1: numbers a JSON query may use in place of a name, and JSON answers carry. */
const TYPE_NUMBERS: Record<string, number> = {
  A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, DS: 43, DNSKEY: 48, TLSA: 52, CAA: 257,
}; // biome-ignore format: a table

/** A refusal with an HTTP status. */
class BadQuery extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface Reply {
  contentType: string;
  body: Buffer;
}

/** @returns the wire form of the answer to `query` (RFC 1035 §4). @throws {BadQuery} if it is not a DNS query. */
function answerWire(zones: ZonesFile, query: Buffer): Buffer {
  let decoded: DecodedPacket;
  try {
    decoded = dnsPacket.decode(query);
  } catch {
    throw new BadQuery(400, "That is not a DNS message.");
  }
  if (decoded.type !== "query") throw new BadQuery(400, "That is a DNS response, not a query.");
  const question = decoded.questions?.[0];
  const reply: Packet = {
    type: "response",
    id: decoded.id ?? 0,
    questions: decoded.questions ?? [],
    flags:
      dnsPacket.AUTHORITATIVE_ANSWER |
      dnsPacket.RECURSION_AVAILABLE |
      ((decoded.flags ?? 0) & dnsPacket.RECURSION_DESIRED),
  };
  let rcode: keyof typeof RCODES;
  // The header's opcode (RFC 1035 §4.1.1): anything but 0 is no standard query.
  if ((((decoded.flags ?? 0) >> 11) & 0xf) !== 0) rcode = "NOTIMP";
  else if (!question || decoded.questions?.length !== 1) rcode = "FORMERR";
  else {
    const answer = lookUp(zones.current(), question.name, question.type);
    rcode = answer.rcode;
    reply.answers = answer.records.map(({ name, record }): PacketAnswer => ({ ...record, name, ttl: TTL_SECONDS }));
    if (answer.records.length === 0)
      reply.authorities = [{ type: "SOA", name: question.name, ttl: TTL_SECONDS, data: AUTHORITY }];
  }
  reply.flags = (reply.flags ?? 0) | RCODES[rcode];
  try {
    return dnsPacket.encode(reply);
  } catch {
    throw new BadQuery(400, "The question holds a name that cannot be written back.");
  }
}

/** Octets outside printable ASCII as `\DDD`, quotes and backslashes behind a backslash. */
function escaped(text: string): string {
  let written = "";
  for (const octet of Buffer.from(text)) {
    const character = String.fromCharCode(octet);
    if (octet < 0x20 || octet > 0x7e) written += `\\${String(octet).padStart(3, "0")}`;
    else written += character === '"' || character === "\\" ? `\\${character}` : character;
  }
  return written;
}

/** The presentation form of a record's data (RFC 1035 §5.1), as JSON answers carry it. */
function presentation(record: ZoneRecord): string {
  if (record.type === "TXT") return record.data.map((part) => `"${escaped(part)}"`).join(" ");
  if (record.type === "MX") return `${record.data.preference} ${record.data.exchange}`;
  return record.data;
}

function answerJson(zones: ZonesFile, parameters: URLSearchParams): Buffer {
  const name = parameters.get("name");
  if (!name || name.length > 253) throw new BadQuery(400, "`name` is missing or too long.");
  const asked = (parameters.get("type") ?? "A").toUpperCase();
  const known = Object.entries(TYPE_NUMBERS).find(([type, number]) => asked === type || asked === String(number));
  if (!known) throw new BadQuery(400, "`type` is no record type known here.");
  const [type, number] = known;
  const answer: Answer = lookUp(zones.current(), name, type);
  const body = {
    Status: RCODES[answer.rcode],
    TC: false,
    RD: true,
    RA: true,
    AD: false,
    CD: false,
    Question: [{ name, type: number }],
    ...(answer.records.length > 0 && {
      Answer: answer.records.map(({ name: owner, record }) => ({
        name: owner,
        type: TYPE_NUMBERS[record.type],
        TTL: TTL_SECONDS,
        data: presentation(record),
      })),
    }),
    ...(answer.records.length === 0 && {
      Authority: [{ name, type: TYPE_NUMBERS.SOA, TTL: TTL_SECONDS, data: Object.values(AUTHORITY).join(" ") }],
    }),
  };
  return Buffer.from(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > MAX_MESSAGE) throw new BadQuery(413, "A DNS message has at most 65535 bytes.");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function answer(zones: ZonesFile, request: IncomingMessage): Promise<Reply> {
  const url = new URL(request.url ?? "/", `http://${LOOPBACK}`);
  if (url.pathname !== PATH) throw new BadQuery(404, `Ask at ${PATH}.`);
  if (request.method === "POST") {
    if (request.headers["content-type"] !== WIRE) throw new BadQuery(415, `A POST carries ${WIRE}.`);
    return { contentType: WIRE, body: answerWire(zones, await readBody(request)) };
  }
  if (request.method !== "GET") throw new BadQuery(405, "Use GET or POST.");
  if (url.searchParams.has("name")) return { contentType: JSON_FORM, body: answerJson(zones, url.searchParams) };
  const dns = url.searchParams.get("dns") ?? "";
  // RFC 8484 §6: base64url without padding.
  if (!/^[A-Za-z0-9_-]+$/.test(dns)) throw new BadQuery(400, "`dns` must be base64url without padding.");
  return { contentType: WIRE, body: answerWire(zones, Buffer.from(dns, "base64url")) };
}

async function respond(zones: ZonesFile, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { contentType, body } = await answer(zones, request);
    response.writeHead(200, { "content-type": contentType, "cache-control": `max-age=${TTL_SECONDS}` }).end(body);
  } catch (error) {
    const [status, sentence] = error instanceof BadQuery ? [error.status, error.message] : [500, String(error)];
    response.writeHead(status, { "content-type": "text/plain", connection: "close" }).end(`${sentence}\n`);
  }
}

export interface DnsOverHttpsServer {
  url: string;
  close(): Promise<void>;
}

/** Serves `zones` on loopback. @param port 0 for any free one. */
export async function startDnsOverHttps(zones: ZonesFile, port = 0): Promise<DnsOverHttpsServer> {
  const server = createServer((request, response) => void respond(zones, request, response));
  const bound = await listenOnLoopback(server, port, server);
  return {
    url: `http://${LOOPBACK}:${bound}${PATH}`,
    close: () =>
      new Promise((closed, failed) => {
        server.close((error) => (error ? failed(error) : closed()));
        server.closeAllConnections();
      }),
  };
}
