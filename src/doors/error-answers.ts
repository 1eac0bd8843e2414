import { ERROR_STATUS, type Refusal, Refused } from "../errors.ts";

/** Errors on the wire (API.md, "Errors"): `{error, code, hint?, issues?}` and whatever else the refusal tells. */

/** Seconds after which a call may be repeated, where the refusal does not say. */
const RETRY_AFTER: Readonly<Record<number, number>> = { 429: 60, 503: 5 };

function retryAfter(status: number, detail: Record<string, unknown> | undefined): number | null {
  const said = detail?.retry_after;
  return typeof said === "number" ? said : (RETRY_AFTER[status] ?? null);
}

/** @returns the answer to a refusal. */
export function refusalAnswer(
  { code, error, hint, issues, detail }: Refusal,
  headers: Record<string, string> = {},
): Response {
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
