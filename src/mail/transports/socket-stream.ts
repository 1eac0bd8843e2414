import { Duplex } from "node:stream";

/** A connection as a node stream, which is what nodemailer speaks to. */
export class SocketStream extends Duplex {
  readonly #socket: Socket;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  /** @param received bytes that are read before those still to come. */
  constructor(socket: Socket, received: Uint8Array) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#reader = socket.readable.getReader();
    this.#writer = socket.writable.getWriter();
    // The reader and the writer report a broken connection; these would report it again to nobody.
    for (const ending of [this.#reader.closed, this.#writer.closed, socket.closed]) ending.catch(ignore);
    if (received.length > 0) this.push(Buffer.from(received));
  }

  override _read(): void {
    this.#reader.read().then(
      ({ done, value }) => this.push(done ? null : Buffer.from(value)),
      (error: Error) => this.destroy(error),
    );
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#writer.write(chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#writer.close().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.close().then(
      () => done(error),
      () => done(error),
    );
  }

  /** Part of node's socket interface. Whoever asks for a delivery bounds the whole of it; nothing is left to time here. */
  setTimeout(): this {
    return this;
  }
}

/** For a failure that is reported by another way too. */
export function ignore(): void {}
