import { z } from "zod";
import type { AccountChange } from "../../durable-objects/tenant-rpc.ts";
import { access } from "../audit/access.ts";
import { parseVerifierKey } from "../audit/signed-note.ts";
import { unwrap } from "../errors.ts";
import { UnreadableKey } from "../identity/public-keys.ts";
import { callTenant } from "../store/mailbox-client.ts";
import { approvalCode, octets } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { pendingApprovalShape, withApproval } from "./operator-approval.ts";
import { accountShape } from "./shapes/account.ts";

export const getAccount = defineOperation({
  name: "get_account",
  summary: "Reads the account that the key belongs to.",
  scope: ["read"],
  effect: null,
  recorded: { entry: () => access({ action: "account.read" }) },
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

/** Entries must be found for a month at least, whatever anyone wishes later. */
const MIN_RETENTION_DAYS = 30;
const MAX_RETENTION_DAYS = 36_500;
const MAX_WITNESSES = 8;

function isWitnessKey(text: string): boolean {
  try {
    return parseVerifierKey(text).algorithm === "cosignature/v1";
  } catch (error) {
    if (error instanceof UnreadableKey) return false;
    throw error;
  }
}

const witnessKey = z.string().max(512).trim().refine(isWitnessKey, {
  error: "must be a witness's verifier key (C2SP tlog-cosignature), as name+hash+key",
});

const settingsIn = {
  postal_address: postalAddress.optional(),
  audit_retention_days: z
    .int()
    .min(MIN_RETENTION_DAYS)
    .max(MAX_RETENTION_DAYS)
    .nullable()
    .optional()
    .describe("After how many days audit entries leave objects and D1 once R2 holds them; null: never"),
  legal_hold: z.boolean().optional().describe("While it is on, nothing is erased. Lifting it waits for the operator"),
  auditor_email: z
    .email()
    .max(254)
    .nullable()
    .optional()
    .describe("Who is mailed the audit log's checkpoints, at most once a day"),
  witnesses: z
    .array(witnessKey)
    .max(MAX_WITNESSES)
    .optional()
    .describe("Verifier keys of those who co-sign checkpoints"),
};

export const updateAccount = defineOperation({
  name: "update_account",
  summary: "Changes the account that the key belongs to. What is left out stays; what loosens waits for the operator.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: z.strictObject({ ...settingsIn, approval_code: approvalCode }),
  output: z.union([accountShape, pendingApprovalShape]),
  rest: [{ method: "PATCH", path: "/v1/account" }],
  async handler(context, input) {
    const { env, caller } = context;
    const { approval_code: _code, ...given } = input;
    const change: AccountChange = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const outcome = await withApproval(context, { operation: "update_account", input }, async (approvedWords) =>
      unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.updateAccount(caller, change, approvedWords))),
    );
    if ("waiting" in outcome) return { status: 202, body: outcome.waiting };
    return { status: 200, body: outcome.made.account };
  },
});
