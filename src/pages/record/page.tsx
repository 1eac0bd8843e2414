import type { Child, FC } from "hono/jsx";
import type { RecordPart } from "../../audit/email-record.ts";
import type { EntryFault } from "../../audit/stored-entry.ts";
import type { Status } from "../../oversight/statuses.ts";
import type { EmailRecord, ProvenStep } from "../../store/email-record.ts";
import { Back, type BackLink, Fact, Page, renderPage, Visible } from "../layout.tsx";
import { count, MODE_WORDS, STATUS_WORDS, timeInWords } from "../words.ts";
import { RECORD_STYLE } from "./style.ts";

/** One message's whole story, for people: on a phone, on a desk and on paper. */

const PART_WORDS: Readonly<Record<RecordPart, string>> = {
  written: "Written",
  judged: "Checked",
  asked: "Asked",
  decided: "Decided",
  delivered: "Delivery",
  read: "Read",
  marked: "Marked",
  erased: "Erased",
  other: "Record",
};

/** Why a text is not there. */
const GONE = {
  erased: "It was erased.",
  unreadable: "It cannot be read.",
  unsaid: "The record does not say.",
} as const;
type Gone = keyof typeof GONE;

/** What was erased is known to be; it is not said of what may only have become unreadable. */
function whyGone({ erased_at, steps }: EmailRecord): Gone {
  if (erased_at === null && steps.some(({ fault }) => fault === "unreadable")) return "unreadable";
  return erased_at !== null || steps.some(({ erased }) => erased) ? "erased" : "unsaid";
}

/** A text from outside, or that it is not there any more. */
const Said: FC<{ text: string | null; gone: Gone }> = ({ text, gone }) =>
  text === null ? <span class="soft">{GONE[gone]}</span> : <Visible text={text} context="line" />;

function writtenBy({ author }: EmailRecord): string | null {
  if (!author) return null;
  const { agent_id, key_id, model_id, model_provider } = author;
  const model = [model_id, model_provider].filter((each) => each !== null).join(", ");
  const who = agent_id === null ? null : `the agent ${agent_id}`;
  const key = key_id === null ? null : `the key ${key_id}`;
  const parts = [who, key, model === "" ? null : `the model ${model}`].filter((each) => each !== null);
  return parts.length > 0 ? parts.join(", ") : "the mailbox itself, as a person wants it";
}

function signedInWords({ signatures }: EmailRecord): string {
  if (!signatures) return "nothing";
  const { dkim_selectors, identity_kid, forms } = signatures;
  const named = forms.length > 0 ? ` (${forms.join(", ")})` : "";
  return [
    dkim_selectors.length > 0 ? `DKIM ${dkim_selectors.join(", ")}` : null,
    identity_kid === null ? null : `the identity key ${identity_kid}${named}`,
  ]
    .filter((each) => each !== null)
    .join("; ");
}

function standing({ status, erased_at }: EmailRecord): string {
  if (erased_at !== null) return `Its content was erased on ${timeInWords(erased_at)}. What happened to it stays.`;
  const words = status !== null && status in STATUS_WORDS ? STATUS_WORDS[status as Status] : null;
  return words === null ? "" : `This message ${words}.`;
}

const Glance: FC<{ record: EmailRecord }> = ({ record }) => {
  const { direction, from, to, subject, mode, content_hash, email_id, mailbox_id, decisions } = record;
  const gone = whyGone(record);
  const final = decisions.findLast(({ decision }) => decision !== "counted");
  return (
    <section class="card" aria-labelledby="glance">
      <h2 id="glance">At a glance</h2>
      <dl class="facts">
        <Fact label="Subject" wide>
          <Said text={subject} gone={gone} />
        </Fact>
        {direction === "inbound" && (
          <Fact label="From">
            <Said text={from} gone={gone} />
          </Fact>
        )}
        <Fact label="To">
          <Said text={to === null ? null : to.join(", ")} gone={gone} />
        </Fact>
        {direction === "outbound" && (
          <Fact label="Written by">
            <Said text={writtenBy(record)} gone="unsaid" />
          </Fact>
        )}
        <Fact label="Mode it was under">{mode === null ? "none" : MODE_WORDS[mode].name}</Fact>
        {direction === "outbound" && <Fact label="Signed with">{signedInWords(record)}</Fact>}
        {final && (
          <Fact label={final.decision === "approved" ? "Approved by" : "Rejected by"}>
            <Said text={final.decided_by} gone={gone} />
            {final.note !== null && (
              <blockquote>
                <Visible text={final.note} context="body" />
              </blockquote>
            )}
          </Fact>
        )}
        <Fact label="Message" wide>
          <span class="mono">{email_id}</span>
        </Fact>
        <Fact label="Mailbox, whose log this is" wide>
          <span class="mono">{mailbox_id}</span>
        </Fact>
        {content_hash !== null && (
          <Fact label="Content, SHA-256" wide>
            <span class="mono">{content_hash}</span>
          </Fact>
        )}
      </dl>
    </section>
  );
};

