import type { Action, DetailField, Only, PersonalField } from "../../src/audit/actions.ts";
import type { Actor } from "../../src/audit/entry.ts";
import { comparableAddress } from "../../src/mail/address.ts";
import { signInMail } from "../../src/mail/notification.ts";
import { sendSystemMail } from "../../src/mail/system-mail.ts";
import type { RecipientOutcome } from "../../src/mail/transports/transport.ts";
import { hashConsoleToken, newConsoleToken, signInLink } from "../../src/oversight/console-tokens.ts";
import type { NewEntry } from "../ledger/log.ts";
import type { ConsoleSession } from "../tenant-rpc.ts";
import { backoff, type Timer } from "../timers.ts";
import type { TenantBase } from "./base.ts";
import { newestNote } from "./checkpoints.ts";

/** Sign-in links and sessions of the people who oversee something at this tenant. No key has any part in them. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const LINK_LIFE = 15 * MINUTE;
/** A session that is not used ends after this. */
export const SESSION_IDLE = 12 * HOUR;
/** However it is used, it ends after this. */
export const SESSION_LIFE = 7 * 24 * HOUR;
/** A session is prolonged when that adds at least this, so that not every page is a write. */
const WORTH_RENEWING = 10 * MINUTE;
/** Links within an hour: more would fill a person's inbox. */
export const LINKS_PER_PERSON = 5;
/** The same over all people: more would have the deployment's mail taken for spam. */
export const LINKS_PER_TENANT = 60;
/** How many refusals of one link are recorded: whoever holds a used one must not fill the log with it. */
const RECORDED_REFUSALS = 3;
/** With the pauses between them about 7 minutes; nobody waits longer for a link. */
const MAIL_ATTEMPTS = 4;
const MAIL_LIMIT = 60_000;

/** Mails a person their link; its ref is the person. */
export const SIGN_IN = "sign_in";
/** For as long as it stands, that this person asked too often has been recorded already. */
export const SIGN_IN_LIMITED = "sign_in_limited";

interface Link extends Record<string, SqlStorageValue> {
  person: string;
  expires_at: number;
  used: number;
  refusals: number;
}

interface Session extends Record<string, SqlStorageValue> {
  person: string;
  started_at: number;
  expires_at: number;
}

type Refusal = "used" | "expired" | "not_overseeing" | "rate_limited";

/** Has a link mailed to a person who oversees something here. For anybody else nothing is written. */
export function askSignIn(box: TenantBase, address: string): void {
  const person = comparableAddress(address);
  if (overseer(box, person) === null) return;
  box.commit(() => {
    forgetOld(box);
    if (isLimited(box, person)) {
      if (box.isScheduled(SIGN_IN_LIMITED, person)) return;
      box.schedule(SIGN_IN_LIMITED, person, box.now() + HOUR);
      record(box, person, "console.refused", { reason: "rate_limited" satisfies Refusal });
    } else if (!box.isScheduled(SIGN_IN, person)) {
      // While one mail is under way, asking again adds nothing.
      box.schedule(SIGN_IN, person, box.now());
    }
  });
}

/** Serves a `sign_in` timer: mails a fresh link. The token itself is in that mail and nowhere else. */
export async function mailSignInLink(box: TenantBase, timer: Timer): Promise<void> {
  const to = overseer(box, timer.ref);
  if (to === null || timer.attempts >= MAIL_ATTEMPTS) {
    return box.commit(() => box.unschedule(timer.kind, timer.ref));
  }
  const { id, name } = box.tenant();
  const { PUBLIC_URL } = box.environment();
  const token = newConsoleToken(id);
  const hash = hashConsoleToken(token);
  const expires = box.now() + LINK_LIFE;
  box.commit(() => {
    box.rows.exec("INSERT INTO sign_in_links VALUES (?, ?, ?, ?, 0, 0)", hash, timer.ref, box.now(), expires);
  });
  // The link works from here on. A crash before the mail is out mails another one.
  await box.flush();
  const mail = signInMail({
    link: signInLink(PUBLIC_URL, token),
    person: to,
    tenant_name: name,
    expires_at: new Date(expires).toISOString(),
    product_url: PUBLIC_URL,
    checkpoint: newestNote(box),
  });
  const outcome = await sendSystemMail(
    box.environment(),
    { ...mail, to, id: `sign-in.${hash.slice(0, 32)}`, date: new Date(box.now()) },
    AbortSignal.timeout(MAIL_LIMIT),
  );
  afterMail(box, timer, outcome);
}

function afterMail(
  box: TenantBase,
  { kind, ref, attempts }: Timer,
  { outcome, code, response }: RecipientOutcome,
): void {
  const tried = attempts + 1;
  const again = outcome === "deferred" && tried < MAIL_ATTEMPTS;
  box.commit(() => {
    if (again) box.schedule(kind, ref, box.now() + backoff(tried), { attempts: tried });
    else box.unschedule(kind, ref);
    const result = outcome === "accepted" ? "sent" : again ? "deferred" : "failed";
    record(box, ref, `console.link_${result}`, { attempt: tried, code }, { response });
  });
}

/**
 * Redeems a sign-in link. It works once, and ends the person's other links with it.
 * @returns the session's token, which is stored nowhere; null where the link is unknown, used or too old, or its person oversees
 *   nothing here any more.
 */
