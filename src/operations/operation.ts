import type { z } from "zod";
import type { AccessEntry } from "../audit/access.ts";
import type { Env } from "../env.ts";
import type { Caller, Scope } from "../oversight/caller.ts";

/** The column of the policy table (DESIGN.md) that decides what a mailbox's mode does with an operation. */
export type Effect = "send" | "read" | "annotate" | "inbound" | "administer" | "decide";

/** Which effects a mode can hold call by call (DESIGN.md, "A held read"). A held send is a message that waits by itself. */
const ASKED_FOR: Readonly<Record<Effect, boolean>> = {
  send: false,
  read: true,
  annotate: true,
  inbound: false,
  administer: false,
  decide: false,
};

/** Where REST serves an operation. Path parameters (`{mailbox_id}`) become input fields of the same name. */
export interface RestBinding {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
}

/** What a handler works with. Time is passed in; nothing of HTTP is here. */
export interface OperationContext {
  env: Env;
  /** The authenticated key; `ANYONE` where a public operation is called without one. */
  caller: Caller;
  /** Milliseconds since the epoch. */
  now(): number;
  /** The `Idempotency-Key` of the request, from the header or the body. */
  idempotencyKey: string | null;
}

/**
 * A handler's answer. `file` replaces the body where an operation returns bytes, `text` where it was asked for another form, and
 * `stream` where there are more bytes than are held at once: one that errs ends the answer before its end, so that nobody takes
 * what came for the whole.
 */
export type Answer<Body> =
  | { status: 200 | 201 | 202; body: Body; headers?: Readonly<Record<string, string>> }
  | { status: 200; text: string; content_type: string; headers?: Readonly<Record<string, string>> }
  | { status: 200; stream: ReadableStream; content_type: string; name: string }
  | { status: 200; file: { stream: ReadableStream; name: string; content_type: string; size: number } };

/**
 * Who writes what a served call was into the audit log. `by_its_object`: the object that serves it does, with whatever it changes.
 * Else the door has the tenant's object write the entry, before the answer leaves.
 */
export type Recorded<Input, Body> =
  | "by_its_object"
  | {
      /**
       * @param body the answer's; null where it is a text or a file.
       * @returns null where an object has recorded all of it already.
       */
      entry(input: Input, body: Body | null): AccessEntry | null;
    };

/**
 * One operation, defined once and served by every door. A new operation is a new value of this type in `registry.ts`; doors,
 * OpenAPI and the scope tests pick it up from there.
 */
export interface Operation<Input extends z.ZodType = z.ZodType, Output extends z.ZodType = z.ZodType> {
  /** snake_case; the RPC path and the MCP tool name. */
  name: string;
  /** One sentence for people. */
  summary: string;
  /**
   * Any one of these scopes lets a key in. `public`: anyone may call it, with any key or none; a key that is sent must be valid
   * all the same. A public operation has no effect: it changes nothing, and shows nobody's mail.
   */
  scope: readonly Scope[] | "public";
  /** What the mailbox's mode judges; null where no message data and no setting is touched. */
  effect: Effect | null;
  /** Every call that is served leaves an entry; of a public operation, where a key was brought. */
  recorded: Recorded<z.output<Input>, z.output<Output>>;
  /** A strict object: unknown fields are a 422. */
  input: Input;
  output: Output;
  rest: readonly RestBinding[];
  /** Each network address may call it so often a minute only (`RATE_LIMIT`): it takes work, and asks for no key. */
  rateLimited?: true;
  /** Pages of any origin may read its answers: they are the same for everyone. */
  readableByPages?: true;
  /** The media type of the text that it can answer in place of JSON. */
  textForm?: string;
  /** What it makes waits for a human as what it is, as a message does: no call of it is held and repeated. */
  waitsItself?: true;
  /** A call of it is held and repeated as one of this effect is: it is no message that could wait by itself. */
  askedAs?: "read";
  /** @throws {Refused} for every refusal. */
  handler(context: OperationContext, input: z.output<Input>): Promise<Answer<z.output<Output>>>;
}

/** Types a definition by its own schemas. @returns it unchanged. */
export function defineOperation<Input extends z.ZodType, Output extends z.ZodType>(
  operation: Operation<Input, Output>,
): Operation<Input, Output> {
  return operation;
}

/**
 * @returns whether a human may have to allow each call of the operation: it then takes `approval_ref`, and can answer 202 with
 *   what waits.
 */
export function isAskedFor({
  effect,
  waitsItself,
  askedAs,
}: Pick<Operation, "effect" | "waitsItself" | "askedAs">): boolean {
  return effect !== null && ASKED_FOR[askedAs ?? effect] && !waitsItself;
}
