import { createApp } from "../../src/doors/app.ts";
import { routerPath } from "../../src/doors/rest.ts";
import { rpcPaths } from "../../src/doors/rpc.ts";
import { WELL_KNOWN_PATHS } from "../../src/doors/well-known.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { findDecisionTokens } from "../../src/oversight/decision-links.ts";
import { mailsTo } from "./approvals.ts";
import { ConsoleBrowser, OUR_PAGE, signedIn } from "./console-client.ts";
import { held, mailboxOf, type Overseen, overseenTenant } from "./console-world.ts";
import { type CallOptions, request } from "./door-harness.ts";
import { runAlarm } from "./mailbox-harness.ts";

/** The pages of people as the worker serves them, people who are signed in, and what they ask of a page. */

const FORM = "application/x-www-form-urlencoded";
export const FILE = { name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" };

export let world: Overseen;
export let foreign: Overseen;
export let operator: ConsoleBrowser;
export let ana: ConsoleBrowser;
export let ben: ConsoleBrowser;
export let stranger: ConsoleBrowser;

/** Makes the accounts and has their people sign in. To be called once, before the tests of a file. */
export async function gatherPeople(): Promise<void> {
  [world, foreign] = [await overseenTenant(), await overseenTenant()];
  operator = await signedIn(world.id, world.operator);
  ana = await signedIn(world.id, world.ana);
  ben = await signedIn(world.id, world.ben);
  stranger = await signedIn(foreign.id, foreign.operator);
}

/** A request that a browser or a mail program makes. */
export interface Asked {
  path: string;
  options?: CallOptions;
}

export function by({ cookie }: ConsoleBrowser, path: string): Asked {
  return { path, options: { headers: cookie === null ? {} : { Cookie: cookie } } };
}

/** A form of that browser's, as our page sends it. */
export function form({ cookie }: ConsoleBrowser, path: string, fields: Record<string, string>): Asked {
  const headers = { ...OUR_PAGE, "Content-Type": FORM, ...(cookie !== null && { Cookie: cookie }) };
  return { path, options: { raw: new URLSearchParams(fields).toString(), headers } };
}

/** What the form of a page has in its hidden fields. */
export function hiddenIn(page: string): Record<string, string> {
  const hidden = page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g);
  return Object.fromEntries([...hidden].map(([, name = "", value = ""]) => [name, value]));
}

export async function pageOf({ path, options }: Asked): Promise<string> {
  return (await request(path, options)).text();
}

/** An item that waits for Ana, with a file. */
export function waiting(): Promise<string> {
  return held(world, world.sales, { attachments: [FILE] });
}

/** What decides on an item, as its page would send it. */
export async function decision(
  browser: ConsoleBrowser,
  id: string,
  fields: Record<string, string> = {},
): Promise<Asked> {
  const path = `/console/items/${id}`;
  return form(browser, path, { ...hiddenIn(await pageOf(by(browser, path))), decision: "reject", ...fields });
}

/** The queue's form, with one item chosen. */
export async function chosen(browser: ConsoleBrowser, id: string, decision = "approve"): Promise<Asked> {
  const { csrf = "", content_hash } = hiddenIn(await pageOf(by(browser, `/console/items/${id}`)));
  return form(browser, "/console/queue", { csrf, item: `${id}.${content_hash}`, decision });
}

/** The page of the link that Ana was mailed for an item. */
export async function linkedPage(id: string): Promise<string> {
  await runAlarm({ stub: mailboxOf(id) as never });
  const token = (await mailsTo(world.ana)).flatMap(({ text }) => findDecisionTokens(text)).at(-1);
  if (token === undefined) throw new Error("no link was mailed");
  return `/v1/approve/${token}`;
}

/** What decides by a link, as its page would send it. */
export async function linkedDecision(path: string): Promise<Asked> {
  return form(new ConsoleBrowser(), path, { ...hiddenIn(await pageOf({ path })), decision: "reject" });
}

export const AS_OPERATOR = { id: "operator", via: "console" } as const;
export const AS_APPROVER = { id: "approver", via: "console" } as const;
export const BY_LINK = { id: "approver", via: "link" } as const;
export const AS_RECIPIENT = { id: "recipient", via: "link" } as const;

/** What is no page of people's: operations have their own walk, and so has the set-up door. */
const OPERATION_ROUTES: ReadonlySet<string> = new Set([
  ...OPERATIONS.flatMap(({ name, rest }) => [
    ...rpcPaths(name).map((path) => `POST ${path}`),
    ...rest.map(({ method, path }) => `${method} ${routerPath(path)}`),
  ]),
  ...["/health", "/v1/openapi.json", "/docs", ...WELL_KNOWN_PATHS].map((path) => `GET ${path}`),
  ...["POST /setup", "POST /setup/reseal"],
]);

/** Each page, by method and path, as the worker serves it. */
export const ROUTES = [
  ...new Set(
    createApp({ now: Date.now })
      .routes.filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path}`),
  ),
].filter((route) => !OPERATION_ROUTES.has(route));

/** Each route as it is asked: what answers GET answers HEAD, too. */
export const WALK = ROUTES.flatMap((route) =>
  route.startsWith("GET ") ? [route, `HEAD ${route.slice("GET ".length)}`] : [route],
);

export function routeOf(asked: string): string {
  return asked.replace(/^HEAD /, "GET ");
}
