import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { TenantObject } from "../../durable-objects/tenant.ts";
import type { Env } from "../../src/env.ts";
import { comparableAddress } from "../../src/mail/address.ts";
import { request } from "./door-harness.ts";
import { receivedFor } from "./received-mail.ts";

/** A person's browser at the console: it keeps its cookie, and sends forms as browsers do. */

const FORM = "application/x-www-form-urlencoded";
export const OUR_PAGE = { Origin: "null", "Sec-Fetch-Site": "same-origin" };

export class ConsoleBrowser {
  /** As `name=value`; null where it has none. */
  cookie: string | null = null;

  async get(path: string, headers: Record<string, string> = {}, method = "GET", worker: Env = env): Promise<Response> {
    return this.keep(await request(path, { method, headers: { ...this.cookies(), ...headers }, env: worker }));
  }

  async post(
    path: string,
    fields: Record<string, string> | [string, string][] | string,
    headers: Record<string, string> = OUR_PAGE,
    worker: Env = env,
  ): Promise<Response> {
    const raw = typeof fields === "string" ? fields : new URLSearchParams(fields).toString();
    const sent = { "Content-Type": FORM, ...this.cookies(), ...headers };
    return this.keep(await request(path, { method: "POST", raw, headers: sent, env: worker }));
  }

  /** The secret in the forms of a page; empty if it has none. */
  async csrf(path = "/console/queue"): Promise<string> {
    return secretIn(await (await this.get(path)).text());
  }

  private cookies(): Record<string, string> {
    return this.cookie === null ? {} : { Cookie: this.cookie };
  }

  private keep(answer: Response): Response {
    for (const set of answer.headers.getSetCookie()) {
      this.cookie = /max-age=0/i.test(set) ? null : (set.split(";")[0] ?? null);
    }
    return answer;
  }
}

export function secretIn(page: string): string {
  return /name="csrf" value="([^"]+)"/.exec(page)?.[1] ?? "";
}

/** Has the tenant's object do what is due, until D1 has everything. */
export async function runTenant(tenantId: string): Promise<void> {
  await runDurableObjectAlarm(env.TENANT.getByName(tenantId));
  await inTenant(tenantId, (object) => object.settled());
}

/** Runs `work` inside a tenant's object. */
export function inTenant<R>(
  tenantId: string,
  work: (object: TenantObject, state: DurableObjectState) => R | Promise<R>,
): Promise<R> {
  const plain: DurableObjectStub = env.TENANT.getByName(tenantId);
  return runInDurableObject(plain, (object: unknown, state) => {
    if (!(object instanceof TenantObject)) throw new Error("not a tenant object");
    return work(object, state);
  });
}

/** Sets a tenant object's clock `ms` ahead of real time. It lasts until the object is evicted. */
export async function advanceTenant(tenantId: string, ms: number): Promise<void> {
  await inTenant(tenantId, (object) => {
    object.clock = () => Date.now() + ms;
  });
}

/** Takes a person's confirmation back, as nobody's address oversees anything any more. */
export async function unconfirm(tenantId: string, address: string): Promise<void> {
  await inTenant(tenantId, (object) => {
    object.commit(() => {
      const tenant = object.tenant();
      const confirmed_approvers = tenant.confirmed_approvers.filter((each) => each !== comparableAddress(address));
      object.saveTenant({ ...tenant, confirmed_approvers });
    });
  });
}

/** The paths of the sign-in links that an address was mailed, the oldest first. */
export async function linksOf(address: string): Promise<string[]> {
  const mails = await receivedFor(address);
  // The last letters of a line may stand on the next one (RFC 2045 §6.7).
  return mails.flatMap(({ raw }) => {
    const found = /\/console\/enter\/[\w-]+/.exec(raw.replace(/=\r\n/g, ""));
    return found ? [found[0]] : [];
  });
}

/** Asks for a link, and has the tenant mail it. @returns the path of that tenant's newest link. */
export async function askForLink(tenantId: string, address: string, browser = new ConsoleBrowser()): Promise<string> {
  await browser.post("/console/sign-in", { address });
  await runTenant(tenantId);
  const links = await linksOf(address);
  const link = links.filter((path) => path.includes(tenantId.slice("ten_".length))).at(-1);
  if (link === undefined) throw new Error(`${address} was mailed no link`);
  return link;
}

/** A browser in which this person is signed in. */
export async function signedIn(tenantId: string, address: string): Promise<ConsoleBrowser> {
  const browser = new ConsoleBrowser();
  const answer = await browser.post(await askForLink(tenantId, address, browser), {});
  if (answer.status !== 303 || browser.cookie === null) throw new Error(`signing in answered ${answer.status}`);
  return browser;
}
