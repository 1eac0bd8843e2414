import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { APPROVER, ensureTenant, ensureZones, MAIL_DOMAIN, OPERATOR, RECEIVED_BY } from "./bootstrap.ts";
import { startDnsOverHttps } from "./dns-over-https-server.ts";
import { LOOPBACK, listenOnLoopback } from "./listen.ts";
import { startRdap } from "./rdap-server.ts";
import { runWorker } from "./run-worker.ts";
import { type HandOver, type InboundCopy, startInboundSmtp, withReceivedLine } from "./smtp-inbound.ts";
import { startOutboundSmtp } from "./smtp-outbound.ts";
import { loadSecrets, lockWorld, type World, type WorldPaths, worldPaths, writePrivately } from "./world-files.ts";
import { ZonesFile } from "./zones.ts";

/** The whole of MultiMail on one machine: the worker, mail servers for both directions, DNS, and a tenant to try it with. */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Where the API is unless another port is asked for or this one is taken. */
const USUAL_PORT = 8787;

export interface WorldOptions {
  dir: string;
  /** HTTP port; 0 for any free one. Left out: the usual one, or any free one if that is taken. */
  port?: number;
  /** Start with nothing that was there before. */
  fresh?: boolean;
  /** The caller calls `stop` at SIGINT and SIGTERM; otherwise these end this process, and workerd with it, at once. */
  handlesSignals?: boolean;
  /** Hears what a person should know, one sentence at a time. */
  say?: (sentence: string) => void;
  /** Takes the worker's mail in place of the world's own relay. */
  relay?: Relay;
}

/** An SMTP server that is not the world's; it runs when the first mail leaves. */
export interface Relay {
  host: string;
  port: number;
  security: "none" | "starttls" | "tls";
}

export interface RunningWorld {
  world: World;
  paths: WorldPaths;
  /** Stops everything that was started; a second call waits for the first. */
  stop(): Promise<void>;
}

/** Undoes what was started, last first, whatever fails on the way. */
class Teardown {
  readonly #steps: (() => Promise<void> | void)[] = [];
  #done: Promise<void> | null = null;

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  run(): Promise<void> {
    this.#done ??= this.#run();
    return this.#done;
  }

  async #run(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.toReversed()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "The world did not stop cleanly.");
  }
}

async function freePort(wanted: number): Promise<number> {
  const probe = createServer();
  const port = await listenOnLoopback(probe, wanted, probe);
  await new Promise((closed) => probe.close(closed));
  return port;
}

async function choosePort(wanted: number | undefined): Promise<number> {
  if (wanted !== undefined) {
    return freePort(wanted).catch(() => {
      throw new Error(`Port ${wanted} is taken. Choose another with --port.`);
    });
  }
  return freePort(USUAL_PORT).catch(() => freePort(0));
}

/** Removes what a world left in its folder, and nothing else: `--dir` may name any folder. */
function empty(paths: WorldPaths): void {
  const { dir: _dir, lock: _lock, ...files } = paths;
  for (const file of Object.values(files)) rmSync(file, { recursive: true, force: true });
}

/** @returns the migration files in order, each split into statements as wrangler splits them. */
async function migrations(): Promise<{ name: string; statements: string[] }[]> {
  const { unstable_splitSqlQuery: split } = await import("wrangler");
  const dir = join(ROOT, "migrations");
  const names = readdirSync(dir).filter((name) => name.endsWith(".sql"));
  return names.sort().map((name) => ({ name, statements: split(readFileSync(join(dir, name), "utf8")) }));
}

/** Talks to the addresses that `dev/worker.ts` adds. */
function devClient(baseUrl: string, token: string) {
  async function post(path: string, body: Uint8Array | string): Promise<unknown> {
    const response = await fetch(`${baseUrl}/__dev/${path}`, {
      method: "POST",
      headers: { "x-dev-token": token },
      body,
    });
    if (!response.ok) throw new Error(`${path.split("?")[0]} answered ${response.status}: ${await response.text()}`);
    return response.json();
  }
  return {
    migrate: async () => post("migrate", JSON.stringify(await migrations())),
    handOver: async ({ from, to, raw }: InboundCopy) =>
      (await post(`email?${new URLSearchParams({ from, to })}`, raw)) as HandOver,
  };
}

