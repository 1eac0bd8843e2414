import type { Server } from "node:net";

/** The only address the world listens on. */
export const LOOPBACK = "127.0.0.1";

/** What can be listened with: servers of `net`, `http`, and `smtp-server`, which forwards both to its own. */
interface Listener {
  listen(port: number, host: string, ready: () => void): unknown;
  on(event: "error", failed: (error: Error) => void): unknown;
}

/**
 * Starts `listener` on loopback.
 * @param port 0 for any free one.
 * @param server where the address is asked; the listener itself unless it wraps another.
 * @returns the port.
 * @throws Error if the port is taken.
 */
export async function listenOnLoopback(listener: Listener, port: number, server: Server): Promise<number> {
  await new Promise<void>((ready, failed) => {
    listener.on("error", failed);
    listener.listen(port, LOOPBACK, ready);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return address.port;
}
