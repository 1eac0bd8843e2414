import { domainToASCII } from "node:url";
import { parseArgs } from "node:util";
import { CLAIM_LIMITS } from "../../../../src/identity/claim.ts";
import type { IdentityPolicy } from "../../../../src/identity/verdict.ts";
import { MODES, type Mode } from "../../../../src/oversight/modes.ts";

/** What a person asks the command line for. */

/** `verify`: what to check, with what. */
export interface VerifyCommand {
  name: "verify";
  /** Paths; `-` is standard input. */
  messages: string[];
  /** The path of the public key. */
  key: string;
  /** The path of the sender domain's Ed25519 key. */
  ed25519: string | null;
  /** Lower-case A-labels; null where the reader named none. */
  domains: string[] | null;
  policy: IdentityPolicy;
  json: boolean;
}

export type Command = VerifyCommand | { name: "help" } | { name: "version" };

/** A call that cannot be meant as it is; the message is one sentence for people. */
export class UsageError extends Error {
  override name = "UsageError";
}

interface Option {
  /** How help names its value; null for a switch. */
  value: string | null;
  /** Whether it may be given more than once. */
  many?: true;
  short?: string;
  help: string;
}

/** In the order in which help shows them. */
export const OPTIONS = {
  key: { value: "FILE", help: "the public key that you trust: PEM, JWK, JWKS, or a tenant's key document" },
  domain: { value: "DOMAIN", many: true, help: "a domain that the key's owner may write from; may be repeated" },
  ed25519: { value: "FILE", many: true, help: "the sender domain's Ed25519 key (PEM), for the domain-bound header" },
  "max-age": { value: "TIME", help: "refuse what was sent longer ago: 90s, 15m, 12h, 7d" },
  agent: { value: "ID", help: "refuse what another agent wrote" },
  mode: { value: "MODES", help: `refuse other oversight modes than these, comma-separated: ${MODES.join(", ")}` },
  "require-approval": { value: null, help: "refuse what nobody approved" },
  json: { value: null, help: "print one JSON object a line in place of text" },
  help: { value: null, short: "h", help: "print this" },
  version: { value: null, help: "print the version" },
} as const satisfies Record<string, Option>;
type OptionName = keyof typeof OPTIONS;

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

/** The words of a call, checked against the table: each option's values, and what is no option. */
function sortOut(words: readonly string[]): { values: Map<OptionName, string[]>; rest: string[] } {
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries<Option>(OPTIONS).map(([name, { value, short }]) => [
        name,
        { type: value === null ? ("boolean" as const) : ("string" as const), ...(short && { short }) },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<OptionName, string[]>();
  const rest: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") rest.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    if (!isOption(name)) throw new UsageError(`There is no option ${rawName}.`);
    const option: Option = OPTIONS[name];
    if (option.value === null && value !== undefined) throw new UsageError(`${rawName} takes no value.`);
    // `--key --json` forgot the key; who means a file of that name writes `--key=--json`.
    if (option.value !== null && (!value || (!inlineValue && value.startsWith("-"))))
      throw new UsageError(`${rawName} needs a value: ${rawName} ${option.value}.`);
    if (values.has(name) && !option.many) throw new UsageError(`${rawName} is given twice.`);
    values.set(name, [...(values.get(name) ?? []), value ?? ""]);
  }
  return { values, rest };
}

function domainOf(text: string): string {
  const domain = domainToASCII(text.replace(/\.$/, "")).toLowerCase();
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(domain)) throw new UsageError(`--domain ${text} is no domain.`);
  return domain;
}

function secondsOf(text: string): number {
  const [, digits = "", unit = ""] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * (SECONDS[unit] ?? 0);
  if (seconds === 0) throw new UsageError(`--max-age ${text} is no time: write 90s, 15m, 12h or 7d.`);
  return seconds;
}

function agentOf(text: string): string {
  if (!CLAIM_LIMITS.agent_id.test(text)) {
    throw new UsageError(`--agent ${text} is no agent's id: 1 to 64 characters of A-Z a-z 0-9 . _ -.`);
  }
  return text;
}

function isMode(text: string): text is Mode {
  return MODES.some((mode) => mode === text);
}

function modesOf(text: string): Mode[] {
  return text.split(",").map((word) => {
    const mode = word.trim();
    if (!isMode(mode)) throw new UsageError(`There is no mode ${mode || "without a name"}: ${MODES.join(", ")}.`);
    return mode;
  });
}

function policyOf(values: Map<OptionName, string[]>): IdentityPolicy {
  const [age] = values.get("max-age") ?? [];
  const [agent] = values.get("agent") ?? [];
  const [modes] = values.get("mode") ?? [];
  return {
    ...(age !== undefined && { max_age: secondsOf(age) }),
    ...(agent !== undefined && { expected_agent: agentOf(agent) }),
    ...(modes !== undefined && { allowed_modes: modesOf(modes) }),
    ...(values.has("require-approval") && { require_approval: true }),
  };
}

/**
 * Reads a call.
 * @param words without the program's own name.
 * @throws {UsageError} for what cannot be meant.
 */
export function readCommand(words: readonly string[]): Command {
  const { values, rest } = sortOut(words);
  const [name, ...messages] = rest;
  if (values.has("help") || name === "help") return { name: "help" };
  if (values.has("version")) return { name: "version" };
  if (name === undefined) throw new UsageError("Say what to do: multimail verify MESSAGE.eml --key FILE.");
  if (name !== "verify") throw new UsageError(`There is no command ${name}, only verify.`);
  if (messages.length === 0) throw new UsageError("Name the message to check: a file, or - for standard input.");
  if (values.get("key")?.[0] === "-") throw new UsageError("The key is read from a file, not from standard input.");
  if (messages.filter((path) => path === "-").length > 1) throw new UsageError("Standard input can be read once only.");
  const [key] = values.get("key") ?? [];
  if (key === undefined) {
    throw new UsageError("Say whose key you trust: --key FILE. A key that the message itself brings proves nothing.");
  }
  return {
    name,
    messages,
    key,
    ed25519: values.get("ed25519")?.[0] ?? null,
    domains: values.get("domain")?.map(domainOf) ?? null,
    policy: policyOf(values),
    json: values.has("json"),
  };
}

const NAME_WIDTH = 24;

/** @returns the help text. */
export function helpText(): string {
  const options = Object.entries<Option>(OPTIONS).map(([name, { value, short, help }]) => {
    const written = `${short ? `-${short}, ` : ""}--${name}${value === null ? "" : ` ${value}`}`;
    return `  ${written.padEnd(NAME_WIDTH)}${help}`;
  });
  return [
    "Checks who wrote a mail, and who allowed it. Needs no network and no server.",
    "",
    "  multimail verify MESSAGE.eml… --key FILE [options]",
    "",
    "MESSAGE.eml is a mail as it arrived, with its headers; - reads it from standard input.",
    "",
    ...options,
    "",
    "A tenant's key document is at https://<its MultiMail>/v1/identity/public-key?tenant_id=<its id>. Fetch it over a way that",
    "you trust, and keep it: it also lists the domains that the tenant may write from.",
    "",
    "Ends with 0 if every message is verified and passes, 1 if one does not, 2 if the call or a file cannot be read.",
  ].join("\n");
}
