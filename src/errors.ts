/**
 * Every code an error answer can carry, with the HTTP status it travels under. Programs branch on the code, never on the
 * sentence, so a code is only ever added.
 */
export const ERROR_STATUS = {
  /** Not done, and no error: a human is asked first. Answered as `{status: "pending", pending_id, hint}`. */
  held: 202,
  malformed_json: 400,
  unauthenticated: 401,
  invalid_key: 401,
  missing_scope: 403,
  mailbox_not_allowed: 403,
  agent_not_allowed: 403,
  denied_by_mode: 403,
  denied_by_policy: 403,
  read_needs_approval: 403,
  self_decision: 403,
  oversight_keys_disabled: 403,
  invalid_approval_code: 403,
  invalid_approval_ref: 403,
  not_a_decider: 403,
  csrf: 403,
  not_found: 404,
  method_not_allowed: 405,
  already_decided: 409,
  wrong_state: 409,
  /** Nothing is erased while it is on. */
  legal_hold: 409,
  /** The address is one that works here. */
  in_service: 409,
  content_changed: 409,
  content_not_seen: 409,
  idempotency_conflict: 409,
  address_taken: 409,
  domain_taken: 409,
  too_large: 413,
  unsupported_media_type: 415,
  invalid_input: 422,
  invalid_address: 422,
  forbidden_characters: 422,
  too_many_recipients: 422,
  invalid_attachment: 422,
  invalid_range: 422,
  invalid_checkpoint: 422,
  not_witnessed: 422,
  approver_is_mailbox: 422,
  conflicting_scopes: 422,
  recipient_suppressed: 422,
  postal_address_missing: 422,
  rate_limited: 429,
  unavailable: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** Where in the input something is wrong: `path` in dots (`attachments.0.name`), and one plain sentence. */
export interface Issue {
  path: string;
  message: string;
}

/** A refusal as plain data, so that it crosses an RPC boundary whole. */
export interface Refusal {
  code: ErrorCode;
  error: string;
  hint?: string;
  issues?: Issue[];
  /** What else the caller may learn, such as the decision that came first. Merged into the answer's body. */
  detail?: Record<string, unknown>;
}

/** What an object's method answers: a value, or the reason it was refused. A breakdown is thrown instead. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; refusal: Refusal };

/** A refusal raised where the caller is a door of ours; doors turn it into its HTTP answer. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(code: ErrorCode, error: string, rest: Omit<Refusal, "code" | "error"> = {}) {
    super(error);
    this.name = "Refused";
    this.refusal = { code, error, ...rest };
  }
}

/** @returns an outcome that carries `value`. */
export function accepted<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

/** @returns an outcome that refuses with `code`, one plain sentence, and whatever else helps. */
export function refused(code: ErrorCode, error: string, rest: Omit<Refusal, "code" | "error"> = {}): Outcome<never> {
  return { ok: false, refusal: { code, error, ...rest } };
}

/** @returns the value of `outcome`. @throws {Refused} with its refusal. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  const { code, error, ...rest } = outcome.refusal;
  throw new Refused(code, error, rest);
}
