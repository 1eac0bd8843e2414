import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createApp } from "../../src/doors/app.ts";
import type { Env } from "../../src/env.ts";
import type { SetupAnswer } from "../../src/operations/setup.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Scope } from "../../src/oversight/caller.ts";

/** The worker's HTTP side with a clock that tests can move, and a tenant made through its own set-up door. */

declare global {
  namespace Cloudflare {
    interface GlobalProps {
      mainModule: typeof import("../../src/index.ts");
    }
  }
}

let ahead = 0;
const app = createApp({ now: () => Date.now() + ahead });

/** Moves the doors' clock. */
export function advanceDoors(ms: number): void {
  ahead += ms;
}

/** An answer; what a test looks into, it names as `Body`. */
export interface Answer<Body> {
  status: number;
  headers: Headers;
  body: Body;
}

/** The body of a refusal. */
export interface RefusalBody {
  error: string;
  code: string;
  hint?: string;
  issues?: { path: string; message: string }[];
}

export interface CallOptions {
  method?: string;
  key?: string | null;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  raw?: BodyInit;
  headers?: Record<string, string>;
  env?: Env;
  /** Whose `waitUntil` a test looks at. */
  context?: ExecutionContext;
}

/** Sends a request to the worker. */
export async function request(path: string, options: CallOptions = {}): Promise<Response> {
  const { key = null, json, raw } = options;
  const headers = new Headers(options.headers);
  if (key !== null) headers.set("authorization", `Bearer ${key}`);
  if (json !== undefined) headers.set("content-type", "application/json");
  const body = json === undefined ? raw : JSON.stringify(json);
  const method = options.method ?? (body === undefined ? "GET" : "POST");
  const context = options.context ?? createExecutionContext();
  const url = `https://mail.test${path}`;
  const response = await app.fetch(
    new Request(url, { method, headers, ...(body !== undefined && { body }) }),
    options.env ?? env,
    context,
  );
  await waitOnExecutionContext(context);
  return response;
}

/** Sends a request and reads its answer as JSON, or as text where it is none. */
export async function call<Body = RefusalBody>(path: string, options: CallOptions = {}): Promise<Answer<Body>> {
  const response = await request(path, options);
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

const SETUP_TOKEN = "setup-token-for-tests";

/** Calls `POST /setup` with the token. */
export function setUp<Body = SetupAnswer>(json: unknown): Promise<Answer<Body>> {
  return call<Body>("/setup", { json, key: SETUP_TOKEN });
}

export interface TestTenant {
  id: string;
  operator_email: string;
  mailboxes: Mailbox[];
  /** The first of them. */
  mailbox: Mailbox;
  keys: Record<string, string>;
}

let made = 0;

/** A local part that no other test uses. */
export function localPart(prefix = "agent"): string {
  made += 1;
  return `${prefix}-${made}-${Math.random().toString(36).slice(2, 8)}`;
}

/** One key for each scope, and the agent's usual pair. */
const KEYS: { name: string; scopes: Scope[] }[] = [
  { name: "read", scopes: ["read"] },
  { name: "send", scopes: ["send"] },
  { name: "oversight", scopes: ["oversight"] },
  { name: "admin", scopes: ["admin"] },
  { name: "agent", scopes: ["read", "send"] },
  { name: "overseer", scopes: ["read", "oversight"] },
  { name: "owner", scopes: ["read", "admin"] },
];

/** Makes a tenant with a key for each scope and mailboxes in these modes. @param more further keys, given the mailboxes' local parts. */
export async function makeTenant(
  modes: Mailbox["oversight_mode"][] = ["gated_send"],
  more: (locals: string[]) => Record<string, unknown>[] = () => [],
): Promise<TestTenant> {
  const operator_email = `${localPart("operator")}@people.example`;
  const locals = modes.map(() => localPart());
  const { status, body } = await setUp({
    name: localPart("Tenant"),
    operator_email,
    approvers: ["approver@people.example"],
    mailboxes: modes.map((oversight_mode, index) => ({
      address_local: locals[index],
      oversight_mode,
      approver_email: "approver@people.example",
      oversight_keys_may_decide: true,
    })),
    keys: [...KEYS, ...more(locals)],
  });
  const [mailbox] = body.mailboxes ?? [];
  if (status !== 201 || !mailbox) throw new Error(`set-up answered ${status}: ${JSON.stringify(body)}`);
  return { id: body.tenant_id, operator_email, mailboxes: body.mailboxes, mailbox, keys: body.keys };
}

/** The key of that name. */
export function keyOf({ keys }: Pick<TestTenant, "keys">, name: string): string {
  const key = keys[name];
  if (key === undefined) throw new Error(`there is no key ${name}`);
  return key;
}

/** Everything that tests count to say that nothing was stored. */
export async function storedCounts(): Promise<Record<string, number>> {
  const tables = ["tenants", "api_keys", "agents", "mailboxes", "domains", "pending"];
  const counts = await Promise.all(
    tables.map((table) => env.DB.prepare(`SELECT count(*) AS n FROM ${table}`).first<number>("n")),
  );
  const objects = await env.STORE.list({ prefix: "att/" });
  return {
    ...Object.fromEntries(tables.map((table, index) => [table, counts[index] ?? 0])),
    attachments: objects.objects.length,
  };
}
