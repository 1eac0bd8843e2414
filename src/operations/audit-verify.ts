import { z } from "zod";
import { access } from "../audit/access.ts";
import { FAULT_CODES, type Fault, fault } from "../audit/faults.ts";
import { NOTE_LIMITS, parseVerifierKey } from "../audit/signed-note.ts";
import { isKeptCheckpoint, readKeptCheckpoint, type Trust, UnusableCheckpoint } from "../audit/trust.ts";
import { ExportVerifier } from "../audit/verify-export.ts";
import type { Env } from "../env.ts";
import { Refused } from "../errors.ts";
import type { Caller } from "../oversight/caller.ts";
import { EntriesMissing } from "../store/audit-entries.ts";
import { exportLines, growthSince, type LogExport, openExport } from "../store/audit-export.ts";
import { checkpointShape, logName } from "./audit-checkpoints.ts";
import { place } from "./audit-export.ts";
import { coded, wholeNumber } from "./fields.ts";
import { defineOperation } from "./operation.ts";

/** The check that verify-audit does, done by the service on itself: no proof to anyone else, but a quick look. */

/** A second or so of work. */
const MOST_ENTRIES = 20_000;

/**
 * What the log is checked by: its published key, and the older checkpoint that the caller kept.
 * @throws {Refused} `invalid_checkpoint` for one that is not signed by that key.
 */
function trustOf({ log, checkpoint: { verifier_key } }: LogExport, after: string | undefined): Trust {
  const keys = [parseVerifierKey(verifier_key)];
  try {
    return { keys, witnesses: [], after: after === undefined ? null : readKeptCheckpoint(after, keys), log };
  } catch (error) {
    if (!(error instanceof UnusableCheckpoint)) throw error;
    throw new Refused("invalid_checkpoint", "The older checkpoint is not signed by this log: it would prove nothing.", {
      issues: [{ path: "after", message: "is not signed by the key of this log" }],
    });
  }
}

/** @returns the first thing that is wrong with an export, in the lines that a reader of it would get; null if all is well. */
async function faultOf(env: Env, caller: Caller, opened: LogExport, trust: Trust): Promise<Fault | null> {
  const { start } = opened;
  const growth = trust.after && (await growthSince(env, caller, opened, trust.after));
  const verifier = new ExportVerifier(trust, growth);
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
    entry: ({ log, after }, body) =>
      access({
        action: "audit.verified",
        ...(log !== undefined && { resource: { type: "log", id: log } }),
        detail: {
          from_seq: body?.from_seq ?? 0,
          to_seq: body?.to_seq ?? 0,
          entries: body?.entries ?? 0,
          fault: body?.fault?.code ?? null,
          ...(after !== undefined && { grown_from: body?.grown_from ?? null }),
        },
      }),
  },
  input: z.strictObject({
    log: logName.optional(),
    from_seq: place.default(0).describe("Where to begin; `next` of the call before"),
    limit: wholeNumber(1, MOST_ENTRIES).default(MOST_ENTRIES).describe("At most so many entries"),
    after: z
      .string()
      .max(NOTE_LIMITS.text)
      .refine(isKeptCheckpoint, {
        error: "is no checkpoint: it was cut, or changed",
        ...coded("invalid_checkpoint"),
      })
      .optional()
      .describe(
        "An older checkpoint that you kept, as its note or as the last line of an export: the log must have grown out of it",
      ),
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
    grown_from: z
      .number()
      .nullable()
      .describe("The size of the older checkpoint that it was compared with and grew out of; null: of none"),
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
  async handler({ env, caller }, { log = caller.tenant_id, from_seq, limit, after }) {
    const opened = await openExport(env, caller, log, { from_seq }, limit);
    const trust = trustOf(opened, after);
    const found = await faultOf(env, caller, opened, trust);
    const { start, end, checkpoint } = opened;
    const { size, root } = checkpoint;
    const what = { log, from_seq: start, to_seq: end, entries: end - start, size, root, checkpoint };
    const next = found === null && end < size ? end : null;
    const grown_from = found === null ? (trust.after?.size ?? null) : null;
    return { status: 200, body: { ok: found === null, ...what, grown_from, fault: found, next } };
  },
});
