import { describe, expect, it } from "vitest";
import { cloudflareEmail } from "../../src/mail/transports/cloudflare-email.ts";
import { sandbox } from "../../src/mail/transports/sandbox.ts";

const RAW = Buffer.from("From: a@sender.example\r\n\r\nx\r\n");
const signal = () => new AbortController().signal;

class Message {
  readonly from: string;
  readonly to: string;
  readonly raw: string;
  constructor(from: string, to: string, raw: string) {
    this.from = from;
    this.to = to;
    this.raw = raw;
  }
}

describe("the sandbox", () => {
  it("accepts every recipient and says that nothing left", async () => {
    const outcomes = await sandbox().deliver({ from: "", to: ["a@x.example", "b@x.example"] }, RAW, signal());
    expect(outcomes.map(({ recipient, outcome, code }) => [recipient, outcome, code])).toEqual([
      ["a@x.example", "accepted", null],
      ["b@x.example", "accepted", null],
    ]);
    expect(outcomes[0]?.response).toContain("nothing left");
  });
});

describe("Cloudflare's Email Service", () => {
  /** Stands for the binding, which no local runtime makes fail. */
  function binding(sent: unknown[]): SendEmail {
    return {
      async send(message: unknown) {
        const { to } = message as Message;
        const code = /^(E_[A-Z_]+)@/.exec(to)?.[1];
        if (code) throw Object.assign(new Error("as asked"), { code });
        if (to.startsWith("plain")) throw new Error("internal\nerror");
        sent.push(message);
        return { messageId: "id-1" };
      },
    };
  }

  it("gets one message per recipient, and each its own outcome", async () => {
    const sent: unknown[] = [];
    const to = [
      "a@x.example",
      "E_RECIPIENT_SUPPRESSED@x.example",
      "E_RATE_LIMIT_EXCEEDED@x.example",
      "plain@x.example",
      "b@x.example",
    ];
    const outcomes = await cloudflareEmail(binding(sent), Message).deliver(
      { from: "s@sender.example", to },
      RAW,
      signal(),
    );
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(["accepted", "refused", "deferred", "deferred", "accepted"]);
    expect(outcomes.map(({ recipient }) => recipient)).toEqual(to);
    expect(outcomes.map(({ provider_id }) => provider_id)).toEqual(["id-1", undefined, undefined, undefined, "id-1"]);
    expect(outcomes[1]?.response).toBe("E_RECIPIENT_SUPPRESSED as asked");
    expect(outcomes[3]?.response).toBe("internal error");
    expect(sent).toEqual([
      new Message("s@sender.example", "a@x.example", RAW.toString()),
      new Message("s@sender.example", "b@x.example", RAW.toString()),
    ]);
  });

  it("takes each recipient's own sender, where the service would", async () => {
    const sent: unknown[] = [];
    const from = (recipient: string) => `for-${recipient}`;
    await cloudflareEmail(binding(sent), Message).deliver({ from, to: ["a@x.example", "b@x.example"] }, RAW, signal());
    expect(sent).toEqual(["a@x.example", "b@x.example"].map((to) => new Message(from(to), to, RAW.toString())));
  });

  it("is not asked for what it would refuse of everybody", async () => {
    const sent: unknown[] = [];
    const raw = Buffer.concat([Buffer.from("Received: from x by y\r\n"), RAW]);
    const to = ["a@x.example", "b@x.example"];
    const outcomes = await cloudflareEmail(binding(sent), Message).deliver({ from: "", to }, raw, signal());
    expect(outcomes.map(({ recipient, outcome }) => [recipient, outcome])).toEqual(to.map((each) => [each, "refused"]));
    expect(outcomes[0]?.response).toContain("Received");
    expect(sent).toEqual([]);
  });

  it("is left when the limit ends, and those taken stay taken", async () => {
    const abort = new AbortController();
    const slow: SendEmail = {
      send: async (message: unknown) => {
        if ((message as Message).to.startsWith("a@")) return { messageId: "id-1" };
        abort.abort();
        return new Promise(() => undefined);
      },
    };
    const to = ["a@x.example", "b@x.example", "c@x.example"];
    const outcomes = await cloudflareEmail(slow, Message).deliver({ from: "", to }, RAW, abort.signal);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(["accepted", "deferred", "deferred"]);
  });

  it("defers whom an abort left no time for", async () => {
    const sent: unknown[] = [];
    const outcomes = await cloudflareEmail(binding(sent), Message).deliver(
      { from: "", to: ["a@x.example"] },
      RAW,
      AbortSignal.abort(),
    );
    expect(outcomes).toMatchObject([{ outcome: "deferred" }]);
    expect(sent).toEqual([]);
  });

  it("does not preserve bytes, and neither does the sandbox, which hands them to nobody", () => {
    expect(cloudflareEmail(binding([]), Message).preserves_bytes).toBe(false);
    expect(sandbox().preserves_bytes).toBe(false);
  });
});
