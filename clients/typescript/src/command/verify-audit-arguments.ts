import { type Options, one, UsageError, type Values } from "./options.ts";

/** `verify-audit`: which exports to check, with what. */
export interface VerifyAuditCommand {
  name: "verify-audit";
  /** Paths; `-` is standard input. */
  exports: string[];
  /** Verifier keys, or paths of files that hold some. */
  keys: readonly string[];
  witnesses: readonly string[];
  /** The path of an older checkpoint. */
  after: string | null;
  log: string | null;
  json: boolean;
}

/** In the order in which help shows them. */
export const VERIFY_AUDIT_OPTIONS = {
  key: { value: "KEY", many: true, help: "the verifier key of the log, or a file with it; may be repeated" },
  after: { value: "FILE", help: "an older checkpoint that you kept: the log must have grown out of it" },
  witness: { value: "KEY", many: true, help: "the key of a witness who must have signed too, or a file with it" },
  log: { value: "ID", help: "the log that it must be: a mailbox's id or an account's" },
} as const satisfies Options;

/**
 * Reads a call of `verify-audit`.
 * @param exports what was named beside the command. @param values of its options.
 * @throws {UsageError} for what cannot be meant.
 */
export function readVerifyAudit(exports: string[], values: Values): VerifyAuditCommand {
  const keys = values.get("key");
  const after = one(values, "after");
  if (exports.length === 0) throw new UsageError("Name the export to check: a file, or - for standard input.");
  const files = [...(keys ?? []), ...(values.get("witness") ?? []), after];
  if (files.includes("-")) throw new UsageError("Keys and checkpoints are read from files, not from standard input.");
  if (exports.filter((path) => path === "-").length > 1) throw new UsageError("Standard input can be read once only.");
  if (!keys) {
    throw new UsageError("Say which key you trust: --key KEY. A key that the export itself brings proves nothing.");
  }
  if (after !== null && exports.length > 1) throw new UsageError("--after is of one log: name one export.");
  return {
    name: "verify-audit",
    exports,
    keys,
    witnesses: values.get("witness") ?? [],
    after,
    log: one(values, "log"),
    json: values.has("json"),
  };
}
