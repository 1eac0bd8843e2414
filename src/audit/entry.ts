import { canonical } from "../canonical-json.ts";
import { utf8 } from "../identity/encoding.ts";
import type { Door } from "../oversight/caller.ts";
import type { Mode } from "../oversight/modes.ts";
import { sha256Hex } from "./sha256.ts";

/** FORMATS.md §6. */
export interface Actor {
  type: "agent" | "human" | "system";
  /** An agent or its key, `multimail`, or what a person is here, such as `approver`. Never an address: who it was is sealed. */
  id: string;
  agent_id?: string;
  key_id?: string;
  via: Door;
}

export interface SealedFields {
  /** Which data key; destroying it erases these fields and leaves the log verifiable. */
  kid: string;
  /** Base64. */
  iv: string;
  /** Base64: AES-256-GCM ciphertext and tag of the fields' JSON. */
  ct: string;
}

export type DetailValue = string | number | boolean | null | string[];

export interface Entry {
  v: 1;
  /** A mailbox id or a tenant id. */
  log: string;
  /** From 0, without gaps. */
  seq: number;
  id: string;
  /** ISO 8601; never before its predecessor's. */
  at: string;
  actor: Actor;
  action: string;
  resource: { type: string; id: string };
  mode: Mode | null;
  /** Enums, ids and integers only; what says something of a person is in `sealed`. */
  detail: Record<string, DetailValue>;
  sealed?: SealedFields;
  /** The previous entry's hash. */
  prev: string;
}

/** `prev` of the first entry. */
export const NO_PREVIOUS = "0".repeat(64);

/** @returns the RFC 8785 form that is hashed and stored. */
export function entryText(entry: Entry): string {
  return canonical(entry);
}

function refuseUnhashable(value: unknown, path: string): void {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new Error(`${path} of an entry is no integer`);
  if (typeof value === "string" && !value.isWellFormed()) throw new Error(`${path} of an entry has a lone surrogate`);
  if (typeof value !== "object" || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    refuseUnhashable(name, `a name in ${path}`);
    refuseUnhashable(inner, `${path}.${name}`);
  }
}

/**
 * @returns the RFC 8785 form of an entry that is about to be appended.
 * @throws Error for a number that is no integer and a string with a lone surrogate, which not every verifier writes alike
 *   (FORMATS.md §6). It would be a defect of ours: doors take no such text, and what is read of mail is sealed.
 */
export function newEntryText(entry: Entry): string {
  refuseUnhashable(entry, "the text");
  return entryText(entry);
}

/** The RFC 6962 leaf hash. @param text the entry's canonical form. @returns lower-case hex SHA-256(0x00 ‖ text). */
export function hashEntryText(text: string): string {
  return sha256Hex(utf8(`\0${text}`));
}

/** @returns the first moment an entry may carry: never before `previous`, however the clock jumped. */
export function entryTime(now: number, previous: string | null): string {
  const at = new Date(now).toISOString();
  return previous !== null && previous > at ? previous : at;
}
