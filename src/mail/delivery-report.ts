/** What a report says became of a message, whichever form it was written in. */

export const DSN_ACTIONS = ["failed", "delayed", "delivered", "relayed", "expanded"] as const;
export type DsnAction = (typeof DSN_ACTIONS)[number];

/** What a report says of one recipient. */
export interface RecipientStatus {
  action: DsnAction;
  /** Whom the report names, in comparable form: as they were addressed if it says so, else as their mail ended up. Null: nobody. */
  recipients: string[];
  /** Enhanced status code (RFC 3463), such as `5.1.1`. */
  status: string | null;
  /** SMTP reply code. */
  code: number | null;
  /** What the last server said, in one line of at most 500 characters. */
  diagnostic: string;
}

/** A report as it was read. */
export interface DeliveryReport {
  /** `rfc3464`, or the name of the form in which it was written. */
  form: string;
  /** At most 500; `truncated` if there were more. */
  statuses: RecipientStatus[];
  truncated: boolean;
}

const MAX_DIAGNOSTIC = 500;

/** @returns a text as one line of at most 500 characters. */
export function oneDiagnosticLine(text: string): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .slice(0, MAX_DIAGNOSTIC)
    .toWellFormed();
}
