import type { Transport } from "./transport.ts";

/** The way out for `mm_test_` keys: takes everything, and nothing leaves. */
export function sandbox(): Transport {
  return {
    name: "sandbox",
    preserves_bytes: true,
    async deliver(envelope) {
      return envelope.to.map((recipient) => ({
        recipient,
        outcome: "accepted",
        code: null,
        response: "sandbox: kept here, nothing left this service",
      }));
    },
  };
}
