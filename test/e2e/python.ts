import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";

/** The programs of `second-implementation/`, which are in Python. */

const PYTHON = process.env.MULTIMAIL_PYTHON ?? "python3";

/** Whoever names an interpreter wants it to be used: if it lacks something, that is a failure. */
export const hasPython =
  process.env.MULTIMAIL_PYTHON !== undefined || spawnSync(PYTHON, ["-c", "import cryptography"]).status === 0;

function python(program: string, words: readonly string[], input?: Uint8Array): Buffer {
  const file = join(import.meta.dirname, "second-implementation", program);
  return execFileSync(PYTHON, ["-B", file, ...words], { input: input ?? "", maxBuffer: 64 * 1024 * 1024 });
}

/** What verify.py says of a file. */
export interface PythonVerdict {
  file: string;
  verified: boolean | null;
  reasons: string[];
  agent?: string;
}

/** @param words as verify.py takes them: `mail` or `receipt`, the key document's file, and what to verify. */
export function pythonVerify(...words: string[]): PythonVerdict[] {
  const lines = python("verify.py", words).toString().trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** @param how one of relay.py's ways. @returns the message as that relay sends it on. */
export function relayed(how: string, raw: Uint8Array): Buffer {
  return python("relay.py", [how], raw);
}

/** Whether there is a Python with dkimpy too; whoever names an interpreter wants it to be used. */
export const hasDkimPython =
  process.env.MULTIMAIL_PYTHON !== undefined || spawnSync(PYTHON, ["-c", "import dkim, nacl"]).status === 0;

/** What dkimpy says of one signature. */
export interface DkimPythonVerdict {
  domain: string | null;
  selector: string | null;
  algorithm: string | null;
  /** The names in `h=`. */
  headers: string[];
  /** The names of the signature's tags. */
  tags: string[];
  passes: boolean;
  error: string | null;
}

/**
 * @param zoneFile JSON: `{"<name>": "<TXT>"}`.
 * @returns of each file, what dkimpy says of each of its signatures, from the topmost on.
 */
export function dkimPythonVerify(zoneFile: string, ...files: string[]): DkimPythonVerdict[][] {
  const lines = python("dkim_verify.py", [zoneFile, ...files])
    .toString()
    .trim()
    .split("\n");
  return lines.map((line) => JSON.parse(line).signatures);
}

/** What dkimpy says of a message's ARC chain. */
export interface DkimpyChain {
  file: string;
  cv: "none" | "pass" | "fail";
  instances: number[];
  reason: string;
}

/** @param words as arc_verify.py takes them: the zone's file, and the messages. */
export function dkimpyArc(...words: string[]): DkimpyChain[] {
  const lines = python("arc_verify.py", words).toString().trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** What verify_audit.py says of an export. */
export interface PythonAuditVerdict {
  file: string;
  ok: boolean;
  entries?: number;
  size?: number;
  problem: string | null;
}

/** @param words as verify_audit.py takes them: the verifier key, and the exports. */
export function pythonVerifyAudit(...words: string[]): PythonAuditVerdict[] {
  const lines = python("verify_audit.py", words).toString().trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}
