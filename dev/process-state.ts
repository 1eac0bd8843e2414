import { existsSync, readFileSync } from "node:fs";

/** What Linux tells of a process, in `/proc/<pid>/stat` (proc(5)). */
export interface ProcessState {
  /** It has ended, and only whoever started it has not collected it yet. */
  zombie: boolean;
  group: number;
}

/** @returns null if there is no such process, or this is not Linux. */
export function stateOf(pid: number): ProcessState | null {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return null;
  let stat: string;
  try {
    stat = readFileSync(file, "utf8");
  } catch {
    // It was collected in between.
    return null;
  }
  // The program's name comes first, in parentheses, and may hold some itself.
  const [state, _parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { zombie: state === "Z", group: Number(group) };
}

/** @returns whether a process with that id runs. One that was killed with its parent may stay a zombie for good. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, under another user.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  return !stateOf(pid)?.zombie;
}
