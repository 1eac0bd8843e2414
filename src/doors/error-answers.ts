import { ERROR_STATUS, type Refusal, Refused } from "../errors.ts";

/** Errors on the wire (API.md, "Errors"): `{error, code, hint?, issues?}` and whatever else the refusal tells. */

/** Seconds after which a call may be repeated, where the refusal does not say. */
const RETRY_AFTER: Readonly<Record<number, number>> = { 429: 60, 503: 5 };

function retryAfter(status: number, detail: Record<string, unknown> | undefined): number | null {
  const said = detail?.retry_after;
  return typeof said === "number" ? said : (RETRY_AFTER[status] ?? null);
}

/** What waits for a human is no error: the call may be repeated as it is once they have allowed it. */
function heldAnswer({ error, hint, detail }: Refusal, headers: Record<string, string>): Response {
  return Response.json(
    { ...detail, ...(hint !== undefined && { hint }), message: error },
    { status: ERROR_STATUS.held, headers },
  );
}

/** @returns the answer to a refusal; 202 without `error` and `code` where a human is asked first. */
export function refusalAnswer(refusal: Refusal, headers: Record<string, string> = {}): Response {
  if (refusal.code === "held") return heldAnswer(refusal, headers);
  const { code, error, hint, issues, detail } = refusal;
  const status = ERROR_STATUS[code];
  const wait = retryAfter(status, detail);
  return Response.json(
    { ...detail, error, code, ...(hint !== undefined && { hint }), ...(issues !== undefined && { issues }) },
    {
      status,
      headers: {
        ...(wait !== null && { "Retry-After": String(wait) }),
        ...(status === 401 && { "WWW-Authenticate": 'Bearer realm="multimail"' }),
        ...headers,
      },
    },
  );
}

/** What may be logged of a breakdown: where it happened, not what was sent. */
function described(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const frames = (error.stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 8);
  return [`${error.name}: ${error.message.slice(0, 300)}`, ...frames].join("\n");
}

/**
 * @param where the operation or path, for the log.
 * @returns the answer to whatever was thrown: a refusal as it is, anything else as 503, since repeating the call may help.
 */
export function errorAnswer(error: unknown, where: string): Response {
  if (error instanceof Refused) return refusalAnswer(error.refusal);
  console.error(`${where} broke down\n${described(error)}`);
  return refusalAnswer({
    code: "unavailable",
    error: "Something that this call needs does not answer; try again in a moment.",
  });
}
