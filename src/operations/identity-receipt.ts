import { z } from "zod";
import { callMailbox } from "../store/mailbox-client.ts";
import { defineOperation } from "./operation.ts";
import { emailNames, emailOf, findEmail } from "./references.ts";

export const getIdentityReceipt = defineOperation({
  name: "get_identity_receipt",
  summary: "Reads the signed receipt of a delivered message: who sent it, in which mode, and who approved it.",
  scope: ["read"],
  effect: "read",
  recorded: "by_its_object",
  input: z.strictObject(emailNames).transform((names, context) => ({ reference: emailOf(names, context) })),
  output: z.object({
    /** The claim (FORMATS.md §2.1). */
    payload: z.record(z.string(), z.unknown()),
    /** The value of X-MultiMail-Identity. */
    signature_header: z.string(),
    verified: z.boolean(),
    key_fingerprint: z.string(),
    kid: z.string(),
    issued_at: z.string(),
    issuer: z.string(),
    /** The newest checkpoint of the account's audit log at the time; receipts of earlier versions have none. */
    checkpoint: z.string().optional(),
    /** RFC 7515, compact, ES256, over all the other fields. */
    jws: z.string(),
  }),
  rest: [{ method: "GET", path: "/v1/emails/{email_id}/identity-receipt" }],
  async handler(context, { reference }) {
    const { id, routing } = await findEmail(context, reference);
    const receipt = await callMailbox(context.env, routing, (object) => object.identityReceipt(context.caller, id));
    return { status: 200, body: { ...receipt, payload: { ...receipt.payload } } };
  },
});
