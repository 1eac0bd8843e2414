import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";

/** Ends processes that would outlive this one, should it be killed before it can end them itself. */

/** Reads one process id a line, and kills all of them at the end of its input: when whoever holds the other end is gone. */
const SCRIPT = `trap "" INT TERM HUP; pids=; while read -r pid; do pids="$pids $pid"; done; kill -9 $pids 2>/dev/null`;

export interface Watchdog {
  /** From now on a process (or, below zero, a group) that is killed when this process ends. */
  watch(pid: number): void;
  /** Forgets them all; to be called once they have ended, before their ids can be another's. */
  release(): Promise<void>;
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((ended) => {
    child.once("close", () => ended());
    // There is no POSIX shell here: what outlives this process then stays, and its world's lock file names it.
    child.once("error", () => ended());
  });
}

/** Starts a watchdog; it keeps no event loop alive. */
export function startWatchdog(): Watchdog {
  const shell = spawn("sh", ["-c", SCRIPT], { stdio: ["pipe", "ignore", "ignore"] });
  const ended = endOf(shell);
  shell.stdin.on("error", () => {
    // A watchdog that was killed watches no more; what it watched is unharmed.
  });
  shell.unref();
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  return {
    watch: (pid) => void shell.stdin.write(`${pid}\n`),
    release: () => {
      shell.kill("SIGKILL");
      return ended;
    },
  };
}
