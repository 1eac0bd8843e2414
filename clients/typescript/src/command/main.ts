import { stderr, stdout } from "node:process";
import { type Command, helpText, readCommand } from "./arguments.ts";
import { checkExport, trustOf } from "./audit.ts";
import { auditJson, auditText } from "./audit-report.ts";
import { UnreadableFile } from "./files.ts";
import { UsageError } from "./options.ts";
import { jsonReport, passes, textReport } from "./report.ts";
import { shown } from "./terminal.ts";
import { check, keysOf } from "./verify.ts";
import type { VerifyCommand } from "./verify-arguments.ts";
import type { VerifyAuditCommand } from "./verify-audit-arguments.ts";

/** The program `multimail`. It opens the files it is given and nothing else: no network, no settings. */

/** Set where it is bundled. */
declare const VERSION: string;

const EXIT = { verified: 0, not_verified: 1, unusable: 2 } as const;
type Exit = (typeof EXIT)[keyof typeof EXIT];

function say(text: string): void {
  stdout.write(`${text}\n`);
}

function complain(sentence: string): void {
  stderr.write(`multimail: ${sentence}\n`);
}

/** What is said of one file, and whether it holds. */
interface Said {
  text: string;
  holds: boolean;
}

/** Checks each file, whatever the ones before were. @returns the worst of how they ended. */
async function each(
  paths: readonly string[],
  separator: string,
  check: (path: string) => Promise<Said>,
): Promise<Exit> {
  let worst: Exit = EXIT.verified;
  let before = "";
  for (const path of paths) {
    try {
      const { text, holds } = await check(path);
      stdout.write(before);
      before = separator;
      say(text);
      if (!holds && worst === EXIT.verified) worst = EXIT.not_verified;
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error;
      complain(error.message);
      worst = EXIT.unusable;
    }
  }
  return worst;
}

async function verify(command: VerifyCommand): Promise<Exit> {
  const keys = await keysOf(command);
  const now = new Date();
  return each(command.messages, command.json ? "" : "\n", async (path) => {
    const checked = await check(path, keys, command, now);
    return { text: command.json ? jsonReport(checked) : textReport(checked), holds: passes(checked) };
  });
}

async function verifyAudit(command: VerifyAuditCommand): Promise<Exit> {
  const trust = await trustOf(command);
  return each(command.exports, command.json ? "" : "\n", async (path) => {
    const verdict = await checkExport(path, trust);
    return { text: command.json ? auditJson(path, verdict) : auditText(path, verdict), holds: verdict.ok };
  });
}

async function perform(command: Command): Promise<Exit> {
  switch (command.name) {
    case "help":
      say(helpText());
      return EXIT.verified;
    case "version":
      say(VERSION);
      return EXIT.verified;
    case "verify":
      return verify(command);
    case "verify-audit":
      return verifyAudit(command);
  }
}

/**
 * Runs the program.
 * @param words of the call, without the program's own name.
 * @returns the exit code: 0 if all that was named is verified and passes, 1 if something does not, 2 if the call or a file cannot be read.
 */
export async function main(words: readonly string[]): Promise<number> {
  // Whoever reads may have read enough (`multimail … | head -1`).
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  try {
    return await perform(readCommand(words));
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof UnreadableFile)) throw error;
    complain(shown(error.message));
    if (error instanceof UsageError) stderr.write("Run multimail --help to see how it is used.\n");
    return EXIT.unusable;
  }
}
