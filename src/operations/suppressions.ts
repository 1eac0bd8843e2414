import { z } from "zod";
import { access } from "../audit/access.ts";
import { unwrap } from "../errors.ts";
import { comparableAddress, parseAddresses } from "../mail/address.ts";
import { callTenant } from "../store/mailbox-client.ts";
import { approvalCode, cursor, limit } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { pendingApprovalShape, withApproval } from "./operator-approval.ts";
import { foreignCursor } from "./page-cursor.ts";
import { suppressionShape } from "./shapes/recipient-lists.ts";

/** The suppression list: whom no mailbox of the account writes to. */

const PATH = "/v1/suppression";
const MAX_NOTE_CHARACTERS = 500;

const address = z.string().min(3).max(320).describe("One address, without a name");

/** @returns the one address in a field, in comparable form. @throws {Refused} `invalid_address`, `forbidden_characters`. */
function oneAddress(text: string): string {
  const [parsed] = parseAddresses([text], "address");
  if (!parsed) throw new Error("an address was read, and there is none");
  return comparableAddress(parsed.address);
}

/** A page's cursor is the place of its last row. */
function placeOf(given: string | undefined): number | null {
  if (given === undefined) return null;
  if (!/^[1-9]\d{0,14}$/.test(given)) throw foreignCursor();
  return Number(given);
}

export const checkSuppression = defineOperation({
  name: "check_suppression",
  summary: "Says whether an address is suppressed, or without one lists all that are, the newest first.",
  scope: ["admin"],
  effect: "administer",
  recorded: {
    entry: ({ address }, body) =>
      address === undefined
        ? access({ action: "suppressions.listed", detail: { results: body?.suppressions.length ?? 0 } })
        : access({
            action: "suppression.checked",
            detail: { suppressed: body?.suppressed ?? false },
            personal: { address },
          }),
  },
  input: z.strictObject({ address: address.optional(), limit, cursor }),
  output: z.object({
    suppressions: z.array(suppressionShape),
    cursor: z.string().nullable(),
    /** Only where an address was asked for. */
    address: z.string().optional(),
    suppressed: z.boolean().optional(),
  }),
  rest: [{ method: "GET", path: PATH }],
  async handler({ env, caller }, { address, limit, cursor }) {
    if (address === undefined) {
      const place = placeOf(cursor);
      const page = unwrap(
        await callTenant(env, caller.tenant_id, (tenant) => tenant.listSuppressions(caller, { limit, cursor: place })),
      );
      return { status: 200, body: { ...page, cursor: page.cursor === null ? null : String(page.cursor) } };
    }
    const asked = oneAddress(address);
    const found = unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.findSuppression(caller, asked)));
    const suppressions = found === null ? [] : [found];
    return { status: 200, body: { suppressions, cursor: null, address: asked, suppressed: found !== null } };
  },
});

export const addSuppression = defineOperation({
  name: "add_suppression",
  summary: "Suppresses an address: from now on no mailbox of the account writes to it.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: z.strictObject({
    address,
    reason: z
      .enum(["manual", "complaint", "unsubscribed"])
      .default("manual")
      .describe("unsubscribed: only promotional mail is kept back"),
    note: z.string().max(MAX_NOTE_CHARACTERS).nullable().default(null),
  }),
  output: suppressionShape,
  rest: [{ method: "POST", path: PATH }],
  async handler({ env, caller }, { address, reason, note }) {
    const wanted = { address: oneAddress(address), reason, note };
    const { suppression, existed } = unwrap(
      await callTenant(env, caller.tenant_id, (tenant) => tenant.addSuppression(caller, wanted)),
    );
    return { status: existed ? 200 : 201, body: suppression };
  },
});

export const removeSuppression = defineOperation({
  name: "remove_suppression",
  summary:
    "Takes an address off the suppression list, once the operator allowed it: the second call carries their code.",
  scope: ["admin"],
  effect: "administer",
  recorded: "by_its_object",
  input: z.strictObject({ address, approval_code: approvalCode }),
  output: z.union([suppressionShape, pendingApprovalShape]),
  rest: [{ method: "DELETE", path: `${PATH}/{address}` }],
  async handler(context, input) {
    const { env, caller } = context;
    const bound = { ...input, address: oneAddress(input.address) };
    const result = await withApproval(context, { operation: "remove_suppression", input: bound }, async (words) =>
      unwrap(
        await callTenant(env, caller.tenant_id, (tenant) => tenant.removeSuppression(caller, bound.address, words), {
          repeatable: false,
        }),
      ),
    );
    return "waiting" in result ? { status: 202, body: result.waiting } : { status: 200, body: result.made.removed };
  },
});
