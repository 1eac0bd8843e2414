import { z } from "zod";
import { unwrap } from "../errors.ts";
import { comparableAddress, parseAddresses } from "../mail/address.ts";
import { callMailbox, callTenant } from "../store/mailbox-client.ts";
import { approvalCode } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { pendingApprovalShape, withApproval } from "./operator-approval.ts";
import { emailNames, emailOf, findEmail } from "./references.ts";
import { timestamp } from "./shapes/values.ts";

/** Erasing a message, or a person from the whole account (docs/erasure.md). A human confirms each with the operator's code. */

const erasedEmailShape = z.object({
  /** `erasing`: what lies outside the mailbox's object is not gone everywhere yet, and is tried again until it is. */
  status: z.enum(["erased", "erasing"]),
  email_id: z.string(),
  erased_at: timestamp,
});

export const eraseEmail = defineOperation({
  name: "erase_email",
  recorded: "by_its_object",
  summary: "Erases a message for good, once the operator allowed it: the second call carries their code.",
  scope: ["admin"],
  effect: "administer",
  input: z
    .strictObject({ ...emailNames, approval_code: approvalCode })
    .transform(({ approval_code, ...names }, context) => ({ approval_code, reference: emailOf(names, context) })),
  output: z.union([erasedEmailShape, pendingApprovalShape]),
  rest: [{ method: "POST", path: "/v1/emails/{email_id}/erase" }],
  async handler(context, { reference, approval_code }) {
    const { env, caller } = context;
    const { id, routing } = await findEmail(context, reference);
    const asked = { operation: "erase_email", input: { email_id: id, approval_code } };
    const outcome = await withApproval(context, asked, (approvedWords) =>
      callMailbox(env, routing, (mailbox) => mailbox.erase(caller, id, approvedWords)),
    );
    if ("waiting" in outcome) return { status: 202, body: outcome.waiting };
    const { is_done, ...erased } = outcome.made.erasure;
    if (is_done) return { status: 200, body: { status: "erased" as const, ...erased } };
    return { status: 202, body: { status: "erasing" as const, ...erased } };
  },
});

/** What of a person was erased. */
const countsShape = z.object({
  messages: z.number(),
  /** Messages that named the person only in tags or among those who decided: they stay, without the address. */
  redacted: z.number(),
  drafts: z.number(),
  requests: z.number(),
  /** Versions of templates that are in use no more. */
  templates: z.number(),
  /** Rows of allowlists, suppressions and of whom was written to. */
  lists: z.number(),
  /** Data keys of audit entries. */
  entries: z.number(),
  /** Answers and codes that were kept for a day. */
  answers: z.number(),
});

const erasedContactShape = z.object({
  status: z.enum(["erased", "erasing"]),
  erasure_id: z.string(),
  started_at: timestamp,
  finished_at: timestamp.nullable(),
  erased: countsShape,
  /** What it waits for: messages on their way, a legal hold that was set since, or segments of a log that cannot be read back. */
  waits_for: z.array(z.string()),
});

function oneAddress(text: string): string {
  const [parsed, ...more] = parseAddresses([text], "address");
  if (!parsed || more.length > 0) throw new Error("an address was read, and there is none");
  return comparableAddress(parsed.address);
}

export const eraseContact = defineOperation({
  name: "erase_contact",
  recorded: "by_its_object",
  summary: "Erases a person from the whole account by their address, once the operator allowed it.",
  scope: ["admin"],
  effect: "administer",
  input: z
    .strictObject({
      address: z.string().min(3).max(320).optional().describe("One address, without a name"),
      erasure_id: z.string().max(64).optional().describe("In place of the address: how far that erasure has come"),
      approval_code: approvalCode,
    })
    .refine(({ address, erasure_id }) => (address === undefined) !== (erasure_id === undefined), {
      error: "one of address and erasure_id is needed, and only one",
      path: ["address"],
    }),
  output: z.union([erasedContactShape, pendingApprovalShape]),
  // POST /v1/erase_contact, as every operation has it by its name.
  rest: [],
  async handler(context, { address, erasure_id, approval_code }) {
    const { env, caller } = context;
    if (erasure_id !== undefined) {
      const found = unwrap(await callTenant(env, caller.tenant_id, (tenant) => tenant.erasure(caller, erasure_id)));
      return { status: found.status === "erased" ? 200 : 202, body: found };
    }
    const wanted = oneAddress(address ?? "");
    const asked = { operation: "erase_contact", input: { address: wanted, approval_code } };
    const outcome = await withApproval(context, asked, async (approvedWords) =>
      unwrap(
        await callTenant(env, caller.tenant_id, (tenant) => tenant.eraseContact(caller, wanted, approvedWords), {
          repeatable: false,
        }),
      ),
    );
    // Never 200 to a call that names the person: that answer would be kept under the call's idempotency key, by a hash of the call.
    return { status: 202, body: "waiting" in outcome ? outcome.waiting : outcome.made.erasure };
  },
});
