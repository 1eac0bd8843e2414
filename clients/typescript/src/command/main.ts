import { stderr, stdout } from "node:process";
import { type Command, helpText, readCommand, UsageError, type VerifyCommand } from "./arguments.ts";
import { UnreadableFile } from "./files.ts";
import { jsonReport, passes, textReport } from "./report.ts";
import { shown } from "./terminal.ts";
import { check, keysOf } from "./verify.ts";

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

/** Checks each message, whatever the ones before were. @returns the worst of how they ended. */
async function verify(command: VerifyCommand): Promise<Exit> {
  const keys = await keysOf(command);
  const now = new Date();
  let worst: Exit = EXIT.verified;
  let separator = "";
  for (const path of command.messages) {
    try {
      const checked = await check(path, keys, command, now);
      stdout.write(separator);
      separator = command.json ? "" : "\n";
      say(command.json ? jsonReport(checked) : textReport(checked));
      if (!passes(checked) && worst === EXIT.verified) worst = EXIT.not_verified;
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error;
      complain(error.message);
      worst = EXIT.unusable;
    }
  }
  return worst;
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
  }
}

/**
 * Runs the program.
 * @param words of the call, without the program's own name.
 * @returns the exit code: 0 if every message is verified and passes, 1 if one does not, 2 if the call or a file cannot be read.
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
