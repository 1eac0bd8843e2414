import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { stateOf } from "../../dev/process-state.ts";
import { until } from "../../dev/until.ts";
import { startWatchdog, type Watchdog } from "../../dev/watchdog.ts";

/** A program in a process group of its own, so that a test sees whether it left anything behind. */
export interface Program {
  child: ChildProcess;
  /** What it has written so far, both streams. */
  output(): string;
  /** Resolves with its exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals | null>;
  /** Sends a signal to the whole group, as a terminal does. */
  interrupt(signal: NodeJS.Signals): void;
  /** Resolves when no process of its group runs any more. */
  gone(): Promise<true>;
}

/** `group` is below zero, as for kill(2). */
function isGroup(group: number): boolean {
  try {
    process.kill(group, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
  if (process.platform !== "linux") return true;
  // Orphans that ended stay there as zombies where the first process of a container does not collect them.
  return readdirSync("/proc").some((name) => {
    const state = /^\d+$/.test(name) ? stateOf(Number(name)) : null;
    return state !== null && state.group === -group && !state.zombie;
  });
}

const groups = new Set<number>();
/** For a test run that is itself killed. */
let watchdog: Watchdog | null = null;

/** Kills whatever a failed test left running. */
export async function killAll(): Promise<void> {
  for (const group of groups) if (isGroup(group)) process.kill(group, "SIGKILL");
  groups.clear();
  await watchdog?.release();
  watchdog = null;
}

/** Starts `command` with these arguments. */
export function run(command: string, args: string[], options: SpawnOptions = {}): Program {
  const child = spawn(command, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (part) => (text += part));
  if (child.pid === undefined) throw new Error(`${command} cannot be run.`);
  const group = -child.pid;
  groups.add(group);
  watchdog ??= startWatchdog();
  watchdog.watch(group);
  return {
    child,
    output: () => text,
    ended: new Promise((ended) => child.once("close", (code, signal) => ended(code ?? signal))),
    interrupt: (signal) => process.kill(group, signal),
    gone: () => until(`the end of all processes of ${command}`, () => (isGroup(group) ? null : true)),
  };
}

/** Waits for `probe`; if the program ends first, fails with what it wrote. */
export async function whileRunning<T>(
  program: Program,
  what: string,
  probe: () => Promise<T | null> | T | null,
): Promise<T> {
  const early = program.ended.then((code): never => {
    throw new Error(`It ended with ${code} before ${what}: ${program.output()}`);
  });
  return Promise.race([until(what, probe), early]);
}

/** @returns whether anything listens on `port`. */
export function listens(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      answer(true);
    });
    socket.once("error", () => answer(false));
  });
}
