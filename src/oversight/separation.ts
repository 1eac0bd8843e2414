import type { Caller } from "./caller.ts";

/** Who submitted a message, as recorded with it. */
export interface Author {
  key_id: string;
  /** The key that made the author's key, or null. */
  created_by: string | null;
  agent_id: string | null;
}

/**
 * Separation of duties: a key never decides what it, the same agent, or a key of the same making wrote.
 * @returns why the caller may not decide, in words that say which second key it needs; null if it may.
 */
export function whyNotDecider(caller: Caller, author: Author): string | null {
  if (caller.key_id === author.key_id) return "this key submitted the message itself";
  if (caller.created_by === author.key_id) return "this key was created by the key that submitted the message";
  if (author.created_by === caller.key_id) return "this key created the key that submitted the message";
  if (caller.created_by !== null && caller.created_by === author.created_by) {
    return "this key and the key that submitted the message were created by the same key";
  }
  if (caller.agent_id !== null && caller.agent_id === author.agent_id) {
    return "the same agent submitted the message";
  }
  return null;
}
