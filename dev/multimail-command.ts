import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ExportVerdict } from "../src/audit/verify-export.ts";
import type { HeaderVerdict, MessageVerdict } from "../src/identity/verdict.ts";

/** The command line `multimail`, as people run it who check mail. */

const PROGRAM = join(import.meta.dirname, "../clients/typescript/bin/multimail.js");
const MAX_OUTPUT = 64 * 1024 * 1024;

/** One line that `multimail verify --json` prints. */
export interface CommandVerdict extends Pick<MessageVerdict, "verified" | "reasons" | "claim" | "agent_metadata"> {
  file: string;
  key: Pick<HeaderVerdict, "kid" | "fingerprint"> | null;
}

const execute = promisify(execFile);

/** @returns whether the program ended with 1: a message is not verified, which is an answer. */
function isAnswer(error: unknown): error is { stdout: string } {
  return error instanceof Error && "code" in error && error.code === 1 && "stdout" in error && error.stdout !== "";
}

async function run(command: string, words: readonly string[]): Promise<string> {
  const { stdout } = await execute(process.execPath, [PROGRAM, command, ...words, "--json"], {
    maxBuffer: MAX_OUTPUT,
  }).catch((error: unknown) => {
    if (isAnswer(error)) return error;
    throw error;
  });
  return stdout.trim();
}

/**
 * Runs `multimail verify`.
 * @param words messages and options, as on the command line.
 * @returns what it says of each message, in their order.
 * @throws Error if the call or a file cannot be read.
 */
export async function multimailVerify(...words: string[]): Promise<CommandVerdict[]> {
  return (await run("verify", words)).split("\n").map((line) => JSON.parse(line));
}

/**
 * Runs `multimail verify-audit`.
 * @param words the export and options, as on the command line.
 * @returns what it says of the export. @throws Error if the call or a file cannot be read.
 */
export async function multimailVerifyAudit(...words: string[]): Promise<ExportVerdict> {
  return JSON.parse(await run("verify-audit", words));
}
