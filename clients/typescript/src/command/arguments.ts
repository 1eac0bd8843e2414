import { checkOptions, type Options, optionLines, sortOut, UsageError, type Values } from "./options.ts";
import { readVerify, VERIFY_OPTIONS, type VerifyCommand } from "./verify-arguments.ts";
import { readVerifyAudit, VERIFY_AUDIT_OPTIONS, type VerifyAuditCommand } from "./verify-audit-arguments.ts";

/** What a person asks the command line for. */

export type Command = VerifyCommand | VerifyAuditCommand | { name: "help" } | { name: "version" };

/** Options of every command. */
const COMMON_OPTIONS = {
  json: { value: null, help: "print one JSON object a line in place of text" },
  help: { value: null, short: "h", help: "print this" },
  version: { value: null, help: "print the version" },
} as const satisfies Options;

interface CommandForm {
  /** What follows its name in help. */
  usage: string;
  about: readonly string[];
  options: Options;
  read: (named: string[], values: Values) => Command;
}

const COMMANDS: Readonly<Record<string, CommandForm>> = {
  verify: {
    usage: "MESSAGE.eml… --key FILE [options]",
    about: [
      "Checks who wrote a mail, and who allowed it. MESSAGE.eml is a mail as it arrived, with its headers; - reads it from",
      "standard input. A tenant's key document is at https://<its MultiMail>/v1/identity/public-key?tenant_id=<its id>. Fetch",
      "it over a way that you trust, and keep it: it also lists the domains that the tenant may write from.",
    ],
    options: VERIFY_OPTIONS,
    read: readVerify,
  },
  "verify-audit": {
    usage: "EXPORT.ndjson… --key KEY [options]",
    about: [
      "Checks an export of an audit log: that no entry is missing, moved or changed, and that the log's key signed it. - reads",
      "it from standard input. The verifier key is at https://<its MultiMail>/v1/audit-log/verifier-key?log=<the log's id>.",
      "Fetch it over a way that you trust, and keep it, with a checkpoint now and then.",
    ],
    options: VERIFY_AUDIT_OPTIONS,
    read: readVerifyAudit,
  },
};

function formOf(name: string): CommandForm {
  const form = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!form) throw new UsageError(`There is no command ${name}, only ${Object.keys(COMMANDS).join(" and ")}.`);
  return form;
}

/** Which words take a value does not depend on the command, so that it may stand after them. */
const ALL_OPTIONS: Options = { ...VERIFY_AUDIT_OPTIONS, ...VERIFY_OPTIONS, ...COMMON_OPTIONS };

/**
 * Reads a call.
 * @param words without the program's own name.
 * @throws {UsageError} for what cannot be meant.
 */
export function readCommand(words: readonly string[]): Command {
  const sorted = sortOut(words, ALL_OPTIONS);
  const { values, rest } = sorted;
  const [name, ...named] = rest;
  if (values.has("help") || name === "help") return { name: "help" };
  if (values.has("version")) return { name: "version" };
  if (name === undefined) throw new UsageError("Say what to do: multimail verify MESSAGE.eml --key FILE.");
  const form = formOf(name);
  checkOptions(name, sorted, { ...form.options, ...COMMON_OPTIONS });
  return form.read(named, values);
}

/** @returns the help text. */
export function helpText(): string {
  const commands = Object.entries(COMMANDS).flatMap(([name, { usage, about, options }]) => [
    `  multimail ${name} ${usage}`,
    "",
    ...about,
    "",
    ...optionLines(options),
    "",
  ]);
  return [
    "Checks what an agent's mail says of itself, and what its audit log says of it. Needs no network and no server.",
    "",
    ...commands,
    "Both:",
    "",
    ...optionLines(COMMON_OPTIONS),
    "",
    "Ends with 0 if all that was named is verified and passes, 1 if something does not, 2 if the call or a file cannot be read.",
  ].join("\n");
}
