import type { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { appendFileSync } from "node:fs";
import { LOOPBACK } from "./listen.ts";
import { startWatchdog } from "./watchdog.ts";

/** Runs the worker in workerd through wrangler: bundled, with local D1, R2, Durable Objects and Queues. No network. */

export interface WorkerSettings {
  /** wrangler.toml. */
  configFile: string;
  entrypoint: string;
  /** A dotenv file with the secrets; the project's own `.dev.vars` is not read. */
  secretsFile: string;
  /** Override what wrangler.toml says. */
  vars: Record<string, string>;
  /** Where D1, R2 and the objects keep their files. */
  stateDir: string;
  /** What the worker logs and throws goes here. */
  logFile: string;
  port: number;
  /** The caller stops the worker at SIGINT and SIGTERM; otherwise these end this process, and workerd with it, at once. */
  callerHandlesSignals: boolean;
}

export interface RunningWorker {
  /** workerd's processes. */
  pids: number[];
  /** Ends workerd and waits until it is gone. */
  stop(): Promise<void>;
}

/** wrangler reads these when it is used, not when it is loaded. */
const OFFLINE: Record<string, string> = {
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_WRITE_LOGS: "false",
};

function causeOf(event: unknown): Error {
  if (event instanceof Error) return event;
  if (typeof event === "object" && event !== null) {
    if ("cause" in event && event.cause) return causeOf(event.cause);
    if ("error" in event && event.error) return causeOf(event.error);
    if ("message" in event) return new Error(String(event.message));
    if ("reason" in event) return new Error(String(event.reason));
  }
  return new Error(String(event));
}

/**
 * Miniflare adds handlers that end the process at SIGINT and SIGTERM, half-way through whatever stops it cleanly. Takes away
 * what is added for these from now on; its handler at exit, which kills workerd, stays.
 * @returns ends that.
 */
function keepSignals(): () => void {
  const remove = (event: string | symbol, listener: () => void) => {
    if (event === "SIGINT" || event === "SIGTERM") queueMicrotask(() => process.off(event, listener));
  };
  process.on("newListener", remove);
  return () => process.off("newListener", remove);
}

function isSpawn(message: unknown): message is { process: ChildProcess } {
  return typeof message === "object" && message !== null && "process" in message;
}

/** Tells the id of each workerd that is started from now on. @returns ends that. */
function onWorkerd(started: (pid: number) => void): () => void {
  const onSpawn = (message: unknown) => {
    if (!isSpawn(message)) return;
    // Told before the spawn, which is over when the current code is.
    queueMicrotask(() => {
      const { pid, spawnfile } = message.process;
      if (pid !== undefined && /workerd/.test(spawnfile)) started(pid);
    });
  };
  subscribe("child_process", onSpawn);
  return () => void unsubscribe("child_process", onSpawn);
}

/**
 * Starts workerd.
 * @returns once the worker takes requests on the port.
 * @throws Error if it cannot be bundled or started; nothing is left running then.
 */
export async function runWorker(settings: WorkerSettings): Promise<RunningWorker> {
  Object.assign(process.env, OFFLINE);
  // wrangler takes over a second to load, which nothing that only imports this file should pay.
  const { unstable_DevEnv: DevEnv } = await import("wrangler");
  const environment = new DevEnv();
  const failures = ["error", "buildFailed"];
  const started = new Promise<void>((ready, failed) => {
    environment.on("reloadComplete", () => ready());
    for (const event of failures) environment.on(event, (cause: unknown) => failed(causeOf(cause)));
  });
  const releaseSignals = settings.callerHandlesSignals ? keepSignals() : () => {};
  const pids: number[] = [];
  const watchdog = startWatchdog();
  const ignoreWorkerd = onWorkerd((pid) => {
    pids.push(pid);
    watchdog.watch(pid);
  });
  const log = (text: string) => appendFileSync(settings.logFile, `${new Date().toISOString()} ${text}\n`);
  try {
    const [worker] = await Promise.all([
      environment.startWorker({
        config: settings.configFile,
        entrypoint: settings.entrypoint,
        envFiles: [settings.secretsFile],
        bindings: Object.fromEntries(
          Object.entries(settings.vars).map(([name, value]) => [name, { type: "plain_text", value }]),
        ),
        dev: {
          server: { hostname: LOOPBACK, port: settings.port },
          inspector: false,
          watch: false,
          remote: false,
          persist: settings.stateDir,
          logLevel: "none",
          structuredLogsHandler: (entry: { level: string; message: string }) => log(`${entry.level} ${entry.message}`),
        },
      }),
      started,
    ]);
    await worker.ready;
    environment.on("error", (cause: unknown) => log(`error ${causeOf(cause).stack}`));
    return { pids, stop: () => worker.dispose().finally(watchdog.release) };
  } catch (error) {
    await environment.teardown().finally(watchdog.release);
    throw error;
  } finally {
    ignoreWorkerd();
    releaseSignals();
  }
}
