import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ACTIONS, type Action } from "../../src/audit/actions.ts";
import type { Entry } from "../../src/audit/entry.ts";
import { CLASS_OF_GROUP, type Group, OCSF_CLASSES, ocsfNames } from "../../src/audit/ocsf-classes.ts";
import { auditEvent, ocsfEvent } from "../../src/audit/siem.ts";

/** Audit entries as a SIEM gets them: every action has a class and an activity of OCSF 1.3, and nothing is lost or invented. */

const HASH = "ab".repeat(32);

function entryOf(action: string, change: Partial<Entry> = {}): Entry {
  return {
    v: 1,
    log: "mbx_1",
    seq: 7,
    id: "aud_01KBMX3Z8Q4N7W2T0123456789",
    at: "2026-11-20T08:00:00.123Z",
    actor: { type: "agent", id: "alice", agent_id: "alice", key_id: "key_1", via: "rest" },
    action,
    resource: { type: "email", id: "em_1" },
    mode: "gated_send",
    detail: { recipients: 1 },
    prev: "0".repeat(64),
    ...change,
  };
}

/** Activities by their numbers, as the schema of each class has them; 99 is whatever else. */
const SCHEMA: Record<number, Record<number, string>> = {
  3001: { 1: "Create", 2: "Enable", 5: "Disable", 6: "Delete" },
  3002: { 1: "Logon", 2: "Logoff" },
  3004: { 1: "Create", 2: "Read", 3: "Update", 4: "Delete" },
  4009: { 1: "Send", 2: "Receive", 3: "Scan" },
  6003: { 1: "Create", 2: "Read", 3: "Update", 4: "Delete" },
};

describe.each(Object.keys(ACTIONS) as Action[])("%s", (action) => {
  const event = ocsfEvent(entryOf(action), HASH, { subject: "Offer" });

  test("is of a class and an activity that the schema has", () => {
    const { class_uid, category_uid, activity_id, activity_name, type_uid } = event;
    expect(Object.keys(SCHEMA)).toContain(String(class_uid));
    expect(category_uid).toBe(Math.floor(class_uid / 1000));
    expect(type_uid).toBe(class_uid * 100 + activity_id);
    if (activity_id !== 99) expect(activity_name).toBe(SCHEMA[class_uid]?.[activity_id]);
    else expect(activity_name).toBe(action.slice(action.indexOf(".") + 1));
  });

  test("says who, what, when and where in the log, and keeps the rest", () => {
    expect(event).toMatchObject({
      time: Date.parse("2026-11-20T08:00:00.123Z"),
      message: ACTIONS[action].says,
      metadata: {
        version: "1.3.0",
        product: { name: "MultiMail", vendor_name: "MultiMail" },
        uid: "aud_01KBMX3Z8Q4N7W2T0123456789",
        sequence: 7,
        log_name: "mbx_1",
        event_code: action,
      },
      actor: { user: { uid: "alice", type: "Agent", type_id: 99, credential_uid: "key_1" }, app_uid: "alice" },
      src_endpoint: { name: "rest" },
      unmapped: { mode: "gated_send", detail: { recipients: 1 }, personal: { subject: "Offer" }, hash: HASH },
    });
    expect([1, 2]).toContain(event.status_id);
    expect([1, 2, 3, 4]).toContain(event.severity_id);
  });

  test("has what its class wants", () => {
    const wanted = {
      3001: ["user"],
      3002: ["user"],
      3004: ["entity"],
      4009: ["email", "direction_id"],
      6003: ["api", "resources"],
    };
    for (const name of wanted[event.class_uid as keyof typeof wanted]) expect(event).toHaveProperty(name);
  });
});

test.each<[string, number, number, number]>([
  ["message.received", 4009, 2, 1],
  ["delivery.answered", 4009, 1, 1],
  ["message.read", 6003, 2, 1],
  ["key.created", 3001, 1, 1],
  ["key.revoked", 3001, 5, 1],
  ["console.signed_in", 3002, 1, 1],
  ["console.signed_out", 3002, 2, 1],
  ["console.refused", 3002, 99, 2],
  ["mailbox.updated", 3004, 3, 1],
  ["domain.deleted", 3004, 4, 1],
  ["message.blocked", 4009, 99, 2],
  ["an.action of years ago", 6003, 99, 1],
])("%s is class %i, activity %i, status %i", (action, class_uid, activity_id, status_id) => {
  expect(ocsfNames(action)).toMatchObject({ class_uid, activity_id, status_id });
});

test("mail that arrived is inbound, and so is what was refused when it came by mail; the rest is outbound", () => {
  const direction = (action: string, via: Entry["actor"]["via"] = "rest") =>
    ocsfEvent(entryOf(action, { actor: { type: "system", id: "multimail", via } }), HASH, null).direction;
  expect(direction("message.received", "email")).toBe("Inbound");
  expect(direction("message.refused", "email")).toBe("Inbound");
  expect(direction("message.refused")).toBe("Outbound");
  expect(direction("delivery.returned", "email")).toBe("Outbound");
});

test("what an entry does not say, or what was erased, is left out of the email, and never invented", () => {
  const personal = { envelope_from: "ana@customer.example", from: ["ana@customer.example"], subject: "Question" };
  const arrived = ocsfEvent(entryOf("message.received", { detail: { size: 100 } }), HASH, personal);
  expect(arrived.email).toEqual({
    uid: "em_1",
    from: "ana@customer.example",
    smtp_from: "ana@customer.example",
    subject: "Question",
    size: 100,
  });
  expect(ocsfEvent(entryOf("message.held"), HASH, null).email).toEqual({ uid: "em_1" });
});

describe("auditEvent", () => {
  const about = { tenant_id: "ten_1", mailbox: "a@b.example", hash: HASH, personal: { subject: "Offer" } };

  test("is the body that FORMATS §5 says, numbered and named as its entry", () => {
    const entry = entryOf("message.held");
    expect(auditEvent(entry, about)).toEqual({
      id: "evt_01KBMX3Z8Q4N7W2T0123456789",
      type: "audit.entry",
      event: "audit.entry",
      event_type: "audit.entry",
      timestamp: entry.at,
      sequence: 7,
      tenant_id: "ten_1",
      mailbox: "a@b.example",
      mailbox_id: "mbx_1",
      message_id: "em_1",
      email_id: "em_1",
      thread_id: null,
      data: { entry, hash: HASH, personal: { subject: "Offer" } },
    });
  });

  test("has no mailbox and no message where its entry has none, and takes the shape of OCSF when asked to", () => {
    const entry = entryOf("key.revoked", { log: "ten_1", resource: { type: "api_key", id: "key_2" } });
    const event = auditEvent(entry, { ...about, mailbox: null, personal: null }, "ocsf");
    expect(event).toMatchObject({ mailbox_id: null, message_id: null, email_id: null });
    expect(event.data).toEqual(ocsfEvent(entry, HASH, null));
  });
});

test("docs/audit.md has the class of each group of actions", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/audit.md"), "utf8");
  const rows = [...page.matchAll(/^\| `([a-z_.`, ]+)` \| ([A-Z][\w ]+), (\d{4}) \|$/gm)];
  const told = new Map(rows.flatMap(([, groups = "", , uid]) => groups.split("`, `").map((group) => [group, uid])));
  const expected = Object.entries(CLASS_OF_GROUP).map(([group, name]) => [
    group as Group,
    String(OCSF_CLASSES[name].class_uid),
  ]);
  expect([...told].sort()).toEqual(expected.sort());
});
