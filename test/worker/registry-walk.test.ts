import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { REMEMBERED_MS } from "../../src/doors/authentication.ts";
import { newId, newRoutingNumber } from "../../src/ids.ts";
import type { Operation } from "../../src/operations/operation.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import type { ApiKey } from "../../src/operations/shapes/account.ts";
import type { SendAnswer } from "../../src/operations/shapes/sending.ts";
import { SCOPES, type Scope } from "../../src/oversight/caller.ts";
import {
  advanceDoors,
  call,
  keyOf,
  makeTenant,
  request,
  storedCounts,
  type TestTenant,
} from "../support/door-harness.ts";
import {
  NEVER_TAKEN,
  neededReferences,
  SAMPLE_AGENT,
  type SampleCall,
  sampleCalls,
  type Things,
} from "../support/operation-samples.ts";
import { addThings } from "../support/things.ts";

/** Every operation × every scope × a foreign tenant's ids, by every door. Derived from the registry: a new operation is walked too. */

let home: TestTenant;
let foreign: TestTenant;
let foreignThings: Things;
/** Every key there may be in a tenant that has the right scope for nothing else. */
let revoked: string;

async function thingsOf(tenant: TestTenant, index = 0): Promise<Things> {
  const mailbox = tenant.mailboxes[index] ?? tenant.mailbox;
  const { status, body } = await call<SendAnswer>(`/v1/mailboxes/${mailbox.id}/send`, {
    key: keyOf(tenant, "send"),
    json: {
      to: "ana@customer.example",
      subject: "Offer",
      text: "Hello",
      tags: ["offer"],
      attachments: [{ name: "offer.txt", content_base64: "aGVsbG8=", content_type: "text/plain" }],
    },
  });
  expect(status).toBe(202);
  const made = await call<ApiKey>("/v1/api-keys", {
    key: keyOf(tenant, "admin"),
    json: { name: "another", scopes: ["read"] },
  });
  return {
    mailbox_id: mailbox.id,
    email_id: body.id,
    thread_id: body.thread_id,
    pending_id: body.pending_id ?? "",
    ...(await addThings(mailbox)),
    id: made.body.id,
  };
}

/** The agent that samples name is one of the tenant's. */
const KNOWN_AGENT = { name: "of an agent", scopes: ["read"], agent_id: SAMPLE_AGENT };

/** The scopes that let a key in: for a public operation all of them. */
function scopesOf({ scope }: Operation): readonly Scope[] {
  return scope === "public" ? SCOPES : scope;
}

/** How much there is of a tenant, in its objects and in D1. */
async function weightOf(tenant: TestTenant): Promise<Record<string, number>> {
  const stubs: DurableObjectStub[] = [
    env.TENANT.getByName(tenant.id),
    ...tenant.mailboxes.map(({ id }) => env.MAILBOX.getByName(id.slice(-8))),
  ];
  const entries = await Promise.all(
    stubs.map((stub) =>
      runInDurableObject(
        stub,
        (
          _object,
          state, // What the system does by itself meanwhile, such as mailing people, is nobody's doing here.
        ) =>
          state.storage.sql
            .exec<{ n: number }>(
              "SELECT count(*) AS n FROM entries WHERE json_extract(entry, '$.actor.type') <> 'system'",
            )
            .one().n,
      ),
    ),
  );
  return {
    ...(await storedCounts()),
    ...Object.fromEntries(entries.map((count, index) => [`object ${index}`, count])),
  };
}

function ask({ path, method, json }: SampleCall, key: string | null) {
  return call(path, { method, key, ...(json !== undefined && { json }) });
}

beforeAll(async () => {
  home = await makeTenant(["gated_send", "gated_send"], ([, second]) => [
    ...SCOPES.map((scope) => ({ name: `bound ${scope}`, scopes: [scope], mailboxes: [second] })),
    KNOWN_AGENT,
    { name: "revoked", scopes: ["read", "send", "admin"] },
  ]);
  foreign = await makeTenant();
  foreignThings = await thingsOf(foreign);
  const gone = { address: "gone@customer.example" };
  expect((await call("/v1/suppression", { key: keyOf(home, "admin"), json: gone })).status).toBe(201);
  revoked = keyOf(home, "revoked");
  const { body } = await call<{ api_keys: ApiKey[] }>("/v1/api-keys?limit=100", { key: keyOf(home, "admin") });
  const { id } = body.api_keys.find(({ name }) => name === "revoked") ?? { id: "" };
  expect((await call("/v1/account", { key: revoked })).status).toBe(200);
  expect((await call(`/v1/api-keys/${id}`, { method: "DELETE", key: keyOf(home, "admin") })).status).toBe(200);
  advanceDoors(REMEMBERED_MS);
});

