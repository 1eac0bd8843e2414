import { z } from "zod";
import { access } from "../audit/access.ts";
import { logOfOrigin, parseCheckpoint } from "../audit/checkpoint.ts";
import { NOTE_LIMITS, parseNote } from "../audit/signed-note.ts";
import { Refused } from "../errors.ts";
import { tenantOf } from "../oversight/caller.ts";
import { askLog, callLog, verifierKeyOf } from "../store/log-client.ts";
import { keyCaching } from "./identity-keys.ts";
import { defineOperation } from "./operation.ts";

/** Checkpoints of the audit log, the proofs that lead to them, and what checks them (FORMATS.md §6). */

/** The name of a log. Whether there is one is for its object to say. */
export const logName = z
  .string()
  .min(1)
  .max(64)
  .describe("Whose log: a mailbox's id, or the account's (the default): its checkpoints hold those of all mailboxes");

export const checkpointShape = z.object({
  log: z.string(),
  origin: z.string(),
  /** How many entries it commits to. */
  size: z.number(),
  /** The root of the Merkle tree over them, base64. */
  root: z.string(),
  at: z.string(),
  /** The signed note (C2SP tlog-checkpoint). */
  checkpoint: z.string(),
  verifier_key: z.string(),
  /** How many witnesses have signed it too. */
  witnesses: z.number(),
});

export const getCheckpoint = defineOperation({
  name: "get_checkpoint",
  summary: "Signs how the audit log stands now: a checkpoint, to be kept outside and held against the log later.",
  scope: ["admin"],
  effect: null,
  recorded: {
    entry: (_input, body) =>
      access({ action: "checkpoint.read", detail: { log: body?.log ?? null, size: body?.size ?? null } }),
  },
  input: z.strictObject({ log: logName.optional() }),
  output: checkpointShape.extend({
    /** The newest one that a witness has signed too. */
    witnessed: checkpointShape.nullable(),
  }),
  rest: [{ method: "GET", path: "/v1/audit-log/checkpoint" }],
  async handler({ env, caller }, { log = caller.tenant_id }) {
    const { newest, witnessed } = await callLog(env, caller, log, (object) => object.checkpoint(caller));
    return { status: 200, body: { ...newest, witnessed } };
  },
});

const position = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const getAuditProof = defineOperation({
  name: "get_audit_proof",
  summary:
    "Proves that an entry is in the audit log (`seq`), or that the log of an earlier size is a beginning of it (`first`).",
  scope: ["admin"],
  effect: null,
  recorded: {
    entry(_input, body) {
      const { log = null, kind = null, seq = null, first = null, size = null } = body ?? {};
      return access({ action: "checkpoint.proved", detail: { log, kind, seq, first, size } });
    },
  },
  input: z
    .strictObject({
      log: logName.optional(),
      seq: position.optional().describe("The entry that is to be shown to be in the tree"),
      first: position.optional().describe("The size of the earlier tree"),
      size: position.optional().describe("The tree that is proved about; left out: the newest checkpoint's"),
    })
    .refine(({ seq, first }) => (seq === undefined) !== (first === undefined), {
      error: "takes either seq or first",
    }),
  output: z.object({
    log: z.string(),
    kind: z.enum(["inclusion", "consistency"]),
    seq: z.number().nullable(),
    first: z.number().nullable(),
    size: z.number(),
    /** Of the entry `seq`: base64. */
    leaf_hash: z.string().nullable(),
    /** The proof (RFC 9162 §2.1.3, §2.1.4), base64 each. */
    hashes: z.array(z.string()),
    /** What it leads to, where `size` is left out; else the newest one. */
    checkpoint: z.string(),
    verifier_key: z.string(),
  }),
  rest: [{ method: "GET", path: "/v1/audit-log/proof" }],
  async handler({ env, caller }, { log = caller.tenant_id, seq, first, size: asked }) {
    const { newest } = await callLog(env, caller, log, (object) => object.checkpoint(caller));
    const size = asked ?? newest.size;
    const question =
      seq === undefined
        ? ({ kind: "consistency", first: first ?? 0, size } as const)
        : ({ kind: "inclusion", seq, size } as const);
    const { hashes, leaf_hash } = await callLog(env, caller, log, (object) => object.proof(caller, question));
    const { checkpoint, verifier_key } = newest;
    const about = { log, kind: question.kind, seq: seq ?? null, first: first ?? null, size };
    return { status: 200, body: { ...about, leaf_hash, hashes, checkpoint, verifier_key } };
  },
});

export const getVerifierKey = defineOperation({
  name: "get_verifier_key",
  summary: "Reads what checks the checkpoints of a log.",
  scope: "public",
  effect: null,
  recorded: { entry: ({ log }) => access({ action: "checkpoint.key_read", personal: { log } }) },
  rateLimited: true,
  readableByPages: true,
  textForm: "text/plain",
  input: z.strictObject({
    log: logName.optional().describe("Whose log: a mailbox's id or an account's; with a key it may be left out"),
    format: z.enum(["json", "text"]).default("json").describe("text: the verifier key alone, on a line"),
  }),
  output: z.object({ log: z.string(), origin: z.string(), verifier_key: z.string() }),
  rest: [{ method: "GET", path: "/v1/audit-log/verifier-key" }],
  async handler({ env, caller }, { log: named, format }) {
    const log = named ?? tenantOf(caller);
    if (log === null) throw new Refused("invalid_input", "Say whose log it is: log, a mailbox's id or an account's.");
    const { origin, verifier_key } = await verifierKeyOf(env, log);
    const headers = keyCaching(named !== undefined);
    if (format === "text") {
      return { status: 200, text: `${verifier_key}\n`, content_type: "text/plain; charset=utf-8", headers };
    }
    return { status: 200, body: { log, origin, verifier_key }, headers };
  },
});

export const cosignCheckpoint = defineOperation({
  name: "cosign_checkpoint",
  summary: "Takes a witness's co-signature on a checkpoint. It needs no key: the signature itself says whose it is.",
  scope: "public",
  effect: null,
  recorded: "by_its_object",
  rateLimited: true,
  input: z.strictObject({
    checkpoint: z
      .string()
      .max(NOTE_LIMITS.text)
      .describe("The whole signed note as it was given out, with the witness's line (cosignature/v1) added at its end"),
  }),
  output: checkpointShape,
  rest: [{ method: "POST", path: "/v1/audit-log/cosign" }],
  async handler({ env }, { checkpoint }) {
    const note = parseNote(checkpoint);
    const log = logOfOrigin(parseCheckpoint(note?.text ?? "")?.origin ?? "");
    if (log === null) {
      throw new Refused("invalid_checkpoint", "This is no signed checkpoint.", {
        hint: "Send the whole note, its text, the empty line and every signature line, each line ending in LF.",
      });
    }
    return { status: 200, body: await askLog(env, log, (object) => object.cosign(log, checkpoint)) };
  },
});
