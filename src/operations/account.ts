import { z } from "zod";
import { unwrap } from "../errors.ts";
import { callTenant } from "../store/mailbox-client.ts";
import { octets } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { accountShape } from "./shapes.ts";

export const getAccount = defineOperation({
  name: "get_account",
  summary: "Reads the account that the key belongs to.",
  scope: ["read"],
  effect: null,
  input: z.strictObject({}),
  output: accountShape,
  rest: [{ method: "GET", path: "/v1/account" }],
  async handler({ env, caller }) {
    return { status: 200, body: unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.account(caller))) };
  },
});

const MAX_ADDRESS_OCTETS = 1_000;
const MAX_ADDRESS_LINES = 10;

/** A postal address as it stands in a mail's footer: lines of printable text. Null takes it away. */
export const postalAddress = octets(MAX_ADDRESS_OCTETS)
  .transform((text) => text.replace(/\r\n?/g, "\n").trim())
  .refine((text) => /\p{L}/u.test(text) && !/[^\P{C}\n]/u.test(text), { error: "must be lines of readable text" })
  .refine((text) => text.split("\n").length <= MAX_ADDRESS_LINES, {
    error: `may have at most ${MAX_ADDRESS_LINES} lines`,
  })
  .nullable()
  .describe("Where you can be written to; the footer of promotional mail says it");

export const updateAccount = defineOperation({
  name: "update_account",
  summary: "Changes the account that the key belongs to. What is left out stays.",
  scope: ["admin"],
  effect: "administer",
  input: z.strictObject({ postal_address: postalAddress.optional() }),
  output: accountShape,
  rest: [{ method: "PATCH", path: "/v1/account" }],
  async handler({ env, caller }, { postal_address }) {
    const change = postal_address === undefined ? {} : { postal_address };
    const account = await callTenant(env, caller.tenant_id, (tenant) => tenant.updateAccount(caller, change));
    return { status: 200, body: unwrap(account) };
  },
});
