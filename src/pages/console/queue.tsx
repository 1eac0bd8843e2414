import type { FC } from "hono/jsx";
import { PENDING_KINDS, type PendingKind } from "../../operations/shapes/pending.ts";
import { isSamePerson } from "../../oversight/approvals.ts";
import { LONGEST_NOTE } from "../decision.tsx";
import { Icon, Visible } from "../layout.tsx";
import { count, durationInWords, HIGH_RISK, riskInWords, timeInWords, timeLeft } from "../words.ts";
import { ConsolePage, QUEUE, SIGN_OUT, type Viewer } from "./frame.tsx";
import type { QueueRow } from "./row.ts";

/** What a person asks of the queue, as the address bar has it; empty: anything. */
export interface QueueFilters {
  mailbox: string;
  kind: string;
  agent: string;
  domain: string;
  rule: string;
  older: string;
}

export const NO_FILTERS: QueueFilters = { mailbox: "", kind: "", agent: "", domain: "", rule: "", older: "" };

/** How long something must have waited. Milliseconds. */
export const AGES = {
  hour: { label: "More than an hour", ms: 3_600_000 },
  day: { label: "More than a day", ms: 86_400_000 },
  days: { label: "More than three days", ms: 3 * 86_400_000 },
  week: { label: "More than a week", ms: 7 * 86_400_000 },
} as const;

const KIND_NAMES: Record<PendingKind, string> = {
  send: "Outgoing message",
  inbound: "Incoming message",
  read: "Query",
  annotate: "Change in the mailbox",
  template: "Template",
  upgrade: "More freedom",
};

/** @returns the queue's address with these filters; empty ones are left out. */
export function queueAddress(filters: QueueFilters, more: Record<string, string> = {}): string {
  const given = Object.entries({ ...filters, ...more }).filter(([, value]) => value !== "");
  const query = new URLSearchParams(given).toString();
  return query === "" ? QUEUE : `${QUEUE}?${query}`;
}

/** How an item is named in the form: its id and the content that was shown. */
export function pickOf({ pending_id, content_hash }: Pick<QueueRow, "pending_id" | "content_hash">): string {
  return `${pending_id}.${content_hash}`;
}

