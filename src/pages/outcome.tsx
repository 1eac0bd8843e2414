import type { Child, FC } from "hono/jsx";
import type { LinkOutcome } from "../../durable-objects/mailbox-rpc.ts";
import type { PendingKind } from "../operations/shapes/pending.ts";
import { KIND_WORDS } from "./decision/kinds.ts";
import { Kept, type KeptWords } from "./kept.tsx";
import { Back, type BackLink, Fact, Icon, Page, type Shape, Visible } from "./layout.tsx";
import { quorumInWords, standingInWords, TEST_MESSAGE, timeInWords } from "./words.ts";

interface Ending {
  title: string;
  shape: Shape;
  tone: "good" | "bad" | "still";
  /** Begins the sentence “… by anna@acme.example”; null where nobody decided. */
  done: string | null;
  /** Where there is nobody to name. `noun`: what it is that was decided about. */
  alone: (noun: string) => string;
}

const ENDINGS: Record<LinkOutcome["decision"], Ending> = {
  approved: { title: "Approved", shape: "check", tone: "good", done: "Approved by", alone: () => "It was approved." },
  approved_partly: {
    title: "Your approval counts",
    shape: "check",
    tone: "good",
    done: null,
    alone: () => "Others must approve it too.",
  },
  rejected: { title: "Rejected", shape: "cross", tone: "bad", done: "Rejected by", alone: () => "It was rejected." },
  cancelled: {
    title: "Taken back",
    shape: "info",
    tone: "still",
    done: "Taken back by",
    alone: () => "It was taken back before anybody decided.",
  },
  expired: {
    title: "Not decided in time",
    shape: "clock",
    tone: "still",
    done: null,
    alone: () => "Nobody decided in time, so it was not let through.",
  },
  superseded: {
    title: "No longer waiting",
    shape: "info",
    tone: "still",
    done: null,
    alone: (noun) => `The ${noun} was changed or taken over by a rule, so this does not decide about it any more.`,
  },
};

/** @returns how an outcome is told in one line: `Approved by anna@acme.example.` */
export function winnerInWords(outcome: LinkOutcome): string {
  const { done, alone } = ENDINGS[outcome.decision];
  return done !== null && outcome.decided_by !== null
    ? `${done} ${outcome.decided_by}.`
    : alone(KIND_WORDS[outcome.kind].noun);
}

/** How it stands now; of a test message never that it left. */
function standing({ kind, status, test }: LinkOutcome): string {
  return test ? TEST_MESSAGE : standingInWords(kind, status);
}

const CLOSING: Record<PendingKind, string> = {
  send: "the message",
  inbound: "the message",
  read: "what was asked for",
  annotate: "what was asked for",
  template: "the template",
  upgrade: "what was asked for",
};

/** What the page of an outcome needs. */
export interface OutcomePageProps {
  approver: string;
  outcome: LinkOutcome;
  /** This very request tried to decide and came second. */
  late: boolean;
  /** What the person had written, where they came second. */
  kept?: KeptWords | null;
  /** In a session: where the person came from, and what stands in the bar. */
  back?: BackLink | undefined;
  nav?: Child;
  /** Where the record of the message is; left out for what is no message, and for people without a session. */
  record?: string | undefined;
}

/** What whoever opens something decided sees: the outcome, not the content. */
export const OutcomePage: FC<OutcomePageProps> = ({ approver, outcome, late, kept, back, nav, record }) => {
  const ending = ENDINGS[outcome.decision];
  const title = late && outcome.decision !== "approved_partly" ? "Already decided" : ending.title;
  const progress = quorumInWords(outcome.quorum);
  return (
    <Page title={title} who={approver} nav={nav}>
      <main>
        <div class="single card result">
          <div>
            <Icon shape={ending.shape} class={`mark ${ending.tone}`} />
            <h1>{title}</h1>
            <p class="lede">
              {late && "Your decision was not counted, since another came first. "}
              <Visible text={winnerInWords(outcome)} context="line" /> {standing(outcome)}
            </p>
          </div>
          {progress !== null && (
            <p>
              <Visible text={progress} context="line" />
            </p>
          )}
          {outcome.reason !== null && outcome.reason !== "" && (
            <blockquote>
              <Visible text={outcome.reason} context="body" />
            </blockquote>
          )}
          {(outcome.decided_at !== null || outcome.approval_ref !== null) && (
            <dl class="facts">
              {outcome.decided_at !== null && (
                <Fact label="When">
                  <time datetime={outcome.decided_at}>{timeInWords(outcome.decided_at)}</time>
                </Fact>
              )}
              {outcome.approval_ref !== null && (
                <Fact label="Reference in the record">
                  <span class="mono">{outcome.approval_ref}</span>
                </Fact>
              )}
            </dl>
          )}
          <Kept kept={kept} />
          {record !== undefined && (
            <p class="back">
              <a href={record}>See the whole record of this message</a>
            </p>
          )}
          {back ? (
            <Back link={back} />
          ) : (
            <p class="soft small">
              This page shows how it {outcome.decision === "approved_partly" ? "stands" : "ended"}, not{" "}
              {CLOSING[outcome.kind]}. You can close it.
            </p>
          )}
        </div>
      </main>
    </Page>
  );
};
