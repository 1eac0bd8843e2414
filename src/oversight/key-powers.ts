import { type Caller, SCOPES, type Scope } from "./caller.ts";

/** What API keys may do, and what making or changing one gives away. Pure. */

/** What of a key says how far it reaches. */
export interface KeyReach {
  name: string;
  scopes: readonly Scope[];
  /** Null: all mailboxes of the tenant. */
  mailbox_ids: readonly string[] | null;
  /** Null: it may name any agent. */
  agent_id: string | null;
}

/** Scopes that no key has together, and that no one agent has in two keys. */
const OPPOSED: Readonly<Partial<Record<Scope, Scope>>> = { send: "oversight", oversight: "send" };

/** @returns whether one key would both send and approve. */
export function isConflicting(scopes: readonly Scope[]): boolean {
  return scopes.some((scope) => scopes.some((other) => OPPOSED[scope] === other));
}

/** @returns the scopes that a key of the same agent may not have beside one with `scopes`. */
export function opposedScopes(scopes: readonly Scope[]): Scope[] {
  return scopes.map((scope) => OPPOSED[scope]).filter((scope) => scope !== undefined);
}

/** @returns the first two keys that are bound to one agent which could then both send and approve; null if there are none. */
export function conflictingPair<Key extends KeyReach>(keys: readonly Key[]): [Key, Key] | null {
  for (const key of keys) {
    const opposed = opposedScopes(key.scopes);
    const other = keys.find(
      ({ agent_id, scopes }) =>
        agent_id !== null && agent_id === key.agent_id && scopes.some((each) => opposed.includes(each)),
    );
    if (other) return [key, other];
  }
  return null;
}

/** Scopes by which a key oversees or administers. Reading and sending stay under each mailbox's mode, whoever does it. */
const POWERFUL: readonly Scope[] = ["oversight", "admin"];

/** @returns what the operator has to allow before a key is made, in words; null if nothing. */
export function whatNewKeyGivesAway(maker: Pick<Caller, "test">, key: KeyReach & { test: boolean }): string | null {
  const powers = key.scopes.filter((scope) => POWERFUL.includes(scope));
  const given = [
    ...(powers.length ? [`a new key named “${key.name}” may ${powers.join(" and ")}`] : []),
    ...(maker.test && !key.test ? [`a test key makes the key “${key.name}”, whose mail does leave`] : []),
  ];
  if (given.length === 0) return null;
  return `${given.join("; ")} (scopes ${key.scopes.join(", ")}, ${placesOf(key)}).`;
}

function placesOf({ mailbox_ids }: KeyReach): string {
  return mailbox_ids === null ? "in all mailboxes" : `in ${mailbox_ids.join(", ")}`;
}

/**
 * What a change of a key gives away: whatever widens an agent's reach waits for a human, `send` and `read` too, since the key is in
 * somebody's hands already.
 * @returns it in words, with all that the key may do then; null if the change only narrows.
 */
export function whatKeyChangeGivesAway(id: string, to: KeyReach, now: KeyReach): string | null {
  const given = [gainedScopes(to, now), gainedMailboxes(to, now), gainedAgents(to, now)].filter(
    (words) => words !== null,
  );
  if (given.length === 0) return null;
  const whole = [`scopes ${to.scopes.join(", ")}`, placesOf(to), `for ${to.agent_id ?? "any agent"}`];
  return `The key “${to.name}” (${id}): ${given.join("; ")} (then: ${whole.join(", ")}).`;
}

function gainedScopes(to: KeyReach, now: KeyReach): string | null {
  const gained = SCOPES.filter((scope) => to.scopes.includes(scope) && !now.scopes.includes(scope));
  return gained.length ? `it may also ${gained.join(" and ")}` : null;
}

function gainedMailboxes(to: KeyReach, now: KeyReach): string | null {
  const { mailbox_ids: had } = now;
  if (had === null) return null;
  if (to.mailbox_ids === null) return `it reaches all mailboxes (now ${had.join(", ")})`;
  const gained = to.mailbox_ids.filter((id) => !had.includes(id));
  return gained.length ? `it also reaches ${gained.join(", ")}` : null;
}

function gainedAgents(to: KeyReach, now: KeyReach): string | null {
  if (now.agent_id === null || to.agent_id === now.agent_id) return null;
  return `it acts for ${to.agent_id ?? "any agent it names"} (now only for ${now.agent_id})`;
}