export function signIn(box: TenantBase, linkHash: string): { token: string } | null {
  const link = box.rows.exec<Link>("SELECT * FROM sign_in_links WHERE token_hash = ?", linkHash).toArray()[0];
  if (!link) return null;
  return box.commit(() => {
    const refusal = whyRefused(box, link);
    if (refusal !== null) {
      refuse(box, linkHash, link, refusal);
      return null;
    }
    box.rows.exec("UPDATE sign_in_links SET used = 1 WHERE person = ?", link.person);
    forgetOld(box);
    const token = newConsoleToken(box.tenant().id);
    const now = box.now();
    box.rows.exec(
      "INSERT INTO sessions VALUES (?, ?, ?, ?)",
      hashConsoleToken(token),
      link.person,
      now,
      now + SESSION_IDLE,
    );
    record(box, link.person, "console.signed_in");
    return { token };
  });
}

/** @returns whose session it is, and prolongs it; null once it has ended, or its person oversees nothing here any more. */
export function session(box: TenantBase, sessionHash: string): ConsoleSession | null {
  const found = findSession(box, sessionHash);
  if (!found || found.expires_at <= box.now()) return null;
  const person = overseer(box, found.person);
  if (person === null) {
    box.commit(() => {
      box.rows.exec("DELETE FROM sessions WHERE token_hash = ?", sessionHash);
      record(box, found.person, "console.refused", { reason: "not_overseeing" satisfies Refusal });
    });
    return null;
  }
  const until = Math.min(box.now() + SESSION_IDLE, found.started_at + SESSION_LIFE);
  if (until - found.expires_at >= WORTH_RENEWING) {
    box.commit(() => {
      box.rows.exec("UPDATE sessions SET expires_at = ? WHERE token_hash = ?", until, sessionHash);
    });
  }
  const { id, name } = box.tenant();
  return { tenant_id: id, tenant_name: name, person, is_operator: isOperator(box, found.person) };
}

/** Ends a session, or with `everywhere` all of that person's. One that has ended already stays so. */
export function signOut(box: TenantBase, sessionHash: string, everywhere: boolean): void {
  const found = findSession(box, sessionHash);
  if (!found) return;
  box.commit(() => {
    if (everywhere) box.rows.exec("DELETE FROM sessions WHERE person = ?", found.person);
    else box.rows.exec("DELETE FROM sessions WHERE token_hash = ?", sessionHash);
    record(box, found.person, "console.signed_out", { everywhere });
  });
}

function findSession(box: TenantBase, sessionHash: string): Session | null {
  return box.rows.exec<Session>("SELECT * FROM sessions WHERE token_hash = ?", sessionHash).toArray()[0] ?? null;
}

/** @returns who a person is to the account's log, in the console. */
export function personActor(box: TenantBase, person: string): Actor {
  const id = isOperator(box, comparableAddress(person)) ? "operator" : "approver";
  return { type: "human", id, via: "console" };
}

/** @param person in comparable form. */
function isOperator(box: TenantBase, person: string): boolean {
  return comparableAddress(box.tenant().operator_email) === person;
}

/** @param person in comparable form. @returns the address as the tenant has it; null for who oversees nothing here. */
function overseer(box: TenantBase, person: string): string | null {
  const { operator_email, confirmed_approvers } = box.tenant();
  return [operator_email, ...confirmed_approvers].find((address) => comparableAddress(address) === person) ?? null;
}

function whyRefused(box: TenantBase, { used, expires_at, person }: Link): Refusal | null {
  if (used) return "used";
  if (expires_at <= box.now()) return "expired";
  return overseer(box, person) === null ? "not_overseeing" : null;
}

function isLimited(box: TenantBase, person: string): boolean {
  const { ours, all } = box.rows
    .exec<{ ours: number; all: number }>(
      'SELECT count(*) FILTER (WHERE person = ?) AS ours, count(*) AS "all" FROM sign_in_links WHERE asked_at > ?',
      person,
      box.now() - HOUR,
    )
    .one();
  return ours >= LINKS_PER_PERSON || all >= LINKS_PER_TENANT;
}

function refuse(box: TenantBase, linkHash: string, { person, refusals }: Link, reason: Refusal): void {
  if (refusals >= RECORDED_REFUSALS) return;
  box.rows.exec("UPDATE sign_in_links SET refusals = refusals + 1 WHERE token_hash = ?", linkHash);
  record(box, person, "console.refused", { reason });
}

/** Links are remembered for an hour: for the limit, and to know one that is used again. */
function forgetOld(box: TenantBase): void {
  box.rows.exec("DELETE FROM sign_in_links WHERE asked_at <= ?", box.now() - HOUR);
  box.rows.exec("DELETE FROM sessions WHERE expires_at <= ?", box.now());
}

type ConsoleAction = Extract<Action, `console.${string}`>;

function record<A extends ConsoleAction, Detail extends NonNullable<NewEntry["detail"]>, Personal extends object>(
  box: TenantBase,
  person: string,
  action: A,
  detail?: Detail & Only<Detail, DetailField<A>>,
  personal?: Personal & Only<Personal, PersonalField<A>>,
): void {
  box.recordChecked({
    actor: personActor(box, person),
    action,
    resource: { type: "tenant", id: box.tenant().id },
    ...(detail && { detail }),
    personal: { person, ...personal },
  });
}
