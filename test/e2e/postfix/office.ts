import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ZoneData } from "../../../dev/senders.ts";
import { PEOPLE_DOMAIN } from "../../../dev/senders.ts";
import { startSmtpServer, type TestSmtpServer } from "../../support/smtp-server.ts";
import { testAuthority } from "../../support/test-authority.ts";
import { IdentityWorld } from "../identity-world.ts";
import { killAll } from "../processes.ts";
import { startDnsOverUdp } from "./dns-over-udp.ts";
import { type Greylist, startGreylist } from "./greylist.ts";
import { makeSignerKey, type SignerKey, startSigner, startVerifier } from "./opendkim.ts";
import { Postfix, withoutTrace } from "./postfix.ts";
import { freePorts } from "./programs.ts";

/**
 * A world whose relay is a Postfix, which is also the mail server of the people at `office.example`. OpenDKIM verifies what comes in
 * from us and signs what they write. Both ask the world's DNS.
 */

export const OFFICE = "office.example";
export const OFFICE_HOST = `mx.${OFFICE}`;
/** Where Postfix connects from; the office's SPF names it alone. */
export const OFFICE_IP = "127.0.0.5";
/** bücher.example. */
export const BOOKS = "xn--bcher-kva.example";
/** Its server takes no 8BITMIME. */
export const HOP = "hop.example";
/** On the way there the subject is changed. */
export const TAGGED = "tagged.example";
/** Postfix refuses it at RCPT. */
export const REFUSED = `refused@${OFFICE}`;
/** Mail to a mailbox of the world that Postfix encodes in 7 bit on its way, with this tag in the address. */
export const SEVEN_BIT_TAG = "+7bit";

const MAILBOXES = ["alice", "bob", "greylisted"];
const SELECTOR = "postfix2026";
/** Room for a message of 10 MiB. */
const MAX_OCTETS = 16 * 1024 * 1024;

/** What the office and its neighbours publish. */
function zonesOf(key: SignerKey): ZoneData {
  const mail = (domain: string): ZoneData => ({
    [domain]: { MX: [`10 ${OFFICE_HOST}`], TXT: [`v=spf1 ip4:${OFFICE_IP} -all`] },
    [`_dmarc.${domain}`]: { TXT: ["v=DMARC1; p=reject"] },
  });
  return {
    ...Object.assign({}, ...[OFFICE, BOOKS, HOP, TAGGED].map(mail)),
    [OFFICE_HOST]: { A: [OFFICE_IP], TXT: [`v=spf1 ip4:${OFFICE_IP} -all`] },
    [key.record.name]: { TXT: [key.record.value] },
  };
}

export class Office {
  readonly world: IdentityWorld;
  readonly postfix: Postfix;
  /** The server of `hop.example` and `tagged.example`. */
  readonly hop: TestSmtpServer;
  readonly greylist: Greylist;
  private readonly stops: AsyncDisposableStack;

  private constructor(parts: Pick<Office, "world" | "postfix" | "hop" | "greylist">, stops: AsyncDisposableStack) {
    this.world = parts.world;
    this.postfix = parts.postfix;
    this.hop = parts.hop;
    this.greylist = parts.greylist;
    this.stops = stops;
  }

  /** Starts all of it. @throws Error if a part does not start; nothing is left running then. */
  static async start(): Promise<Office> {
    await using starting = new AsyncDisposableStack();
    starting.defer(killAll);
    const stopping = <T>(part: T, stop: (part: T) => Promise<void>) => starting.adopt(part, stop);
    const authority = testAuthority();
    // workerd is started by this process, and trusts whom this names.
    process.env.NODE_EXTRA_CA_CERTS = authority.authority_file;
    const [submissionPort = 0, peoplePort = 0, verifierPort = 0, signerPort = 0] = await freePorts(4);
    const relay = { host: "localhost", port: submissionPort, security: "starttls" } as const;
    const world = stopping(await IdentityWorld.start({ relay }), (each) => each.stop());
    const hop = stopping(await startSmtpServer({ tls: "none" }), (each) => each.close());
    const greylist = stopping(await startGreylist(), (each) => each.close());
    const dns = stopping(await startDnsOverUdp(world.world.doh_url), (each) => each.close());
    // Not below the world's folder, which is its owner's alone: Postfix's programs run as other users.
    const dir = mkdtempSync(join(tmpdir(), "postfix-"));
    starting.defer(() => rmSync(dir, { recursive: true, force: true }));
    const key = makeSignerKey(dir, OFFICE, SELECTOR);
    publish(world, zonesOf(key));
    const verifier = stopping(
      await startVerifier({ dir, port: verifierPort, host: OFFICE_HOST, dnsPort: dns.port }),
      (each) => each.stop(),
    );
    const signer = stopping(await startSigner(dir, signerPort, OFFICE, key), (each) => each.stop());
    const ours = world.mailbox("autonomous").address;
    const inbound = world.world.smtp.inbound_port;
    const postfix = stopping(
      await Postfix.start({
        dir,
        host: OFFICE_HOST,
        mailboxes: { [OFFICE]: MAILBOXES, [BOOKS]: ["alice"], [PEOPLE_DOMAIN]: ["approver", "operator"] },
        submission: {
          port: submissionPort,
          certificate: authority.here,
          filter: verifier.address,
          policyPort: greylist.port,
          refused: [REFUSED],
        },
        people: { port: peoplePort, filter: signer.address },
        routes: {
          [domainOf(ours)]: { port: inbound, by: "relay" },
          [ours.replace("@", `${SEVEN_BIT_TAG}@`)]: { port: inbound, by: "relay7bit" },
          [HOP]: { port: hop.port, by: "relay7bit" },
          [TAGGED]: { port: hop.port, by: "relaytag" },
        },
        outgoing_ip: OFFICE_IP,
        max_octets: MAX_OCTETS,
      }),
      (each) => each.stop(),
    );
    return new Office({ world, postfix, hop, greylist }, starting.move());
  }

  /** Ends all of it, last first. */
  stop(): Promise<void> {
    return this.stops.disposeAsync();
  }

  /** @returns the message the next hop got for this recipient, as the hop got it; undefined: none yet. */
  atHop(recipient: string): ReturnType<typeof withoutTrace> | undefined {
    const mail = this.hop.received.find(({ envelope }) => envelope.to.includes(recipient));
    return mail && withoutTrace(mail.raw);
  }
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}

/** Adds to what the world's DNS answers. */
function publish({ world }: IdentityWorld, zones: ZoneData): void {
  const published: ZoneData = JSON.parse(readFileSync(world.zones_file, "utf8"));
  writeFileSync(world.zones_file, `${JSON.stringify({ ...published, ...zones }, null, 2)}\n`);
}
