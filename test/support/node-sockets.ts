import net from "node:net";
import tls from "node:tls";
import type { Connect } from "../../src/mail/transports/smtp-session.ts";

/** `connect` of `cloudflare:sockets`, over node's sockets, trusting one certificate authority besides those it is given. */
export function nodeConnect(authority?: string): Connect {
  return (address, options) => {
    const { hostname, port } = typeof address === "string" ? { hostname: address, port: 0 } : address;
    const trust = authority === undefined ? {} : { ca: authority };
    const servername = net.isIP(hostname) ? "" : hostname;
    if (options.secureTransport === "on") {
      return asSocket(tls.connect({ host: hostname, port, servername, ...trust }), "secureConnect", "on");
    }
    const plain = net.connect({ host: hostname, port, noDelay: true });
    const upgrade = () => {
      const secured = tls.connect({ socket: plain, host: hostname, servername, ...trust });
      secured.once("close", () => plain.destroy());
      return asSocket(secured, "secureConnect", "on");
    };
    return asSocket(plain, "connect", options.secureTransport === "starttls" ? "starttls" : "off", upgrade);
  };
}

function asSocket(
  stream: net.Socket,
  openEvent: "connect" | "secureConnect",
  secureTransport: "on" | "off" | "starttls",
  upgrade?: () => Socket,
): Socket {
  let failure: Error | null = null;
  stream.on("error", (error) => {
    failure = error;
  });
  const opened = new Promise<SocketInfo>((resolve, reject) => {
    stream.once(openEvent, () => resolve({}));
    stream.once("close", () => reject(failure ?? new Error("closed")));
  });
  opened.catch(() => undefined);
  const closed = new Promise<void>((resolve) => stream.once("close", () => resolve()));
  const stopReading = new AbortController();
  const readable = new ReadableStream<Uint8Array>({
    start(controller) {
      const onData = (chunk: Buffer) => controller.enqueue(new Uint8Array(chunk));
      const onEnd = () => controller.close();
      const onClose = () =>
        failure ? controller.error(failure) : stream.readableEnded || controller.error(new Error("lost"));
      stream.on("data", onData).once("end", onEnd).once("close", onClose);
      stopReading.signal.addEventListener("abort", () => {
        stream.off("data", onData).off("end", onEnd).off("close", onClose);
      });
    },
  });
  return {
    readable,
    writable: new WritableStream<Uint8Array>({
      write: (chunk) =>
        new Promise((resolve, reject) => stream.write(chunk, (error) => (error ? reject(error) : resolve()))),
      close: () => new Promise((resolve) => stream.end(resolve)),
      abort: () => void stream.destroy(),
    }),
    opened,
    closed,
    upgraded: false,
    secureTransport,
    async close() {
      stream.destroy();
      await closed;
    },
    startTls() {
      if (!upgrade) throw new TypeError("not a starttls socket");
      stopReading.abort();
      return upgrade();
    },
  };
}
