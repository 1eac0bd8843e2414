import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** The program `multimail` as people run it: `node bin/multimail.js`, on each Node that is here, with every way to a network shut. */

export const PROGRAM = "clients/typescript/bin/multimail.js";
export const NO_NETWORK = pathToFileURL("test/support/no-network.mjs").href;

function versionOf(node: string): string | null {
  return existsSync(node) ? execFileSync(node, ["--version"], { encoding: "utf8" }).trim() : null;
}

/** The Node that runs the tests, and an older one where the machine has it. */
export const NODES = [process.execPath, "/usr/bin/node"]
  .map((path) => ({ path, version: versionOf(path) }))
  .filter(({ version }, index, all) => version && all.findIndex((other) => other.version === version) === index);

/** How a call ended. */
export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** @param input of standard input. */
export function runOn(node: string, words: readonly string[], input?: Uint8Array | string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(node, ["--import", NO_NETWORK, PROGRAM, ...words], { stdio: "pipe" });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (chunk) => out.push(chunk));
    child.stderr.on("data", (chunk) => err.push(chunk));
    child.on("error", reject);
    child.on("close", (code) =>
      resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }),
    );
    // It need not read what it is not asked to.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/** The same on the Node that runs the tests. */
export const multimail = (words: readonly string[], input?: Uint8Array | string) =>
  runOn(process.execPath, words, input);
