import type { Caller } from "../../../src/oversight/caller.ts";
import { caller } from "../mailbox-harness.ts";

/** Who acts in the model's stories. */

/** Keys that send. */
export const AGENTS = ["scout", "clerk", "guest"] as const;
export type Agent = (typeof AGENTS)[number];

/** Keys with `oversight`. The last two are the agents' own, in a way that separation of duties must see. */
export const WATCHERS = ["the watcher", "a second watcher", "a key that scout's key made", "a key of clerk's"] as const;
export type Watcher = (typeof WATCHERS)[number];

export type KeyName = Agent | Watcher | "the admin";

/** People. The operator is always confirmed, Ana and Bo are from the start. */
export const PEOPLE = ["Ana", "Bo", "Cy", "Di", "Eve", "the operator"] as const;
export type PersonName = (typeof PEOPLE)[number];

const ADDRESSES: Readonly<Record<PersonName, string>> = {
  Ana: "ana@people.example",
  Bo: "bo@people.example",
  Cy: "cy@people.example",
  Di: "di@people.example",
  Eve: "eve@strangers.example",
  "the operator": "operator@people.example",
};

export function addressOf(person: PersonName): string {
  return ADDRESSES[person];
}

export function nameOf(address: string): PersonName {
  const found = PEOPLE.find((person) => ADDRESSES[person] === address);
  if (!found) throw new Error(`nobody has the address ${address}`);
  return found;
}

/** To whom agents write. What becomes of it is in the local part. */
export const RECIPIENTS = ["taken@x.example", "later@x.example", "refused@x.example"] as const;
export type Recipient = (typeof RECIPIENTS)[number];

/** The keys as the object meets them. */
export function keysOf(tenantId: string): Readonly<Record<KeyName, Caller>> {
  const send = (rest: Partial<Caller>) => caller(tenantId, ["read", "send"], rest);
  const oversee = (rest: Partial<Caller>) => caller(tenantId, ["read", "oversight"], rest);
  const scout = send({ key_id: "key_scout", agent_id: "scout" });
  return {
    scout,
    clerk: send({ key_id: "key_clerk", agent_id: "clerk" }),
    guest: send({ key_id: "key_guest" }),
    "the watcher": oversee({ key_id: "key_watcher" }),
    "a second watcher": oversee({ key_id: "key_watcher2" }),
    "a key that scout's key made": oversee({ key_id: "key_kin", created_by: scout.key_id }),
    "a key of clerk's": oversee({ key_id: "key_twin", agent_id: "clerk" }),
    "the admin": caller(tenantId, ["admin"], { key_id: "key_admin" }),
  };
}

/** Whose mail a watcher may never decide on. */
export const KIN: Readonly<Record<Watcher, Agent | null>> = {
  "the watcher": null,
  "a second watcher": null,
  "a key that scout's key made": "scout",
  "a key of clerk's": "clerk",
};
