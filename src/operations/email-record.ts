import { z } from "zod";
import { ENTRY_FAULTS } from "../audit/stored-entry.ts";
import { recordPage } from "../pages/record/page.tsx";
import { readRecord } from "../store/email-record.ts";
import { checkpointShape } from "./audit-checkpoints.ts";
import { defineOperation } from "./operation.ts";
import { emailNames, emailOf, findEmail } from "./references.ts";
import { timestamp } from "./shapes/values.ts";

/** One message's whole story, as its audit entries tell it. */

const PAGE_TYPE = "text/html; charset=utf-8";

const personal = z.record(z.string(), z.unknown()).nullable();

const stepShape = z.object({
  at: timestamp.nullable(),
  seq: z.number().describe("Its place in the mailbox's log"),
  entry_id: z.string().nullable(),
  hash: z.string().describe("SHA-256(0x00 ‖ RFC 8785 form of `entry`), hex, as the log itself has it"),
  part: z.enum(["written", "judged", "asked", "decided", "delivered", "read", "marked", "erased", "other"]),
  text: z.string().describe("One sentence"),
  entry: z
    .looseObject({ v: z.literal(1), action: z.string() })
    .nullable()
    .describe("Exactly what is hashed (FORMATS.md §6); null where it was altered"),
  personal: personal.describe("Its sealed fields, opened; null where there are none, they were erased, or `fault`"),
  erased: z.boolean(),
  fault: z
    .enum(ENTRY_FAULTS)
    .nullable()
    .describe(
      "altered: it was changed after it was written, and what it said is not known here; unreadable: its sealed fields were not erased, but do not open",
    ),
  stored: z.string().nullable().describe("What stands in the place of an altered entry: nobody wrote that to the log"),
  proof: z.array(z.string()).describe("What leads from `hash` to the checkpoint's root (RFC 9162 §2.1.3), base64"),
});

const decisionShape = z.object({
  at: timestamp,
  seq: z.number(),
  decision: z.enum(["approved", "rejected", "counted"]),
  decided_by: z.string().nullable(),
  on_behalf_of: z.string().nullable(),
  approval_kind: z.string().nullable(),
  via: z.string(),
  approval_ref: z.string().nullable(),
  note: z.string().nullable(),
  content_hash: z.string().nullable(),
  edited: z.boolean(),
});

const attemptShape = z.object({
  at: timestamp,
  seq: z.number(),
  attempt: z.number().nullable(),
  transport: z.string().nullable(),
  accepted: z.number(),
  deferred: z.number(),
  refused: z.number(),
  outcomes: z.array(z.unknown()).nullable(),
});

const recordShape = z.object({
  email_id: z.string(),
  mailbox_id: z.string().describe("Also the name of the log that it is in"),
  direction: z.enum(["outbound", "inbound"]).nullable(),
  author: z
    .object({
      agent_id: z.string().nullable(),
      key_id: z.string().nullable(),
      model_id: z.string().nullable(),
      model_provider: z.string().nullable(),
      via: z.string(),
    })
    .nullable(),
  mode: z.string().nullable(),
  from: z.string().nullable(),
  to: z.array(z.string()).nullable(),
  subject: z.string().nullable(),
  status: z.string().nullable(),
  checks: z
    .object({
      at: timestamp,
      rule: z.string().nullable(),
      rules: z.array(z.string()),
      because: z.string().nullable(),
      risk: z.number().nullable().describe("In hundredths"),
      domain_risk: z.number().nullable(),
      authentication: z.record(z.string(), z.string()).nullable(),
    })
    .nullable(),
  content_hash: z.string().nullable(),
  decisions: z.array(decisionShape),
  attempts: z.array(attemptShape),
  signatures: z
    .object({ identity_kid: z.string().nullable(), dkim_selectors: z.array(z.string()), forms: z.array(z.string()) })
    .nullable(),
  erased_at: timestamp.nullable(),
  altered: z
    .number()
    .describe("Steps that were altered: nothing in this record rests on what is stored in their place"),
  steps: z.array(stepShape),
  left_out: z.number().describe("Steps that are too many to be shown"),
  archived_before: timestamp.nullable().describe("Steps up to this time are in the sealed segments alone"),
  checkpoint: checkpointShape,
});

export const getEmailRecord = defineOperation({
  name: "get_email_record",
  summary:
    "Tells a message's whole story: who wrote it, what was checked, who decided, what was signed and what came of it.",
  scope: ["admin", "oversight"],
  effect: null,
  recorded: "by_its_object",
  textForm: "text/html",
  input: z
    .strictObject({
      ...emailNames,
      format: z.enum(["json", "html"]).default("json").describe("html: a page that can be printed"),
    })
    .transform(({ format, ...names }, context) => ({ format, reference: emailOf(names, context) })),
  output: recordShape,
  rest: [{ method: "GET", path: "/v1/emails/{email_id}/record" }],
  async handler(context, { reference, format }) {
    const { env, caller } = context;
    const found = await findEmail(context, reference);
    const record = await readRecord(env, caller.tenant_id, caller, found);
    if (format === "html") return { status: 200, text: recordPage(record), content_type: PAGE_TYPE };
    const steps = record.steps.map((step) => ({ ...step, entry: step.entry && { ...step.entry } }));
    return { status: 200, body: { ...record, steps } };
  },
});
