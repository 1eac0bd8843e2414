import { z } from "zod";
import { asEmailId, isId, type RoutingNumber } from "../ids.ts";
import { comparableAddress, parseAddresses } from "../mail/address.ts";
import { findMailboxByAddress, findMailboxByRouting } from "../store/directory.ts";
import { notFound, routingOrNotFound } from "../store/mailbox-client.ts";
import { agreed } from "./fields.ts";
import type { OperationContext } from "./operation.ts";

/** How operations name a mailbox or an email, and how that becomes the object that has it. */

const reference = z.string().min(1).max(320);

/** A mailbox by its id or its address. */
export const mailboxNames = {
  mailbox_id: reference.optional().describe("The mailbox's id or its address"),
  mailbox: reference.optional().describe("The same as mailbox_id"),
};

/** The mailbox that a message comes from. */
export const senderNames = {
  ...mailboxNames,
  from: reference.optional().describe("The same as mailbox_id"),
  from_address: reference.optional().describe("The same as mailbox_id"),
};

/** An email by its id, or its pending item's. The mailbox, where it is given, is only checked. */
export const emailNames = {
  email_id: z.string().min(1).max(64).optional().describe("em_… or pend_…"),
  message_id: z.string().min(1).max(64).optional().describe("The same as email_id"),
  ...mailboxNames,
};

export type Names<Shape extends z.ZodRawShape> = z.output<z.ZodObject<Shape>>;

/** @returns what the input calls its mailbox; null, with an issue, if it does not or names two. */
export function mailboxOf(input: Names<typeof mailboxNames>, context: z.RefinementCtx): string {
  return agreed(input, ["mailbox_id", "mailbox"], context, true) ?? "";
}

/** @returns the mailbox or the sender's address, whichever way it is named. */
export function senderOf(input: Names<typeof senderNames>, context: z.RefinementCtx): string {
  return agreed(input, ["mailbox_id", "mailbox", "from", "from_address"], context, true) ?? "";
}

/** @returns the ids with `pend_X` written as the `em_X` it is the same as. */
export function sameForm<Name extends string>(ids: Record<Name, string | undefined>): Record<Name, string | undefined> {
  const all = Object.entries<string | undefined>(ids).map(([name, id]) => [
    name,
    id === undefined ? id : (asEmailId(id) ?? id),
  ]);
  return Object.fromEntries(all) as Record<Name, string | undefined>;
}

/** What an input says of its email. */
export interface EmailReference {
  email: string;
  /** Checked against the email's, where it is given. */
  mailbox: string | null;
}

/** @returns what the input calls its email and, perhaps, that email's mailbox. */
export function emailOf(input: Names<typeof emailNames>, context: z.RefinementCtx): EmailReference {
  const { email_id, message_id } = input;
  return {
    email: agreed(sameForm({ email_id, message_id }), ["email_id", "message_id"], context, true) ?? "",
    mailbox: agreed(input, ["mailbox_id", "mailbox"], context, false),
  };
}

/** Whose a mailbox is never changes, so it is asked once an isolate. By routing number. */
const knownMailboxes = new Map<RoutingNumber, { id: string; tenant_id: string }>();
const KNOWN_MAILBOXES = 10_000;

/** @returns the id of the mailbox with that routing number. @throws {Refused} `not_found` if it is not the caller's tenant's. */
export async function ownMailboxId(
  { env, caller: { tenant_id } }: OperationContext,
  routing: RoutingNumber,
): Promise<string> {
  const known = knownMailboxes.get(routing);
  if (known?.tenant_id === tenant_id) return known.id;
  const id = await findMailboxByRouting(env.DB, tenant_id, routing);
  if (id === null) throw notFound();
  if (knownMailboxes.size >= KNOWN_MAILBOXES) knownMailboxes.clear();
  knownMailboxes.set(routing, { id, tenant_id });
  return id;
}

/**
 * Finds a mailbox without asking D1 where its id is given: whether it is the caller's is then for its object to say.
 * @param name an id or an address.
 * @throws {Refused} `not_found`; `invalid_address` for an address that cannot be one.
 */
export async function routeMailbox({ env, caller }: OperationContext, name: string): Promise<RoutingNumber> {
  if (isId("mbx", name)) return routingOrNotFound(name);
  const [address] = name.includes("@") ? parseAddresses([name], "mailbox") : [];
  const id = address ? await findMailboxByAddress(env.DB, caller.tenant_id, comparableAddress(address.address)) : null;
  if (id === null) throw notFound();
  return routingOrNotFound(id);
}

/** Finds a mailbox of the caller's tenant. @throws {Refused} as `routeMailbox`, also for what belongs to another. */
export async function findMailbox(context: OperationContext, name: string): Promise<RoutingNumber> {
  const routing = await routeMailbox(context, name);
  const id = await ownMailboxId(context, routing);
  if (isId("mbx", name) && id !== name) throw notFound();
  return routing;
}

/** Finds the mailbox that an email lies in, by the email's id. @throws {Refused} `not_found`, also for another mailbox than the one named. */
export async function findEmail(
  context: OperationContext,
  { email, mailbox }: EmailReference,
): Promise<{ id: string; routing: RoutingNumber }> {
  const id = asEmailId(email);
  if (id === null) throw notFound();
  const routing = routingOrNotFound(id);
  if (mailbox !== null && (await findMailbox(context, mailbox)) !== routing) throw notFound();
  return { id, routing };
}