export interface QueueProps {
  viewer: Viewer;
  rows: readonly QueueRow[];
  filters: QueueFilters;
  /** Where this page begins: the id of the last item of the page before; empty on the first. */
  after: string;
  /** Where the next page begins; null on the last. */
  next: string | null;
  /** How many items could not be read. */
  unread: number;
  /** Which items are chosen: ids. */
  chosen: ReadonlySet<string>;
  note?: string | undefined;
  /** Why an earlier try decided nothing, or what is wrong with the filters. */
  trouble?: string | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

const Text: FC<{ name: keyof QueueFilters; label: string; value: string; known: readonly string[] }> = ({
  name,
  label,
  value,
  known,
}) => (
  <div>
    <label class="field" for={name}>
      {label}
    </label>
    <input type="text" id={name} name={name} value={value} list={`${name}s`} maxlength={320} autocomplete="off" />
    <datalist id={`${name}s`}>
      {[...new Set(known)].map((each) => (
        <option value={each} />
      ))}
    </datalist>
  </div>
);

const Choice: FC<{ name: keyof QueueFilters; label: string; value: string; options: readonly [string, string][] }> = ({
  name,
  label,
  value,
  options,
}) => (
  <div>
    <label class="field" for={name}>
      {label}
    </label>
    <select id={name} name={name}>
      <option value="">Any</option>
      {options.map(([each, words]) => (
        <option value={each} selected={each === value}>
          {words}
        </option>
      ))}
    </select>
  </div>
);

const Filters: FC<{ filters: QueueFilters; rows: readonly QueueRow[] }> = ({ filters, rows }) => (
  <details class="card" open={Object.values(filters).some((value) => value !== "")}>
    <summary>Show only some</summary>
    <form method="get" action={QUEUE} class="filters">
      <Text name="mailbox" label="Mailbox" value={filters.mailbox} known={rows.map(({ mailbox }) => mailbox)} />
      <Choice
        name="kind"
        label="What it is"
        value={filters.kind}
        options={PENDING_KINDS.map((kind) => [kind, KIND_NAMES[kind]])}
      />
      <Text name="agent" label="Agent" value={filters.agent} known={rows.flatMap(({ agent_id }) => agent_id ?? [])} />
      <Text
        name="domain"
        label="Recipient's domain"
        value={filters.domain}
        known={rows.flatMap(({ to }) => to.map((address) => address.slice(address.lastIndexOf("@") + 1)))}
      />
      <Text name="rule" label="Held by the rule" value={filters.rule} known={rows.map(({ held_by }) => held_by)} />
      <Choice
        name="older"
        label="Waiting"
        value={filters.older}
        options={Object.entries(AGES).map(([each, { label }]) => [each, label])}
      />
      <div class="buttons">
        <button type="submit" class="quiet">
          Show
        </button>
      </div>
    </form>
  </details>
);

const MOST_NAMED = 3;

const Recipients: FC<{ to: readonly string[] }> = ({ to }) => (
  <>
    {to.slice(0, MOST_NAMED).map((address, i) => (
      <>
        {i > 0 ? ", " : ""}
        <Visible text={address} context="strict" />
      </>
    ))}
    {to.length > MOST_NAMED ? ` and ${to.length - MOST_NAMED} more` : ""}
  </>
);

const Chips: FC<{ row: QueueRow; now: number }> = ({ row, now }) => {
  const { risk, quorum, expires_at, submitted_at, test } = row;
  return (
    <ul class="chips">
      <li>{KIND_NAMES[row.kind]}</li>
      {test && <li class="caution">Test: will not leave</li>}
      {risk !== null && <li class={risk > HIGH_RISK ? "danger" : undefined}>Risk {riskInWords(risk)}</li>}
      {quorum.needed > 1 && (
        <li>
          {quorum.approvals.length} of {quorum.needed} approvals
        </li>
      )}
      <li>
        Waiting <time datetime={submitted_at}>{durationInWords((now - Date.parse(submitted_at)) / 1000)}</time>
      </li>
      <li>
        {expires_at === null ? (
          "No deadline"
        ) : (
          <>
            Ends in <time datetime={expires_at}>{timeLeft(expires_at, now)}</time>
          </>
        )}
      </li>
    </ul>
  );
};

/** Exactly what a query or change asks for. */
const Asked: FC<{ asked: QueueRow["asked"] }> = ({ asked }) =>
  asked.length === 0 ? null : (
    <ul class="plain small">
      {asked.map(({ field, value }) => (
        <li>
          <Visible text={field} context="line" />: <Visible text={value} context="line" />
        </li>
      ))}
    </ul>
  );

const Row: FC<{ row: QueueRow; person: string; chosen: boolean; now: number }> = ({ row, person, chosen, now }) => (
  <li class="card item">
    <label class="pick">
      <input type="checkbox" name="item" value={pickOf(row)} checked={chosen} />
      <span class="unseen">
        Select <Visible text={row.title} context="line" />, {timeInWords(row.submitted_at)}
      </span>
    </label>
    <div>
      <h3>
        <a href={`/console/items/${row.pending_id}`}>
          <Visible text={row.title} context="line" />
        </a>
      </h3>
      <p class="small">
        {row.from !== null && (
          <>
            <Visible text={row.from} context="strict" /> to <Recipients to={row.to} />
          </>
        )}
        {row.from === null && (
          <>
            In <Visible text={row.mailbox} context="strict" />
          </>
        )}
        {row.agent_id !== null && (
          <span class="soft">
            {" "}
            · agent <Visible text={row.agent_id} context="strict" />
          </span>
        )}
      </p>
      <Asked asked={row.asked} />
      <p class="soft small">
        <Visible text={row.because} context="line" />
      </p>
      <Chips row={row} now={now} />
      {row.alone !== null && <p class="must">{row.alone}</p>}
      {row.quorum.approvals.some(({ by }) => isSamePerson(by, person)) && (
        <p class="soft small">You have approved it; others are needed.</p>
      )}
    </div>
  </li>
);

/** What is done with all that are chosen. Each is decided by itself. */
const Together: FC<{ note: string | undefined }> = ({ note }) => (
  <section class="card pad many" aria-labelledby="many-title">
    <h2 id="many-title" class="unseen">
      Decide about those that you selected
    </h2>
    <details open={note !== undefined && note !== ""}>
      <summary>Add a note</summary>
      <label class="field" for="note">
        Note for each of them
      </label>
      <textarea id="note" name="note" maxlength={LONGEST_NOTE} aria-describedby="note-hint" autocomplete="off">
        {note === undefined || note === "" ? "" : `\n${note}`}
      </textarea>
      <p class="hint" id="note-hint">
        The agents get to read it.
      </p>
    </details>
    <div class="buttons">
      <button type="submit" class="approve" name="decision" value="approve">
        Approve selected
      </button>
      <button type="submit" class="reject" name="decision" value="reject">
        Reject selected
      </button>
    </div>
  </section>
);

/** Everything that waits for this person, the oldest first, with what is needed to decide about many at once. */
export const QueuePage: FC<QueueProps> = (props) => {
  const { viewer, rows, filters, after, next, unread, chosen, note, trouble, now } = props;
  const here = { after };
  return (
    <ConsolePage title="What waits for you" viewer={viewer} skipTo={{ id: "queue", label: "Go to the queue" }}>
      <main>
        <div class="intro">
          <h1>What waits for you</h1>
          <p class="lede">
            At <Visible text={viewer.tenant_name} context="line" />, the oldest first. Open one to see all of it.
          </p>
        </div>
        {trouble !== undefined && (
          <p class="warning danger trouble" role="alert">
            <Visible text={trouble} context="line" />
          </p>
        )}
        {unread > 0 && (
          <p class="calm">
            <Icon shape="alert" />
            <span>{count(unread, "item")} could not be read just now. Open the queue again in a minute.</span>
          </p>
        )}
        <Filters filters={filters} rows={rows} />
        <div id="queue" tabindex={-1}>
          {rows.length === 0 ? (
            <p class="calm">
              <Icon shape="check" />
              <span>{next === null ? "Nothing waits for you here." : "Nothing on this page; there may be more."}</span>
            </p>
          ) : (
            <form method="post" action={queueAddress(filters, here)}>
              <input type="hidden" name="csrf" value={viewer.csrf} />
              <div class="line">
                <h2>{count(rows.length, "item")} on this page</h2>
                <a class="quiet" href={queueAddress(filters, { ...here, select: chosen.size === 0 ? "page" : "" })}>
                  {chosen.size === 0 ? "Select all on this page" : "Select none"}
                </a>
              </div>
              <ul class="queue">
                {rows.map((row) => (
                  <Row row={row} person={viewer.person} chosen={chosen.has(row.pending_id)} now={now} />
                ))}
              </ul>
              <Together note={note} />
            </form>
          )}
        </div>
        {(after !== "" || next !== null) && (
          <nav class="line" aria-label="Pages of the queue">
            {after === "" ? (
              <span />
            ) : (
              <a class="quiet" href={queueAddress(filters)}>
                First page
              </a>
            )}
            {next !== null && (
              <a class="quiet" href={queueAddress(filters, { after: next })}>
                Next page
              </a>
            )}
          </nav>
        )}
      </main>
      <footer class="foot stack">
        <p>
          Each decision is made by itself and recorded by itself. What looks made to mislead, or has a high risk, is
          approved on its own page only.
        </p>
        <form method="post" action={SIGN_OUT}>
          <input type="hidden" name="csrf" value={viewer.csrf} />
          <input type="hidden" name="everywhere" value="1" />
          <div>
            <button type="submit" class="quiet">
              Sign out on every device
            </button>
          </div>
        </form>
      </footer>
    </ConsolePage>
  );
};
