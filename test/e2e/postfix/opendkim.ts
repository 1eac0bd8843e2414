import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LOOPBACK } from "../../../dev/listen.ts";
import { listens, run, whileRunning } from "../processes.ts";
import { OPENDKIM, OPENDKIM_GENKEY } from "./programs.ts";

/** OpenDKIM as a filter of Postfix (milter): one that verifies, and one that signs. */

export interface Filter {
  /** As Postfix names it. */
  address: string;
  /** Ends it, and waits until it is gone. */
  stop(): Promise<void>;
}

async function startFilter(file: string, port: number, settings: Record<string, string>): Promise<Filter> {
  const all = { ...settings, Socket: `inet:${port}@${LOOPBACK}`, Background: "no", Syslog: "no" };
  const lines = Object.entries(all).map(([name, value]) => `${name} ${value}\n`);
  writeFileSync(file, lines.join(""));
  const program = run(OPENDKIM, ["-f", "-x", file]);
  await whileRunning(program, "the filter listens", async () => ((await listens(port)) ? true : null));
  return {
    address: `inet:${LOOPBACK}:${port}`,
    stop: async () => {
      program.interrupt("SIGTERM");
      await program.gone();
    },
  };
}

/** libunbound (unbound.conf(5)) asks one server, which is on this machine, about everything. */
function resolverConfiguration(dnsPort: number): string {
  return [
    "server:",
    "  do-not-query-localhost: no",
    "  do-ip6: no",
    '  module-config: "iterator"',
    "  use-syslog: no",
    "forward-zone:",
    '  name: "."',
    `  forward-addr: ${LOOPBACK}@${dnsPort}`,
    "",
  ].join("\n");
}

export interface VerifierOptions {
  dir: string;
  port: number;
  /** Whose Authentication-Results it writes (RFC 8601 §2.5). */
  host: string;
  /** A DNS server on loopback, over UDP. */
  dnsPort: number;
}

/** Starts a filter that puts an Authentication-Results field on top of whatever comes by. */
export function startVerifier({ dir, port, host, dnsPort }: VerifierOptions): Promise<Filter> {
  const resolver = join(dir, "unbound.conf");
  writeFileSync(resolver, resolverConfiguration(dnsPort));
  return startFilter(join(dir, "verifier.conf"), port, {
    Mode: "v",
    AuthservID: host,
    AlwaysAddARHeader: "yes",
    ResolverConfiguration: resolver,
    // Nothing is from inside, or it would not be verified; loopback is by default.
    InternalHosts: "192.0.2.1",
  });
}

export interface SignerKey {
  /** PEM. */
  file: string;
  selector: string;
  /** The TXT record's name and value, to be published. */
  record: { name: string; value: string };
}

/** Makes a key with OpenDKIM's own tool. */
export function makeSignerKey(dir: string, domain: string, selector: string): SignerKey {
  execFileSync(OPENDKIM_GENKEY, ["-b", "2048", "-h", "sha256", "-d", domain, "-s", selector, "-D", dir]);
  const zoneLine = readFileSync(join(dir, `${selector}.txt`), "utf8");
  const strings = [...zoneLine.matchAll(/"([^"]*)"/g)].map(([, string]) => string);
  const record = { name: `${selector}._domainkey.${domain}`, value: strings.join("") };
  return { file: join(dir, `${selector}.private`), selector, record };
}

/** Starts a filter that signs what comes by with a From in `domain`. */
export function startSigner(dir: string, port: number, domain: string, key: SignerKey): Promise<Filter> {
  return startFilter(join(dir, "signer.conf"), port, {
    Mode: "s",
    Domain: domain,
    Selector: key.selector,
    KeyFile: key.file,
    // The folder is below /tmp, where anybody may write.
    RequireSafeKeys: "no",
    Canonicalization: "relaxed/relaxed",
    OversignHeaders: "From",
  });
}

/**
 * @param trace header fields, each on one line.
 * @param host whose Authentication-Results count.
 * @returns what it says of each signature: the result, whose it is and how it was made; `none` where there is no signature.
 */
export function verificationResults(trace: readonly string[], host: string): string[] {
  const field = trace.find((line) => line.startsWith(`Authentication-Results: ${host};`)) ?? "";
  // Comments hold semicolons too.
  const results = field.replace(/\([^)]*\)/g, "").matchAll(/;\s*dkim=(\w+)([^;]*)/g);
  return [...results].map(([, result, properties = ""]) => {
    const property = (name: string) => new RegExp(`header\\.${name}=(\\S+)`).exec(properties)?.[1];
    return [result, property("d"), property("a")].filter(Boolean).join(" ");
  });
}
