import type { FC } from "hono/jsx";
import { AuditScript, NoScript, Own } from "../audit-check/parts.tsx";
import { Found } from "../checking.tsx";
import { Visible } from "../layout.tsx";
import { AUDIT_STYLE } from "./audit-style.ts";
import { AUDIT, ConsolePage, type Viewer } from "./frame.tsx";

/** The account's logs, each of which the operator's browser can check. */

/** Where an export comes from. */
export const EXPORT = `${AUDIT}/export`;

/** A log of the account. */
export interface AccountLog {
  /** Its name: a mailbox's id, or the account's. */
  log: string;
  /** Whose it is: the mailbox's address, or what the account is called. */
  name: string;
  /** How many entries it had at its newest checkpoint; null where none is known yet. */
  size: number | null;
}

function sizeInWords(size: number | null): string {
  if (size === null) return "no checkpoint yet; a check makes one";
  return `${size.toLocaleString("en")} ${size === 1 ? "entry" : "entries"} at its newest checkpoint`;
}

const Log: FC<{ log: AccountLog; isAccounts: boolean }> = ({ log: { log, name, size }, isAccounts }) => {
  const path = `${EXPORT}?${new URLSearchParams({ log })}`;
  const id = `log-${log}`;
  return (
    <li class="card">
      <div>
        <h2 id={id}>
          <Visible text={name} context="strict" />
        </h2>
        <p class="soft small">
          {isAccounts ? "The account's own log, which holds the checkpoints of all others" : "A mailbox's log"} ·{" "}
          {sizeInWords(size)}
        </p>
        <p class="soft mono">{log}</p>
      </div>
      <div class="does">
        <button
          type="button"
          class="approve"
          data-export={path}
          data-log={log}
          data-name={name}
          aria-describedby={id}
          hidden
        >
          Check in this browser
        </button>
        <a class="quiet" href={path} download aria-describedby={id}>
          Download the export
        </a>
      </div>
    </li>
  );
};

/** @param next the id after which the next page begins; null at the end. @param host of this deployment. @param script where it is. */
export const AuditPage: FC<{
  viewer: Viewer;
  logs: readonly AccountLog[];
  next: string | null;
  host: string;
  script: string;
}> = ({ viewer, logs, next, host, script }) => (
  <ConsolePage title="Audit log" viewer={viewer} style={AUDIT_STYLE} skipTo={{ id: "logs", label: "Skip to the logs" }}>
    <main class="check">
      <div>
        <h1>Audit log</h1>
        <p class="lede">
          What happened at <Visible text={viewer.tenant_name} context="line" />, in one log for the account and one for
          each mailbox. Your browser fetches a log and checks that it is whole, in order and unchanged, and signed by
          its key. An export leaves out whatever is personal, and each one is itself an entry.
        </p>
      </div>
      <NoScript />
      <ul class="logs" id="logs" tabindex={-1}>
        {logs.map((log) => (
          <Log log={log} isAccounts={log.log.startsWith("ten_")} />
        ))}
      </ul>
      {next !== null && (
        <p>
          <a class="quiet" href={`${AUDIT}?${new URLSearchParams({ after: next })}`}>
            More mailboxes
          </a>
        </p>
      )}
      <div id="check" class="card pad" hidden>
        <Own
          keyHint={`Left empty, this page asks ${host} for the log's published key; then it is the word of ${host}, whose log it is, that the key is right. With a key that you keep yourself it is not.`}
        />
      </div>
      <p>
        <a href="/verify-audit">Check an export that you have as a file</a>
      </p>
      <Found />
    </main>
    <AuditScript script={script} />
  </ConsolePage>
);