const FAULT_WORDS: Readonly<Record<EntryFault, string>> = {
  altered: "altered",
  unreadable: "details cannot be read",
};

/** That the record is not whole, before anything that it says. */
const Altered: FC<{ many: number }> = ({ many }) => (
  <div class="warning danger" role="alert">
    <span class="level">Altered</span>
    <span>
      {many === 1
        ? "1 entry about this message was changed after it was written. It is marked below. Nothing on this page rests on it, and what it said is missing here."
        : `${many} entries about this message were changed after they were written. They are marked below. Nothing on this page rests on them, and what they said is missing here.`}
    </span>
  </div>
);

const Step: FC<{ step: ProvenStep }> = ({ step: { at, seq, part, text, entry_id, hash, erased, entry, fault } }) => (
  <li>
    <span class="when">
      {at === null ? <span>Time not known</span> : <time datetime={at}>{timeInWords(at)}</time>}
      <span class="part">{PART_WORDS[part]}</span>
      {erased && <span class="part gone">details erased</span>}
      {fault !== null && <span class="part gone">{FAULT_WORDS[fault]}</span>}
    </span>
    <p class="told">
      <Visible text={text} context="body" />
    </p>
    <p class="mark-line mono">
      {entry && `${entry.action} · `}entry {seq}
      {entry_id !== null && ` · ${entry_id}`}
      <br />
      {hash}
    </p>
  </li>
);

const Checking: FC<{ record: EmailRecord }> = ({ record: { checkpoint, mailbox_id } }) => (
  <section class="card" aria-labelledby="check">
    <h2 id="check">How to check it</h2>
    <div class="pad">
      <p>
        Each step is an entry of the mailbox's audit log, and the number below it is the entry's hash. The log has{" "}
        {checkpoint.size} {checkpoint.size === 1 ? "entry" : "entries"}; the checkpoint below commits to all of them,
        and is signed by the log's own key. The JSON form of this record holds every entry as it is hashed, and the
        hashes that lead from it to the checkpoint. An export of <span class="mono">{mailbox_id}</span> shows that
        nothing between the steps was left out.
      </p>
    </div>
    <pre class="note mono">{checkpoint.checkpoint}</pre>
    <div class="pad">
      <p class="soft small">The key that the checkpoint is checked with, as the service publishes it:</p>
    </div>
    <pre class="note mono">{checkpoint.verifier_key}</pre>
  </section>
);

export interface RecordPageProps {
  record: EmailRecord;
  /** In a session: who looks, where they came from, and what stands in the bar. */
  who?: string | undefined;
  back?: BackLink | undefined;
  nav?: Child;
}

/** The page. It can be printed as it is. */
export const RecordPage: FC<RecordPageProps> = ({ record, who, back, nav }) => (
  <Page title="Record of a message" who={who} nav={nav} style={RECORD_STYLE}>
    <main class="record">
      {back && <Back link={back} />}
      <div class="intro">
        <h1>The record of a message</h1>
        <p class="lede">{standing(record)}</p>
        <p class="soft small">
          As of {timeInWords(record.checkpoint.at)}, from the audit log.
          {record.archived_before !== null &&
            ` Steps up to ${timeInWords(record.archived_before)} have been archived and are not shown; an export has them.`}
          {record.left_out > 0 &&
            ` ${count(record.left_out, "step")} more ${record.left_out === 1 ? "is" : "are"} not shown; the log has all.`}
        </p>
      </div>
      {record.altered > 0 && <Altered many={record.altered} />}
      <Glance record={record} />
      <section class="card" aria-labelledby="story">
        <h2 id="story">Step by step</h2>
        <ol class="steps">
          {record.steps.map((step) => (
            <Step step={step} />
          ))}
        </ol>
      </section>
      <Checking record={record} />
    </main>
  </Page>
);

/** @returns the page by itself, as text. */
export function recordPage(record: EmailRecord): string {
  return renderPage(<RecordPage record={record} />);
}
