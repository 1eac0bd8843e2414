import { createSocket } from "node:dgram";
import { LOOPBACK } from "../../../dev/listen.ts";

/** The world's DNS for programs that speak no HTTPS: each query goes to the world's own server, each answer comes from there. */
export interface DnsOverUdp {
  port: number;
  /** Resolves when it is closed. @throws AggregateError of what went wrong meanwhile. */
  close(): Promise<void>;
}

/** Listens on loopback. @param url the server for DNS over HTTPS (RFC 8484). */
export async function startDnsOverUdp(url: string): Promise<DnsOverUdp> {
  const socket = createSocket("udp4");
  const failures: unknown[] = [];
  const answer = async (query: Buffer): Promise<Buffer> => {
    const headers = { "content-type": "application/dns-message" };
    const response = await fetch(url, { method: "POST", headers, body: new Uint8Array(query) });
    if (!response.ok) throw new Error(`The world's DNS answered ${response.status}: ${await response.text()}`);
    return Buffer.from(await response.arrayBuffer());
  };
  socket.on("message", (query, client) => {
    answer(query).then(
      (reply) => socket.send(reply, client.port, client.address),
      (error: unknown) => failures.push(error),
    );
  });
  await new Promise<void>((bound) => socket.bind(0, LOOPBACK, bound));
  return {
    port: socket.address().port,
    close: async () => {
      await new Promise<void>((closed) => socket.close(closed));
      if (failures.length > 0) throw new AggregateError(failures, "DNS queries went unanswered.");
    },
  };
}
