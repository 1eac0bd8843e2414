import { z } from "zod";
import { access } from "../audit/access.ts";
import { checkRange } from "../audit/time-range.ts";
import { lineStream } from "../line-stream.ts";
import { EXPORT_FORMATS, exportLines, exportName, openExport } from "../store/audit-export.ts";
import { logName } from "./audit-checkpoints.ts";
import { flag, instant, wholeNumber } from "./fields.ts";
import { defineOperation } from "./operation.ts";

/** A log, or a stretch of it, as a file that can be checked on a machine without this service (docs/audit.md). */

/** A place in a log. */
export const place = wholeNumber(0, 999_999_999);

const exportFields = z.strictObject({
  log: logName.optional(),
  from_seq: place.optional().describe("From this entry on; entries are counted from 0"),
  to_seq: place.optional().describe("Up to this entry, which is left out"),
  from: instant.optional().describe("Entries at this time or later, in place of from_seq"),
  to: instant.optional().describe("Entries before this time, in place of to_seq"),
  format: z
    .enum(EXPORT_FORMATS)
    .default("ndjson")
    .describe("ndjson: what verify-audit checks; csv: for people; ocsf: events for a SIEM"),
  personal: flag.default(true).describe("false: without the opened personal fields"),
});

export const exportAuditLog = defineOperation({
  name: "export_audit_log",
  summary: "Exports a log, or any range of one, with the checkpoint and the proof that it can be verified by.",
  scope: ["admin"],
  effect: null,
  recorded: {
    entry: ({ log, format, personal, from_seq, to_seq, from, to }) =>
      access({
        action: "audit.exported",
        ...(log !== undefined && { resource: { type: "log", id: log } }),
        detail: {
          format,
          opened: personal,
          ...(from_seq !== undefined && { from_seq }),
          ...(to_seq !== undefined && { to_seq }),
          ...(from !== undefined && { from }),
          ...(to !== undefined && { to }),
        },
      }),
  },
  input: exportFields,
  output: z.string().describe("The export itself"),
  rest: [{ method: "GET", path: "/v1/audit-log/export" }],
  async handler({ env, caller }, { log = caller.tenant_id, format, personal, ...range }) {
    checkRange(range);
    const opened = await openExport(env, caller, log, range);
    const stream = await lineStream(exportLines(env, opened, format, personal));
    return { status: 200, stream, ...exportName(opened, format) };
  },
});
