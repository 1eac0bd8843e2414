import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { createApp } from "../../src/doors/app.ts";
import { unwrap } from "../../src/errors.ts";
import { makeMailbox } from "../support/mailbox-harness.ts";

/** Counts what a request costs outside the object: calls to objects, and statements in D1. */
function countingEnv(): { counted: { objects: string[]; statements: string[] }; environment: typeof env } {
  const counted = { objects: [] as string[], statements: [] as string[] };
  const stubOf = (name: string) =>
    new Proxy(env.MAILBOX.getByName(name), {
      get(target, method) {
        return (...values: unknown[]) => {
          counted.objects.push(String(method));
          return Reflect.apply(Reflect.get(target, method), target, values);
        };
      },
    });
  const DB = new Proxy(env.DB, {
    get(target, method) {
      if (method === "prepare") {
        return (query: string) => {
          counted.statements.push(query);
          return target.prepare(query);
        };
      }
      return Reflect.get(target, method).bind(target);
    },
  });
  return { counted, environment: { ...env, MAILBOX: { getByName: stubOf }, DB } };
}

test("one API send is one RPC to the object and no D1 statement of the door's, once the key is known", async () => {
  const box = await makeMailbox();
  const { key } = unwrap(
    await env.TENANT.getByName(box.mailbox.tenant_id).createKey(null, {
      name: "agent",
      scopes: ["read", "send"],
      mailbox_ids: null,
      agent_id: null,
      test: false,
    }),
  );
  const { counted, environment } = countingEnv();
  const app = createApp({ now: Date.now });
  const send = (subject: string, files: unknown[] = []) =>
    app.request(
      `https://mail.test/v1/mailboxes/${box.mailbox.id}/send`,
      {
        method: "POST",
        headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
        body: JSON.stringify({ to: "ana@customer.example", subject, markdown: "Hello", attachments: files }),
      },
      environment,
    );
  expect((await send("first")).status).toBe(202);
  expect(counted.statements).toHaveLength(1);
  counted.objects.length = 0;
  counted.statements.length = 0;
  expect((await send("second")).status).toBe(202);
  expect(counted).toEqual({ objects: ["submit"], statements: [] });

  // Files go to R2 before the object is asked, so whose mailbox it is must be known: one statement more, once in an isolate.
  const file = { name: "a.txt", content_base64: "aGVsbG8=", content_type: "text/plain" };
  expect((await send("third", [file])).status).toBe(202);
  counted.objects.length = 0;
  counted.statements.length = 0;
  expect((await send("fourth", [file])).status).toBe(202);
  expect(counted).toEqual({ objects: ["submit"], statements: [] });
});