describe.each(OPERATIONS.map((operation): [string, Operation] => [operation.name, operation]))(
  "%s",
  (_name, operation) => {
    const isAddressed = neededReferences(operation).length > 0;

    test("answers 401 without a key, with an unknown one and with a revoked one", async () => {
      const unknown = `mm_live_${"x".repeat(43)}`;
      for (const sample of sampleCalls(operation, foreignThings)) {
        if (operation.scope !== "public")
          expect(await ask(sample, null), sample.label).toMatchObject({
            status: 401,
            body: { code: "unauthenticated" },
          });
        for (const key of [unknown, "nonsense", revoked]) {
          expect(await ask(sample, key), sample.label).toMatchObject({ status: 401, body: { code: "invalid_key" } });
        }
      }
    });

    test("lets in exactly the scopes it names; to them a foreign tenant's things are not there, and nothing is written", async () => {
      // The operator is mailed five codes an hour at most, which the operations before may have used up.
      await runInDurableObject(env.TENANT.getByName(home.id) as DurableObjectStub, (_object, { storage }) =>
        storage.sql.exec("DELETE FROM confirmations").toArray(),
      );
      const before = await weightOf(foreign);
      for (const scope of SCOPES) {
        const isLetIn = scopesOf(operation).includes(scope);
        for (const sample of sampleCalls(operation, foreignThings)) {
          const answer = await ask(sample, keyOf(home, scope));
          const label = `${sample.label} with ${scope}: ${JSON.stringify(answer.body)}`;
          if (!isLetIn) expect(answer, label).toMatchObject({ status: 403, body: { code: "missing_scope" } });
          else if (isAddressed) expect(answer, label).toMatchObject({ status: 404, body: { code: "not_found" } });
          else if (operation.name in NEVER_TAKEN) expect(answer.status, label).toBe(NEVER_TAKEN[operation.name]);
          else {
            expect(answer.status, label).toBeLessThan(300);
            for (const id of [foreign.id, ...Object.values(foreignThings)])
              expect(JSON.stringify(answer.body)).not.toContain(id);
          }
        }
      }
      if (isAddressed) expect(await weightOf(foreign)).toEqual(before);
      const { "object 0": tenantEntries, "object 1": mailboxEntries } = await weightOf(foreign);
      expect([tenantEntries, mailboxEntries]).toEqual([before["object 0"], before["object 1"]]);
    });

    test.runIf(isAddressed)(
      "answers 404 for ids of things that were never made, of another kind, or that are no ids",
      async () => {
        const routing = newRoutingNumber();
        const made = (prefix: "mbx" | "em" | "thr" | "pend" | "alw" | "tpl" | "dom" | "key") =>
          newId(prefix, Date.now(), prefix === "key" || prefix === "dom" ? undefined : routing);
        const never: Things = {
          mailbox_id: made("mbx"),
          email_id: made("em"),
          thread_id: made("thr"),
          pending_id: made("pend"),
          entry_id: made("alw"),
          template_id: made("tpl"),
          draft_id: made("em"),
          domain_id: made("dom"),
          id: made("key"),
          agent: "never-registered",
        };
        const odd: Things = {
          mailbox_id: never.thread_id,
          email_id: never.mailbox_id,
          thread_id: never.email_id,
          pending_id: never.id,
          entry_id: never.mailbox_id,
          template_id: never.entry_id,
          draft_id: never.template_id,
          domain_id: never.email_id,
          id: never.email_id,
          agent: never.id,
        };
        const wild: Things = {
          mailbox_id: "x",
          email_id: "..",
          thread_id: "%00",
          pending_id: "em_",
          entry_id: "alw_",
          template_id: "\r\n",
          draft_id: "x".repeat(64),
          domain_id: "dom_",
          id: "key_",
          agent: "a b\u0000",
        };
        const scope = scopesOf(operation)[0] ?? "read";
        for (const things of [never, odd, wild]) {
          for (const sample of sampleCalls(operation, things)) {
            const answer = await ask(sample, keyOf(home, scope));
            expect([404, 422], `${sample.label}: ${JSON.stringify(answer)}`).toContain(answer.status);
            if (things !== wild) expect(answer.status, sample.label).toBe(404);
          }
        }
        const tables = await runInDurableObject(
          env.MAILBOX.getByName(routing),
          (_object, state) =>
            state.storage.sql
              .exec<{ n: number }>("SELECT count(*) AS n FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")
              .one().n,
        );
        expect(tables).toBe(0);
      },
    );

    test("its samples are what it takes of its own tenant", async () => {
      const scope = scopesOf(operation)[0] ?? "read";
      // A tenant for each operation, since the operator is mailed at most five codes an hour.
      const own = await makeTenant(["gated_send"], () => [KNOWN_AGENT]);
      for (const [index] of sampleCalls(operation, foreignThings).entries()) {
        const things = await thingsOf(own);
        const sample = sampleCalls(operation, things)[index];
        if (!sample) throw new Error("a sample is missing");
        const response = await request(sample.path, {
          method: sample.method,
          key: keyOf(own, scope),
          ...(sample.json !== undefined && { json: sample.json }),
        });
        // A second cancellation, or a mark on outgoing mail, is a 409: understood, and refused for its state. A code is looked at.
        const taken = operation.name === "apply_upgrade" ? [403] : [200, 201, 202, 409];
        const never = NEVER_TAKEN[operation.name];
        const expected = never === undefined ? taken : [never];
        expect(expected, `${sample.label}: ${await response.text()}`).toContain(response.status);
      }
    });

    const inMailbox = neededReferences(operation).some((name) => name !== "id" && name !== "domain_id");
    test.runIf(inMailbox)("answers 403 to a key that is bound to another mailbox of the tenant", async () => {
      const things = await thingsOf(home, 0);
      const before = await storedCounts();
      for (const scope of scopesOf(operation)) {
        for (const sample of sampleCalls(operation, things)) {
          expect(await ask(sample, keyOf(home, `bound ${scope}`)), sample.label).toMatchObject({
            status: 403,
            body: { code: "mailbox_not_allowed" },
          });
        }
      }
      expect(await storedCounts()).toEqual(before);
    });
  },
);
