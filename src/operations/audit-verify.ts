import { z } from "zod";
import { access } from "../audit/access.ts";
import { FAULT_CODES, type Fault, fault } from "../audit/faults.ts";
import { parseVerifierKey } from "../audit/signed-note.ts";
import { ExportVerifier } from "../audit/verify-export.ts";
import type { Env } from "../env.ts";
import { EntriesMissing } from "../store/audit-entries.ts";
import { exportLines, type LogExport, openExport } from "../store/audit-export.ts";
import { checkpointShape, logName } from "./audit-checkpoints.ts";
import { place } from "./audit-export.ts";
import { wholeNumber } from "./fields.ts";
import { defineOperation } from "./operation.ts";

/** The check that verify-audit does, done by the service on itself: no proof to anyone else, but a quick look. */

/** A second or so of work. */
const MOST_ENTRIES = 20_000;

/** @returns the first thing that is wrong with an export, in the lines that a reader of it would get; null if all is well. */
async function faultOf(env: Env, opened: LogExport): Promise<Fault | null> {
  const { log, start, checkpoint } = opened;
  const keys = [parseVerifierKey(checkpoint.verifier_key)];
  const verifier = new ExportVerifier({ keys, witnesses: [], after: null, log });
  const encoder = new TextEncoder();
  try {
    for await (const line of exportLines(env, opened, "ndjson", false)) {
      verifier.write(encoder.encode(line));
      if (verifier.isDecided) break;
    }
  } catch (error) {
    // What the stores have lost is found here, like anything else that is wrong with the log.
    if (error instanceof EntriesMissing) return fault("gap", error.seq - start + 1, error.seq, `${error.message}.`);
    throw error;
  }
  const verdict = verifier.end();
  return verdict.ok ? null : verdict.fault;
}

export const verifyAuditLog = defineOperation({
  name: "verify_audit_log",
  summary: "Verifies a log, as far as one call goes, against its checkpoint and its published key.",
  scope: ["admin"],
  effect: null,
  recorded: {
    entry: ({ log }, body) =>
      access({
        action: "audit.verified",
        ...(log !== undefined && { resource: { type: "log", id: log } }),
        detail: {
          from_seq: body?.from_seq ?? 0,
          to_seq: body?.to_seq ?? 0,
          entries: body?.entries ?? 0,
          fault: body?.fault?.code ?? null,
        },
      }),
  },
  input: z.strictObject({
    log: logName.optional(),
    from_seq: place.default(0).describe("Where to begin; `next` of the call before"),
    limit: wholeNumber(1, MOST_ENTRIES).default(MOST_ENTRIES).describe("At most so many entries"),
  }),
  output: z.object({
    ok: z.boolean(),
    log: z.string(),
    from_seq: z.number(),
    to_seq: z.number().describe("The entries from from_seq up to this one, which is left out"),
    entries: z.number(),
    size: z.number().describe("How many entries the checkpoint commits to"),
    root: z.string(),
    checkpoint: checkpointShape,
    fault: z
      .object({
        code: z.enum(FAULT_CODES),
        line: z.number().describe("Of the export of these entries, from 1"),
        seq: z.number().nullable(),
        message: z.string(),
      })
      .nullable(),
    next: z.number().nullable().describe("from_seq of the next call; null: this was the end, or something is wrong"),
  }),
  rest: [{ method: "GET", path: "/v1/audit-log/verify" }],
  async handler({ env, caller }, { log = caller.tenant_id, from_seq, limit }) {
    const opened = await openExport(env, caller, log, { from_seq }, limit);
    const found = await faultOf(env, opened);
    const { start, end, checkpoint } = opened;
    const { size, root } = checkpoint;
    const what = { log, from_seq: start, to_seq: end, entries: end - start, size, root, checkpoint };
    const next = found === null && end < size ? end : null;
    return { status: 200, body: { ok: found === null, ...what, fault: found, next } };
  },
});
