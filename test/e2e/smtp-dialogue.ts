import { connect, type Socket } from "node:net";

/** A bare SMTP client for tests: says exactly the bytes it is told, and reads one reply at a time. */
export class SmtpDialogue {
  readonly socket: Socket;
  #received = "";
  #wake: () => void = () => {};
  #closed = false;

  private constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.setEncoding("utf8");
    this.socket.on("data", (text) => {
      this.#received += text;
      this.#wake();
    });
    this.socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** Connects and reads the greeting. */
  static async open(port: number): Promise<SmtpDialogue> {
    const dialogue = new SmtpDialogue(port);
    await dialogue.reply();
    return dialogue;
  }

  /** @returns the next whole reply (RFC 5321 §4.2), all its lines. @throws Error if the server hangs up first. */
  async reply(): Promise<string> {
    for (;;) {
      const whole = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/.exec(this.#received)?.[0];
      if (whole !== undefined) {
        this.#received = this.#received.slice(whole.length);
        return whole.trimEnd();
      }
      if (this.#closed) throw new Error(`The server hung up after: ${this.#received}`);
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  /** Sends one command. @returns its reply. */
  say(command: string): Promise<string> {
    this.socket.write(`${command}\r\n`);
    return this.reply();
  }

  /** Says every command up to DATA's 354. @returns the reply to the last one. */
  async begin(envelope: { from: string; to: string[]; helo?: string; xclient?: string }): Promise<string> {
    const { from, to, helo = "client.example", xclient } = envelope;
    if (xclient !== undefined) await this.say(`XCLIENT ${xclient}`);
    await this.say(`EHLO ${helo}`);
    let last = await this.say(`MAIL FROM:<${from}>`);
    for (const recipient of to) last = await this.say(`RCPT TO:<${recipient}>`);
    return last.startsWith("250") ? this.say("DATA") : last;
  }

  /** Sends a whole message in one transaction. @returns the reply at its end. */
  async send(envelope: Parameters<SmtpDialogue["begin"]>[0], raw: Uint8Array | string): Promise<string> {
    const ready = await this.begin(envelope);
    if (!ready.startsWith("354")) return ready;
    // Each octet one character, so that any bytes survive the dot-stuffing of RFC 5321 §4.5.2.
    const stuffed = Buffer.from(raw).toString("latin1").replace(/^\./gm, "..");
    this.socket.write(Buffer.from(stuffed.endsWith("\r\n") ? stuffed : `${stuffed}\r\n`, "latin1"));
    return this.say(".");
  }

  close(): void {
    this.socket.destroy();
  }
}
