import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import type { ConsoleSession } from "../../../durable-objects/tenant-rpc.ts";
import { hashConsoleToken, tenantOfToken } from "../../oversight/console-tokens.ts";
import type { Viewer } from "../../pages/console/frame.tsx";
import { callTenant } from "../../store/mailbox-client.ts";
import { csrfSecret, isCsrfSecret } from "../approve/csrf.ts";
import type { AppEnvironment } from "../serve.ts";

/** The cookie of a session, and who it says is there. */

export type Door = Context<AppEnvironment>;

/** As long as a session can live; the tenant object ends it sooner if it is not used. */
const COOKIE_SECONDS = 7 * 24 * 3600;

/** What a form of the console is about: none is bound to one content. */
const CONSOLE = "console";

/** A person in the console. */
export interface SignedIn extends Viewer, ConsoleSession {
  /** SHA-256 of the session's token, which is all that goes any further. */
  hash: string;
}

const LOOPBACK = /^(?:localhost|(?:[\w-]+\.)+localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Whether this is a browser on the same machine, without TLS: the local world. Everywhere else the cookie needs TLS. */
function isLocal(c: Door): boolean {
  return [c.req.url, c.env.PUBLIC_URL].every((text) => {
    const { protocol, hostname } = new URL(text);
    return protocol === "http:" && LOOPBACK.test(hostname);
  });
}

/** `__Host-` (RFC 6265bis §4.1.3.2): only this very host can have set it, over TLS. Browsers refuse it without. */
function cookieOf(c: Door) {
  const local = isLocal(c);
  return {
    name: local ? "multimail_console" : "__Host-multimail_console",
    options: { path: "/", httpOnly: true, sameSite: "Lax" as const, secure: !local },
  };
}

/** Gives the browser its session. */
export function openSession(c: Door, token: string): void {
  const { name, options } = cookieOf(c);
  setCookie(c, name, token, { ...options, maxAge: COOKIE_SECONDS });
}

/** Has the browser forget it. */
export function forgetSession(c: Door): void {
  const { name, options } = cookieOf(c);
  deleteCookie(c, name, options);
}

/** @returns who is signed in, or null. Asks the tenant object each time: a person who was unconfirmed is out at once. */
export async function whoIsThere(c: Door): Promise<SignedIn | null> {
  const token = getCookie(c, cookieOf(c).name) ?? "";
  const tenantId = tenantOfToken(token);
  if (tenantId === null) return null;
  const hash = hashConsoleToken(token);
  const session = await callTenant(c.env, tenantId, (tenant) => tenant.consoleSession(hash));
  return session && { ...session, hash, csrf: csrfSecret(c.env, hash, CONSOLE) };
}

/** @returns whether a form carries the session's own secret. */
export function isFormOf(c: Door, person: SignedIn, secret: string): boolean {
  return isCsrfSecret(secret, c.env, person.hash, CONSOLE);
}
