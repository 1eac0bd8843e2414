import { beforeAll, expect, test } from "vitest";
import { call, keyOf, makeTenant, type TestTenant } from "../support/door-harness.ts";

let tenant: TestTenant;
beforeAll(async () => {
  tenant = await makeTenant();
});

/** Every filter there is, with as many metadata filters. */
function list(metadataFilters: number) {
  const json = {
    mailbox_id: tenant.mailbox.id,
    limit: 100,
    offset: 1_000,
    status: ["unread", "read", "archived"],
    direction: "inbound",
    sender: "a",
    subject_contains: "b",
    q: "c d",
    date_after: "2026-01-01",
    date_before: "2026-12-31",
    has_attachments: true,
    tag: "a:b",
    thread_id: "thr_x",
    dkim_result: "pass",
    unread_only: true,
    metadata: Object.fromEntries(Array.from({ length: metadataFilters }, (_, n) => [`key ${n}`, "value"])),
  };
  return call("/v1/check_inbox", { key: keyOf(tenant, "read"), json });
}

test("all filters at once, with 20 of metadata, are answered", async () => {
  expect(await list(20)).toMatchObject({ status: 200, body: { emails: [], cursor: null } });
});

test("more than 20 filters of metadata are a 422: storage could not bind them", async () => {
  for (const count of [21, 1_000]) {
    expect(await list(count)).toMatchObject({
      status: 422,
      body: { code: "invalid_input", issues: [{ path: "metadata", message: "may have at most 20 entries" }] },
    });
  }
});
