import { z } from "zod";
import { access } from "../audit/access.ts";
import { Refused } from "../errors.ts";
import { lineStream } from "../line-stream.ts";
import { accountLines } from "../store/account-export.ts";
import { approvalCode } from "./fields.ts";
import { defineOperation } from "./operation.ts";
import { operatorApproval, pendingApprovalShape } from "./operator-approval.ts";

export const exportAccount = defineOperation({
  name: "export_account",
  summary:
    "Exports everything that the account owns, once the operator allowed it: the second call carries their code.",
  scope: ["admin"],
  effect: "administer",
  // That the operator was asked is recorded where they are.
  recorded: {
    entry: ({ approval_code }) => (approval_code === undefined ? null : access({ action: "account.exported" })),
  },
  input: z.strictObject({ approval_code: approvalCode }),
  output: z.union([z.string().describe("The export itself, as NDJSON"), pendingApprovalShape]),
  rest: [{ method: "GET", path: "/v1/export" }],
  async handler(context, input) {
    const { env, caller, now } = context;
    if (caller.mailbox_ids !== null) {
      throw new Refused(
        "mailbox_not_allowed",
        "This key is bound to its mailboxes, and the export is of the whole account.",
      );
    }
    const waiting = await operatorApproval(context, {
      operation: "export_account",
      input,
      words:
        "Everything that the account owns is handed to whoever has the key: each message of every mailbox with its files, held mail " +
        "too, drafts, settings, and the audit log with its personal fields.",
    });
    if (waiting) return { status: 202, body: waiting };
    const stream = await lineStream(accountLines(env, caller, now()));
    return { status: 200, stream, content_type: "application/x-ndjson", name: `${caller.tenant_id}.ndjson` };
  },
});
