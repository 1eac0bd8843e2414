import { expect } from "vitest";
import { call, keyOf, type RefusalBody, type TestTenant } from "./door-harness.ts";
import { boxOf } from "./erased-person.ts";
import { everythingStored } from "./everything-stored.ts";
import { runAlarm } from "./mailbox-harness.ts";
import { withCode } from "./operator-codes.ts";
import { runAlarm as runTenantAlarm } from "./tenant-harness.ts";

/** Erasing a person through the doors, until it has come to its end. */

export interface View {
  status: string;
  erasure_id: string;
  finished_at: string | null;
  erased: Record<string, number>;
  waits_for: string[];
}

export const PATH = "/v1/erase_contact";
export const admin = (tenant: TestTenant) => ({ key: keyOf(tenant, "admin") });
export const ask = <Body = RefusalBody & { where: string[]; under_way: string[] }>(tenant: TestTenant, json: object) =>
  call<Body>(PATH, { ...admin(tenant), json });
export const boxesOf = (tenant: TestTenant) => tenant.mailboxes.map((mailbox) => boxOf(tenant, mailbox));

/** Begins an erasure that the operator allowed. */
export async function begin(tenant: TestTenant, address: string): Promise<string> {
  const { status, body } = await withCode<View>(tenant, PATH, { ...admin(tenant), json: { address } });
  expect([status, body.status], JSON.stringify(body)).toEqual([202, "erasing"]);
  return body.erasure_id;
}

/** Serves what is due in the tenant's object and its mailboxes, until the erasure has come to an end or to a rest. */
export async function workOn(tenant: TestTenant, erasure_id: string): Promise<View> {
  for (let turn = 0; turn < 12; turn++) {
    await runTenantAlarm(tenant.id);
    for (const box of boxesOf(tenant)) await runAlarm(box);
    const { body } = await ask<View>(tenant, { erasure_id });
    if (body.status === "erased") break;
  }
  return (await ask<View>(tenant, { erasure_id })).body;
}

export async function eraseWhole(tenant: TestTenant, address: string): Promise<View> {
  const view = await workOn(tenant, await begin(tenant, address));
  expect(view.status, JSON.stringify(view)).toBe("erased");
  return view;
}

export const stored = (tenant: TestTenant) =>
  everythingStored(
    tenant.id,
    tenant.mailboxes.map(({ id }) => id),
  );