/**
 * Starts a world in `dir`, or goes on with the one that was there.
 * @throws Error with one sentence if another process runs one there, or a part does not start; nothing is left running then.
 */
export async function startWorld(options: WorldOptions): Promise<RunningWorld> {
  const paths = worldPaths(options.dir);
  const say = options.say ?? (() => {});
  const now = Date.now;
  mkdirSync(paths.dir, { recursive: true });
  const teardown = new Teardown();
  const lock = lockWorld(paths);
  teardown.add(lock.release);
  try {
    if (options.fresh) empty(paths);
    mkdirSync(paths.outbox, { recursive: true });
    const secrets = await loadSecrets(paths.secrets);
    await ensureZones(paths);
    const dns = await startDnsOverHttps(new ZonesFile(paths.zones, say));
    teardown.add(() => dns.close());
    const rdap = await startRdap(paths.registrations);
    teardown.add(() => rdap.close());
    const port = await choosePort(options.port);
    const baseUrl = `http://${LOOPBACK}:${port}`;
    const client = devClient(baseUrl, secrets.DEV_TOKEN);

    const outbound = await startOutboundSmtp({
      port: 0,
      outboxDir: paths.outbox,
      isLocal: (recipient) => recipient.toLowerCase().endsWith(`@${MAIL_DOMAIN}`),
      passOn: async ({ from, to, raw, helo }) => {
        const peer = { ip: LOOPBACK, helo, protocol: "ESMTP", id: "loop" };
        const copy = withReceivedLine(raw, peer, to, { receivedBy: RECEIVED_BY, now });
        const result = await client.handOver({ from, to, raw: copy });
        if (result.outcome !== "accepted") throw new Error(`it was ${result.outcome}: ${result.reason}`);
      },
      complain: say,
      now,
    });
    teardown.add(() => outbound.close());
    const relay: Relay = options.relay ?? { host: LOOPBACK, port: outbound.port, security: "none" };
    const worker = await runWorker({
      configFile: join(ROOT, "wrangler.toml"),
      entrypoint: join(ROOT, "dev", "worker.ts"),
      secretsFile: paths.secrets,
      stateDir: paths.state,
      logFile: paths.log,
      port,
      callerHandlesSignals: options.handlesSignals ?? false,
      vars: {
        PUBLIC_URL: baseUrl,
        MAIL_DOMAIN,
        DOH_URL: dns.url,
        RDAP_URL: rdap.url,
        INBOUND_RECEIVED_BY: RECEIVED_BY,
        INBOUND_MX: RECEIVED_BY,
        TRANSPORT: "smtp",
        SMTP_HOST: relay.host,
        SMTP_PORT: String(relay.port),
        SMTP_SECURITY: relay.security,
      },
    });
    teardown.add(() => worker.stop());
    lock.note(worker.pids);
    teardown.add(() => outbound.settled());
    await client.migrate();
    const tenant = await ensureTenant(paths, baseUrl, secrets.SETUP_TOKEN);
    const inbound = await startInboundSmtp({ port: 0, receivedBy: RECEIVED_BY, handOver: client.handOver, now });
    teardown.add(() => inbound.close());

    const world: World = {
      base_url: baseUrl,
      console_url: `${baseUrl}/console`,
      ...tenant,
      approver_email: APPROVER,
      operator_email: OPERATOR,
      smtp: { inbound_port: inbound.port, outbound_port: outbound.port },
      outbox_dir: paths.outbox,
      doh_url: dns.url,
      zones_file: paths.zones,
      pid: process.pid,
    };
    await writePrivately(paths.world, `${JSON.stringify(world, null, 2)}\n`);
    teardown.add(() => rmSync(paths.world, { force: true }));
    return { world, paths, stop: () => teardown.run() };
  } catch (error) {
    await teardown.run().catch((failure: unknown) => say(String(failure)));
    throw error;
  }
}
