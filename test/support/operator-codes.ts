import { type Answer, type CallOptions, call } from "./door-harness.ts";
import { receivedFor } from "./received-mail.ts";

/** The operator's side of the one-time codes. */

/** @returns the code in the last mail that the operator got. @throws Error if there is none. */
export async function lastCode({ operator_email }: { operator_email: string }): Promise<string> {
  const mails = await receivedFor(operator_email);
  const code = /\b(\d{8}|\d{4}[ -]\d{4})\b/.exec(mails.at(-1)?.raw ?? "")?.[1];
  if (!code) throw new Error("the operator was mailed no code");
  return code.replace(/[ -]/, "");
}

/** Makes a call that waits for the operator, and makes it again with the code that they were mailed. */
export async function withCode<Body>(
  tenant: { operator_email: string },
  path: string,
  options: CallOptions & { json: Record<string, unknown> },
): Promise<Answer<Body>> {
  const asked = await call<{ status: string }>(path, options);
  if (asked.status !== 202 || asked.body.status !== "pending_approval") {
    throw new Error(`${path} asked nobody: ${asked.status} ${JSON.stringify(asked.body)}`);
  }
  return call<Body>(path, { ...options, json: { ...options.json, approval_code: await lastCode(tenant) } });
}
