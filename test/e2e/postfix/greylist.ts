import { createServer, type Socket } from "node:net";
import { listenOnLoopback } from "../../../dev/listen.ts";

/** Postfix asks it about each recipient (SMTPD_POLICY_README): who is called `greylisted…` has to be tried a second time. */
export interface Greylist {
  port: number;
  /** Those of them who were tried a second time. */
  accepted: string[];
  close(): Promise<void>;
}

/** One request: `name=value` lines, ended by an empty one. */
function recipientOf(request: string): string {
  return /^recipient=(.*)$/m.exec(request)?.[1] ?? "";
}

/** Starts it on loopback. */
export async function startGreylist(): Promise<Greylist> {
  const deferred: string[] = [];
  const accepted: string[] = [];
  const actionFor = (recipient: string): string => {
    if (!recipient.startsWith("greylisted")) return "DUNNO";
    if (deferred.includes(recipient)) {
      accepted.push(recipient);
      return "DUNNO";
    }
    deferred.push(recipient);
    return "450 4.2.0 Greylisted, try again later";
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = "";
    socket.setEncoding("utf8");
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (part) => {
      text += part;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        socket.write(`action=${actionFor(recipientOf(text.slice(0, end)))}\n\n`);
        text = text.slice(end + 2);
      }
    });
  });
  return {
    port: await listenOnLoopback(server, 0, server),
    accepted,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
