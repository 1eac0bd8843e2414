import { z } from "zod";
import { unwrap } from "../errors.ts";
import { callTenant } from "../store/mailbox-client.ts";
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
