import type { FC } from "hono/jsx";
import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import { Details, Glance } from "./decision/details.tsx";
import { Message } from "./decision/message.tsx";
import { Warnings } from "./decision/warnings.tsx";
import { Icon, Page, Visible } from "./layout.tsx";
import { findMisleading, type Warning } from "./misleading.ts";
import { TEST_MESSAGE } from "./words.ts";

/** The longest note a person can add, in UTF-16 units, line ends counted once. It is kept in the record. */
export const LONGEST_NOTE = 2000;

/** What the form says, for each kind of item. */
const KINDS: Record<
  DecisionItem["kind"],
  { title: string; lede: string; approve: string; reject: string; noteHint: string; after: string }
> = {
  send: {
    title: "Send this email?",
    lede: "An AI agent wants to send it. Nothing leaves before you approve.",
    approve: "Approve and send",
    reject: "Reject",
    noteHint: "The agent gets to read it.",
    after: "If nobody decides in time, it is not sent.",
  },
  inbound: {
    title: "Let the agent read this email?",
    lede: "It arrived from outside. The AI agent sees nothing of it before you release it.",
    approve: "Release to the agent",
    reject: "Reject",
    noteHint: "The agent gets to read it.",
    after: "If nobody decides in time, the agent does not get it.",
  },
};

/** What a page for an open item needs. `trouble` is why an earlier try to decide was not taken. */
interface DecisionPageProps {
  item: DecisionItem;
  approver: string;
  expires_at: string;
  /** The page's own path, which the form posts to. */
  base: string;
  csrf: string;
  now: number;
  note?: string;
  trouble?: string;
}

const DecisionForm: FC<DecisionPageProps & { warnings: readonly Warning[] }> = ({
  item,
  base,
  csrf,
  note,
  trouble,
  warnings,
}) => {
  const words = KINDS[item.kind];
  const serious = warnings.some((warning) => warning.severity === "danger");
  return (
    <section class="card pad decide" id="decide" aria-labelledby="decide-title" tabindex={-1}>
      <form method="post" action={base}>
        <h2 id="decide-title">Your decision</h2>
        {trouble !== undefined && (
          <p class="warning danger trouble" role="alert">
            {trouble}
          </p>
        )}
        <input type="hidden" name="csrf" value={csrf} />
        <div>
          <label class="field" for="note">
            Note <span class="soft">(optional)</span>
          </label>
          <textarea id="note" name="note" maxlength={LONGEST_NOTE} aria-describedby="note-hint" autocomplete="off">
            {note === undefined || note === "" ? "" : `\n${note}`}
          </textarea>
          <p class="hint" id="note-hint">
            {words.noteHint}
          </p>
        </div>
        <div class="buttons">
          <button type="submit" class="approve" name="decision" value="approve">
            {serious ? `${words.approve} despite the warnings` : words.approve}
          </button>
          <button type="submit" class="reject" name="decision" value="reject">
            {words.reject}
          </button>
        </div>
        <p class="soft small">{words.after}</p>
      </form>
    </section>
  );
};

/** The page of an item that waits: what it is, what is wrong with it, and then the two buttons. */
export const DecisionPage: FC<DecisionPageProps> = (props) => {
  const { item, approver, base, expires_at, now } = props;
  const words = KINDS[item.kind];
  const warnings = findMisleading(item.content);
  return (
    <Page title={words.title} who={approver} skipTo={{ id: "decide", label: "Go to the decision" }}>
      <main>
        <div>
          <div class="intro">
            <h1>{words.title}</h1>
            <p class="lede">
              {words.lede} {item.kind === "send" ? "From" : "For"} the mailbox{" "}
              <b>
                <Visible text={item.mailbox_address} context="strict" />
              </b>
              .
            </p>
            {item.test && (
              <p class="calm">
                <Icon shape="info" />
                <b>{TEST_MESSAGE}</b>
              </p>
            )}
          </div>
          <Glance item={item} expiresAt={expires_at} now={now} />
        </div>
        <Warnings warnings={warnings} />
        <div class="columns">
          <div class="stack">
            <Message item={item} base={base} />
          </div>
          <div class="side">
            <DecisionForm {...props} warnings={warnings} />
          </div>
        </div>
        <Details item={item} />
      </main>
      <footer class="foot">Opening this page decides nothing. This link is yours alone: do not forward it.</footer>
    </Page>
  );
};
