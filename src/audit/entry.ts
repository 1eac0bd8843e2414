import { createHash } from "node:crypto";
import { canonical } from "../canonical-json.ts";
import type { Door } from "../oversight/caller.ts";
import type { Mode } from "../oversight/modes.ts";

/** FORMATS.md §6. */
export interface Actor {
  type: "agent" | "human" | "system";
  /** An agent's key, a person's address (sealed: `approver` in `detail`'s personal part), or `multimail`. */
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

/** The RFC 6962 leaf hash. @param text the entry's canonical form. @returns lower-case hex SHA-256(0x00 ‖ text). */
export function hashEntryText(text: string): string {
  return createHash("sha256").update(Buffer.of(0)).update(text).digest("hex");
}

/** @returns the first moment an entry may carry: never before `previous`, however the clock jumped. */
export function entryTime(now: number, previous: string | null): string {
  const at = new Date(now).toISOString();
  return previous !== null && previous > at ? previous : at;
}
