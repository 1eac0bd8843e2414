/** The envelope of RFC 5321: who is told about failures, and every recipient, Bcc included. */
export interface Envelope {
  /**
   * The return path (RFC 5321 §4.4), or each recipient's own, so that what comes back names whom it is about. Empty: the null
   * sender. Where a transport does not keep it, this is the address in From.
   */
  from: string | ((recipient: string) => string);
  to: string[];
}

/** @returns the recipients by the return path they are written to with, both in the envelope's order. */
export function recipientsBySender({ from, to }: Envelope): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const recipient of to) {
    const sender = typeof from === "string" ? from : from(recipient);
    const group = groups.get(sender);
    if (group) group.push(recipient);
    else groups.set(sender, [recipient]);
  }
  return groups;
}

/** What the far end said about one recipient. */
export interface RecipientOutcome {
  recipient: string;
  /** `accepted`: the far end took responsibility. `deferred`: try again later (4xx, or no answer). `refused`: final (5xx). */
  outcome: "accepted" | "deferred" | "refused";
  /** SMTP reply code, or null where there was none (connection lost, provider API). */
  code: number | null;
  /** What the far end said, or what went wrong, in one line. */
  response: string;
  /** What the provider calls this recipient's copy in its events; left out where it gave no such id. */
  provider_id?: string;
}

/**
 * A way out for mail.
 *
 * What "returned" promises: `deliver` returns one outcome for every recipient of the envelope, in its order. `accepted` means
 * the far end has answered that it took the message; nothing is queued in memory on our side. `deferred` may still have been
 * accepted by a far end whose answer was lost, so a retry keeps its Message-ID. `deliver` does not throw for anything the far
 * end or the network does; a throw is a mistake of ours (configuration), and counts as deferred.
 */
export interface Transport {
  readonly name: "smtp" | "cloudflare" | "sandbox";
  /** Whether the bytes given are the bytes the recipient's server gets. Where not, DKIM and the message signature are left out. */
  readonly preserves_bytes: boolean;
  /** Whether the envelope's sender is the return path that the recipient's server gets. Where not, it must be the address in From. */
  readonly keeps_return_path: boolean;
  deliver(envelope: Envelope, raw: Uint8Array, signal: AbortSignal): Promise<RecipientOutcome[]>;
}
