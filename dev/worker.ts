import type { Env } from "../src/env.ts";
import worker from "../src/index.ts";

/**
 * The worker as the local world runs it: the deployed worker, plus two addresses for the world itself. The world's mail
 * server hands mail in here and the email handler is called as the platform would call it; wrangler's own endpoint refuses
 * mail without From or Message-ID, the very mail we must survive.
 */

export * from "../src/index.ts";

/** What only the local world sets. */
interface DevEnv extends Env {
  /** Without it as `x-dev-token` the world's addresses do not exist; a page in a browser here cannot send it. */
  DEV_TOKEN: string;
}

/** One migration file, split into statements. */
interface Migration {
  name: string;
  statements: string[];
}

/** The header section's fields as the platform gives them (RFC 5322 §2.2); what no `Headers` can hold is left out. */
function headersOf(raw: Uint8Array): Headers {
  const text = new TextDecoder("latin1").decode(raw.subarray(0, 256 * 1024));
  const end = /\r?\n\r?\n/.exec(text)?.index ?? text.length;
  const headers = new Headers();
  for (const line of text
    .slice(0, end)
    .replace(/\r?\n[ \t]+/g, " ")
    .split(/\r?\n/)) {
    const match = /^([!-9;-~]+)[ \t]*:[ \t]*([^\0]*)$/.exec(line);
    if (match && /^[\w!#$%&'*+.^`|~-]+$/.test(match[1] ?? "")) headers.append(match[1] ?? "", match[2] ?? "");
  }
  return headers;
}

function refuse(what: string): never {
  throw new Error(`The local world does not ${what}.`);
}

async function receive(request: Request, env: DevEnv, context: ExecutionContext): Promise<Response> {
  const parameters = new URL(request.url).searchParams;
  const raw = new Uint8Array(await request.arrayBuffer());
  let rejection: string | null = null;
  const message: ForwardableEmailMessage = {
    from: parameters.get("from") ?? "",
    to: parameters.get("to") ?? "",
    raw: new Blob([raw]).stream(),
    rawSize: raw.byteLength,
    headers: headersOf(raw),
    canBeForwarded: false,
    setReject: (reason) => {
      rejection = reason;
    },
    forward: () => refuse("forward mail"),
    reply: () => refuse("answer mail from the email handler"),
  };
  try {
    await worker.email(message, env, context);
  } catch (error) {
    return Response.json({ outcome: "failed", reason: String(error) });
  }
  return Response.json(rejection === null ? { outcome: "accepted" } : { outcome: "rejected", reason: rejection });
}

/** Applies what is new, each file in one transaction with its mark, in the table that wrangler's own command keeps. */
async function migrate(request: Request, env: DevEnv): Promise<Response> {
  const migrations = await request.json<Migration[]>();
  await env.DB.prepare(
    "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)",
  ).run();
  const { results } = await env.DB.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const known = new Set(results.map((row) => row.name));
  const applied: string[] = [];
  for (const { name, statements } of migrations.filter((migration) => !known.has(migration.name))) {
    await env.DB.batch([
      ...statements.map((statement) => env.DB.prepare(statement)),
      env.DB.prepare("INSERT INTO d1_migrations (name) VALUES (?1)").bind(name),
    ]);
    applied.push(name);
  }
  return Response.json({ applied });
}

const ROUTES: Record<string, (request: Request, env: DevEnv, context: ExecutionContext) => Promise<Response>> = {
  "/__dev/email": receive,
  "/__dev/migrate": migrate,
};

export default {
  ...worker,
  async fetch(request, env, context) {
    const route = ROUTES[new URL(request.url).pathname];
    if (route && request.method === "POST" && request.headers.get("x-dev-token") === env.DEV_TOKEN) {
      return route(request, env, context);
    }
    return worker.fetch(request, env, context);
  },
} satisfies ExportedHandler<DevEnv>;
