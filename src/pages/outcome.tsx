import type { FC } from "hono/jsx";
import type { LinkOutcome } from "../../durable-objects/mailbox-rpc.ts";
import { Fact, Icon, Page, type Shape, Visible } from "./layout.tsx";
import { STATUS_WORDS, TEST_MESSAGE, timeInWords } from "./words.ts";

interface Ending {
  title: string;
  shape: Shape;
  tone: "good" | "bad" | "still";
  /** Begins the sentence “… by anna@acme.example”; null where nobody decided. */
  done: string | null;
  /** Where there is nobody to name. */
  alone: string;
}

const ENDINGS: Record<LinkOutcome["decision"], Ending> = {
  approved: { title: "Approved", shape: "check", tone: "good", done: "Approved by", alone: "It was approved." },
  rejected: { title: "Rejected", shape: "cross", tone: "bad", done: "Rejected by", alone: "It was rejected." },
  cancelled: {
    title: "Taken back",
    shape: "info",
    tone: "still",
    done: "Taken back by",
    alone: "It was taken back before anybody decided.",
  },
  expired: {
    title: "Not decided in time",
    shape: "clock",
    tone: "still",
    done: null,
    alone: "Nobody decided in time, so it was not let through.",
  },
  superseded: {
    title: "No longer waiting",
    shape: "info",
    tone: "still",
    done: null,
    alone: "The message was changed or taken over by a rule, so this link does not decide about it any more.",
  },
};

/** @returns how an outcome is told in one line: `Approved by anna@acme.example`. */
function winnerInWords(outcome: LinkOutcome): string {
  const ending = ENDINGS[outcome.decision];
  return ending.done !== null && outcome.decided_by !== null ? `${ending.done} ${outcome.decided_by}` : ending.alone;
}

/**
 * What whoever opens a decided link sees: the outcome, not the content. `late`: this very request tried to decide and came
 * second.
 */
export const OutcomePage: FC<{ approver: string; outcome: LinkOutcome; late: boolean }> = ({
  approver,
  outcome,
  late,
}) => {
  const ending = ENDINGS[outcome.decision];
  return (
    <Page title={late ? "Already decided" : ending.title} who={approver}>
      <main>
        <div class="single card result">
          <div>
            <Icon shape={ending.shape} class={`mark ${ending.tone}`} />
            <h1>{late ? "Already decided" : ending.title}</h1>
            <p class="lede">
              {late && "Your decision was not counted, since another came first. "}
              <Visible text={winnerInWords(outcome)} context="line" />
              {ending.done !== null && outcome.decided_by !== null ? ". " : " "}
              {outcome.test ? TEST_MESSAGE : `The message ${STATUS_WORDS[outcome.status]}.`}
            </p>
          </div>
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
          <p class="soft small">This page shows how it ended, not the message. You can close it.</p>
        </div>
      </main>
    </Page>
  );
};
