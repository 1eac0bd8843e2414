import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Mailbox } from "../src/operations/shapes/mailbox.ts";
import { isAlive } from "./process-state.ts";

/** The files of a world, all below its folder. */
export interface WorldPaths {
  dir: string;
  /** What anyone needs to use the world; only there while it runs. */
  world: string;
  /** What was made at set-up, kept between runs. */
  tenant: string;
  /** MASTER_KEY, SETUP_TOKEN and DEV_TOKEN, as dotenv. */
  secrets: string;
  zones: string;
  /** Since when domains are registered, for RDAP. */
  registrations: string;
  outbox: string;
  senders: string;
  state: string;
  log: string;
  lock: string;
}

/** `world.json`, as DESIGN.md says. */
export interface World {
  base_url: string;
  console_url: string;
  keys: { agent: string; oversight: string; admin: string };
  /** One in each mode, from the strictest to the loosest. */
  mailboxes: Mailbox[];
  approver_email: string;
  operator_email: string;
  smtp: { inbound_port: number; outbound_port: number };
  outbox_dir: string;
  doh_url: string;
  zones_file: string;
  pid: number;
}

/** @returns where the files of the world in `dir` are. */
export function worldPaths(dir: string): WorldPaths {
  const root = resolve(dir);
  const below = (name: string) => join(root, name);
  return {
    dir: root,
    world: below("world.json"),
    tenant: below("tenant.json"),
    secrets: below(".dev.vars"),
    zones: below("zones.json"),
    registrations: below("registrations.json"),
    outbox: below("outbox"),
    senders: below("senders"),
    state: below("state"),
    log: below("worker.log"),
    lock: below("lock"),
  };
}

/** Writes a file that only its owner may read, whole or not at all. */
export async function writePrivately(file: string, text: string): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  await writeFile(part, text, { mode: 0o600 });
  await rename(part, file);
}

/** @returns the JSON in `file`, or null if there is no such file. @throws SyntaxError if it is not JSON. */
export function readJson(file: string): unknown {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
}

export interface Secrets {
  MASTER_KEY: string;
  SETUP_TOKEN: string;
  DEV_TOKEN: string;
}

const NEW_SECRETS: Record<keyof Secrets, () => string> = {
  MASTER_KEY: () => randomBytes(32).toString("base64"),
  SETUP_TOKEN: () => randomBytes(32).toString("base64url"),
  DEV_TOKEN: () => randomBytes(32).toString("base64url"),
};

/** Reads the world's secrets and makes those that are absent. Each world has its own, since its state is sealed with them. */
export async function loadSecrets(file: string): Promise<Secrets> {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const found: Record<string, string> = {};
  for (const match of text.matchAll(/^\s*(\w+)\s*=\s*"?([^"\r\n]*)"?\s*$/gm)) found[match[1] ?? ""] = match[2] ?? "";
  const secret = (name: keyof Secrets) => found[name] || NEW_SECRETS[name]();
  const secrets: Secrets = {
    MASTER_KEY: secret("MASTER_KEY"),
    SETUP_TOKEN: secret("SETUP_TOKEN"),
    DEV_TOKEN: secret("DEV_TOKEN"),
  };
  const all = { ...found, ...secrets };
  if (Object.keys(all).some((name) => all[name as keyof Secrets] !== found[name])) {
    const lines = Object.entries(all).map(([name, value]) => `${name}="${value}"\n`);
    await writePrivately(file, lines.join(""));
  }
  return secrets;
}

/** A folder that this process has for itself. */
export interface WorldLock {
  /** Writes down processes that would go on using the folder if this one were killed. */
  note(pids: number[]): void;
  release(): void;
}

/** The first process named in the lock file that still runs, or null. */
function holderOf(lock: string): number | null {
  const pids = readFileSync(lock, "utf8").split(" ").map(Number);
  return pids.find((pid) => pid > 0 && isAlive(pid)) ?? null;
}

/**
 * Takes the folder for this process, since two workerds on the same files would corrupt them.
 * @throws Error with one sentence if another process has it.
 */
export function lockWorld({ dir, lock }: WorldPaths): WorldLock {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx", mode: 0o600 });
      return {
        note: (pids) => writeFileSync(lock, [process.pid, ...pids].join(" ")),
        release: () => rmSync(lock, { force: true }),
      };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      const holder = holderOf(lock);
      if (holder !== null) {
        throw new Error(
          `A world already runs in ${dir} (process ${holder}). Stop it, or use another folder with --dir. ` +
            `Should process ${holder} be something else, delete ${lock}.`,
        );
      }
      // Its process was killed and could not tidy up.
      rmSync(lock, { force: true });
    }
  }
  throw new Error(`Another process is starting a world in ${dir}.`);
}

/** @returns the world that runs in `dir`, or null if none answers there. */
export async function findWorld(dir: string): Promise<World | null> {
  const { world: file } = worldPaths(dir);
  if (!existsSync(file)) return null;
  const world: World = JSON.parse(readFileSync(file, "utf8"));
  if (!isAlive(world.pid)) return null;
  const answers = await fetch(`${world.base_url}/health`).then(
    async (response) => {
      await response.body?.cancel();
      return response.ok;
    },
    () => false,
  );
  return answers ? world : null;
}
