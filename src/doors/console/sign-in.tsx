import { Refused } from "../../errors.ts";
import { comparableAddress, parseAddresses } from "../../mail/address.ts";
import { personAddress } from "../../operations/people.ts";
import { hashConsoleToken, tenantOfToken } from "../../oversight/console-tokens.ts";
import { NOTICES } from "../../pages/console/notice.tsx";
import { EnterPage, SentPage, SignInPage } from "../../pages/console/sign-in.tsx";
import { callTenant } from "../../store/mailbox-client.ts";
import { tenantsOf } from "../../store/people.ts";
import { readFields } from "../approve/form.ts";
import { formOf, goTo, notOurForm, show, tell } from "./answers.tsx";
import { type Door, forgetSession, openSession, type SignedIn, whoIsThere } from "./session.ts";

/** Signing in by a link in a mail, and out. What a request learns is the same for every address. */

/** An address is at most 254 octets, each written `%41`; beside it are short fields only. */
const LARGEST_FORM = 2 * 1024;

/** The form that asks for a link; whoever is signed in goes on to the queue. */
export async function signInPage(c: Door): Promise<Response> {
  return (await whoIsThere(c)) ? goTo(c, "/console/queue") : show(c, 200, <SignInPage />);
}

/** The one answer to every address. */
export async function sentPage(c: Door): Promise<Response> {
  return show(c, 200, <SentPage />);
}

/**
 * Takes an address. What is done with it comes after the answer, so that neither its words nor its time tell whether the address
 * oversees anything.
 */
export async function askForLink(c: Door): Promise<Response> {
  const foreign = notOurForm(c);
  if (foreign) return foreign;
  const fields = await readFields(c.req.raw, LARGEST_FORM);
  if (fields === null) return tell(c, NOTICES.too_large);
  const typed = fields.get("address") ?? "";
  const address = bareAddress(typed);
  if (address === null) {
    const trouble = "This is not an email address.";
    return show(c, 422, <SignInPage address={typed.slice(0, 320)} trouble={trouble} />);
  }
  c.executionCtx.waitUntil(
    sendLinks(c.env, address).catch((error) => console.error("console: a sign-in link could not be asked for", error)),
  );
  return goTo(c, "/console/sent");
}

/** @returns the one address in what was typed, without a name; null if it is none. */
function bareAddress(typed: string): string | null {
  try {
    const [first, ...more] = parseAddresses(typed.trim(), "address");
    return first && more.length === 0 && first.name === null ? first.address : null;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** Has each tenant that the address may oversee look at it. */
async function sendLinks(env: Door["env"], address: string): Promise<void> {
  if (!(await isPersons(env, address))) return;
  const tenants = await tenantsOf(env.DB, comparableAddress(address));
  await Promise.all(tenants.map((id) => callTenant(env, id, (tenant) => tenant.askSignIn(address))));
}

/** An address that is a mailbox here never gets a link, however it came to be somebody's: agents read there. */
async function isPersons(env: Door["env"], address: string): Promise<boolean> {
  try {
    await personAddress(env, address, "address");
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

/** Where a link leads. Opening it changes nothing, whoever does: mail scanners open links too. */
export async function enterPage(c: Door): Promise<Response> {
  const token = c.req.param("token") ?? "";
  if (tenantOfToken(token) === null) return tell(c, NOTICES.link);
  return show(c, 200, <EnterPage action={`/console/enter/${token}`} />);
}

/** Redeems a link: the browser gets a session, and one that it had before ends. */
export async function enter(c: Door): Promise<Response> {
  const foreign = notOurForm(c);
  if (foreign) return foreign;
  const token = c.req.param("token") ?? "";
  const tenantId = tenantOfToken(token);
  if (tenantId === null) return tell(c, NOTICES.link);
  // Not repeated: a lost answer must not call a good link used without anybody signed in being told.
  const opened = await callTenant(c.env, tenantId, (tenant) => tenant.signIn(hashConsoleToken(token)), {
    repeatable: false,
  });
  if (!opened) return tell(c, NOTICES.link);
  const before = await whoIsThere(c);
  if (before) await end(c, before, false);
  openSession(c, opened.token);
  return goTo(c, "/console/queue");
}

async function end(c: Door, { tenant_id, hash }: SignedIn, everywhere: boolean): Promise<void> {
  await callTenant(c.env, tenant_id, (tenant) => tenant.signOut(hash, everywhere));
}

/** Ends the session, or with `everywhere` all sessions of its person. */
export function leave(c: Door): Promise<Response> {
  return formOf(
    c,
    (request) => readFields(request, LARGEST_FORM),
    (fields) => fields.get("csrf") ?? "",
    async (person, fields) => {
      await end(c, person, fields.get("everywhere") === "1");
      forgetSession(c);
      return goTo(c, "/console");
    },
  );
}
