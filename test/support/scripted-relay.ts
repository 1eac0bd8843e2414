import net from "node:net";

/** What a scripted relay does when it hears a command: says this, closes the connection (`null`), or lets the client wait. */
export type Script = string | null | "wait";

export interface ScriptedRelayOptions {
  greeting?: string;
  /** What EHLO announces. */
  extensions?: string[];
  /** @param line the command, or `.` for the end of the data. @param nth how often its verb was heard, from 1. Undefined: as usual. */
  reply?(line: string, nth: number): Script | undefined;
}

export interface ScriptedRelay {
  port: number;
  /** The commands, in order, and `.` for the end of the data. */
  commands: string[];
  /** The data of each message, as it came over the wire: from after DATA to its final dot. */
  data: string[];
  /** Resolves when the relay has heard a command that begins so. */
  heard(start: string): Promise<void>;
  close(): Promise<void>;
}

const USUAL: Readonly<Record<string, string>> = {
  MAIL: "250 sender ok",
  RCPT: "250 recipient ok",
  DATA: "354 go on",
  ".": "250 taken",
  RSET: "250 forgotten",
  QUIT: "221 bye",
};
const END_OF_DATA = "\r\n.\r\n";

/** A relay that says what a test wants, on a free port of 127.0.0.1, and keeps every octet it is sent. */
export async function startScriptedRelay(options: ScriptedRelayOptions = {}): Promise<ScriptedRelay> {
  const sockets = new Set<net.Socket>();
  const commands: string[] = [];
  const data: string[] = [];
  const waiting: { start: string; resolve: () => void }[] = [];
  const counts = new Map<string, number>();

  const note = (line: string): Script => {
    commands.push(line);
    for (const { start, resolve } of waiting) if (line.startsWith(start)) resolve();
    const verb = line.split(/[ :]/)[0]?.toUpperCase() ?? "";
    const nth = (counts.get(verb) ?? 0) + 1;
    counts.set(verb, nth);
    const scripted = options.reply?.(line, nth);
    if (scripted !== undefined) return scripted;
    if (verb === "EHLO") {
      const lines = ["relay.example", ...(options.extensions ?? ["PIPELINING", "8BITMIME"])];
      return lines.map((each, index) => `250${index + 1 < lines.length ? "-" : " "}${each}`).join("\r\n");
    }
    return USUAL[verb] ?? "500 what?";
  };

  const listener = net.createServer((socket) => {
    let rest = "";
    let inData = false;
    const hear = (line: string): boolean => {
      const said = note(line);
      if (said === null) socket.destroy();
      else if (said !== "wait") socket.write(`${said}\r\n`);
      inData = said?.startsWith("354") ?? false;
      // An empty message is its final dot alone.
      if (inData) rest = `\r\n${rest}`;
      return said !== null;
    };
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.write(options.greeting ?? "220 relay.example\r\n");
    socket.on("data", (chunk) => {
      rest += chunk.toString("latin1");
      for (;;) {
        const mark = inData ? END_OF_DATA : "\r\n";
        const end = rest.indexOf(mark);
        if (end < 0) return;
        const said = rest.slice(0, end);
        rest = rest.slice(end + mark.length);
        if (inData) data.push(said.replace(/^\r\n/, ""));
        if (!hear(inData ? "." : said)) return;
      }
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    port: (listener.address() as net.AddressInfo).port,
    commands,
    data,
    heard: (start) =>
      commands.some((line) => line.startsWith(start))
        ? Promise.resolve()
        : new Promise((resolve) => waiting.push({ start, resolve })),
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => listener.close(() => resolve()));
    },
  };
}
