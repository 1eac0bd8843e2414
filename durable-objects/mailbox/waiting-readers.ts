import type { Message } from "./messages.ts";

/** Each one holds a call open and is asked about every message that comes. */
export const MAX_WAITING = 20;

/** Calls `wake` after `ms`. @returns what calls it off. */
export type Later = (ms: number, wake: () => void) => () => void;

const realLater: Later = (ms, wake) => {
  const timer = setTimeout(wake, ms);
  return () => clearTimeout(timer);
};

/**
 * The calls that wait for mail in one mailbox. They are in memory alone: a restarted object has none, and whoever waited calls
 * again.
 */
export class WaitingReaders {
  private readonly readers = new Set<(message: Message) => void>();
  private readonly later: Later;

  /** @param later replaced in tests. */
  constructor(later: Later = realLater) {
    this.later = later;
  }

  /** Whether as many wait as may. */
  get isFull(): boolean {
    return this.readers.size >= MAX_WAITING;
  }

  /** How many wait. */
  get size(): number {
    return this.readers.size;
  }

  /**
   * Waits.
   * @param wants says of a message that came whether it is one that is waited for.
   * @returns the first such message, or null after `ms`. Rejects with what `wants` throws.
   */
  wait(wants: (message: Message) => boolean, ms: number): Promise<Message | null> {
    return new Promise((resolve, reject) => {
      const end = () => {
        this.readers.delete(reader);
        callOff();
      };
      const reader = (message: Message) => {
        try {
          if (!wants(message)) return;
          resolve(message);
        } catch (error) {
          // The message is stored, whoever waits for it: one reader's trouble is not its sender's, nor another reader's.
          reject(error);
        }
        end();
      };
      this.readers.add(reader);
      const callOff = this.later(ms, () => {
        end();
        resolve(null);
      });
    });
  }

  /** Tells everyone who waits of a message that arrived or was released; after that is committed. */
  tell(message: Message): void {
    for (const reader of [...this.readers]) reader(message);
  }
}
