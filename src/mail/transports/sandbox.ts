import type { Transport } from "./transport.ts";

/** The way out for `mm_test_` keys: takes everything, and nothing leaves. */
export function sandbox(): Transport {
  return {
    name: "sandbox",
    // No recipient's server gets any, so nothing is signed: a signature of what nobody was to have would be a real one.
    preserves_bytes: false,
    keeps_return_path: true,
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
