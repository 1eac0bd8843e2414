import { domainToASCII } from "node:url";
import { CLAIM_LIMITS } from "../../../../src/identity/claim.ts";
import type { IdentityPolicy } from "../../../../src/identity/verdict.ts";
import { MODES, type Mode } from "../../../../src/oversight/modes.ts";
import { type Options, one, UsageError, type Values } from "./options.ts";

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

/** In the order in which help shows them. */
export const VERIFY_OPTIONS = {
  key: { value: "FILE", help: "the public key that you trust: PEM, JWK, JWKS, or a tenant's key document" },
  domain: { value: "DOMAIN", many: true, help: "a domain that the key's owner may write from; may be repeated" },
  ed25519: { value: "FILE", many: true, help: "the sender domain's Ed25519 key (PEM), for the domain-bound header" },
  "max-age": { value: "TIME", help: "refuse what was sent longer ago: 90s, 15m, 12h, 7d" },
  agent: { value: "ID", help: "refuse what another agent wrote" },
  mode: { value: "MODES", help: `refuse other oversight modes than these, comma-separated: ${MODES.join(", ")}` },
  "require-approval": { value: null, help: "refuse what nobody approved" },
} as const satisfies Options;

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

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

function policyOf(values: Values): IdentityPolicy {
  const [age, agent, modes] = [one(values, "max-age"), one(values, "agent"), one(values, "mode")];
  return {
    ...(age !== null && { max_age: secondsOf(age) }),
    ...(agent !== null && { expected_agent: agentOf(agent) }),
    ...(modes !== null && { allowed_modes: modesOf(modes) }),
    ...(values.has("require-approval") && { require_approval: true }),
  };
}

/**
 * Reads a call of `verify`.
 * @param messages what was named beside the command. @param values of its options.
 * @throws {UsageError} for what cannot be meant.
 */
export function readVerify(messages: string[], values: Values): VerifyCommand {
  const key = one(values, "key");
  if (messages.length === 0) throw new UsageError("Name the message to check: a file, or - for standard input.");
  if (key === "-") throw new UsageError("The key is read from a file, not from standard input.");
  if (messages.filter((path) => path === "-").length > 1) throw new UsageError("Standard input can be read once only.");
  if (key === null) {
    throw new UsageError("Say whose key you trust: --key FILE. A key that the message itself brings proves nothing.");
  }
  return {
    name: "verify",
    messages,
    key,
    ed25519: one(values, "ed25519"),
    domains: values.get("domain")?.map(domainOf) ?? null,
    policy: policyOf(values),
    json: values.has("json"),
  };
}
