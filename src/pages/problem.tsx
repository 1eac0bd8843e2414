import type { FC } from "hono/jsx";
import { Kept, type KeptWords } from "./kept.tsx";
import { Icon, Page, type Shape } from "./layout.tsx";
import { timeInWords } from "./words.ts";

/** A page that says why there is nothing to decide here, and what helps. */
export interface Problem {
  status: 403 | 404 | 405 | 409 | 410 | 413 | 415 | 503;
  title: string;
  what: string;
  help: string;
  shape: Shape;
  /** Whether opening the page again can help. */
  again: boolean;
}

const ASK = "Ask whoever runs this mailbox if you expected a message to decide about.";
const AGAIN = "Nothing was decided. Open the page again and decide there.";

/** Each problem with its own words, so that a person knows what happened. */
export const PROBLEMS = {
  unknown: {
    status: 404,
    title: "This link leads nowhere",
    what: "It is incomplete, was changed on its way, or never was a decision link of ours.",
    help: "Open the link from the mail once more, whole: some programs cut long links in two.",
    shape: "info",
    again: false,
  },
  attachment_missing: {
    status: 404,
    title: "There is no such attachment",
    what: "This message has no file with that number.",
    help: "Go back to the message and open its attachments from there.",
    shape: "info",
    again: true,
  },
  decided: {
    status: 410,
    title: "Already decided",
    what: "A decision was made, so the message's files are not shown here any more.",
    help: "Open the decision page to see the outcome.",
    shape: "clock",
    again: true,
  },
  method: {
    status: 405,
    title: "This cannot be done here",
    what: "A decision page can be opened, and its form can be sent. Nothing else.",
    help: AGAIN,
    shape: "info",
    again: true,
  },
  csrf: {
    status: 403,
    title: "We could not tell that this was you",
    what: "The form did not come from this decision page, or the message changed since you opened it.",
    help: AGAIN,
    shape: "alert",
    again: true,
  },
  too_large: {
    status: 413,
    title: "That was too much",
    what: "The form was larger than a decision with a note can be.",
    help: AGAIN,
    shape: "alert",
    again: true,
  },
  form_type: {
    status: 415,
    title: "That was no form of ours",
    what: "A decision comes as the form on this page sends it.",
    help: AGAIN,
    shape: "alert",
    again: true,
  },
  unavailable: {
    status: 503,
    title: "We cannot reach the message right now",
    what: "Something on our side does not answer. The message is safe.",
    help: "Try again in a minute. If you had just decided, opening the page shows whether it was counted.",
    shape: "clock",
    again: true,
  },
} as const satisfies Record<string, Problem>;

/** @returns the problem of a link that was withdrawn; `reason` completes “It was withdrawn, because …”. */
export function revokedProblem(reason: string): Problem {
  return {
    status: 410,
    title: "This link was withdrawn",
    what: `It does not work any more${reason === "" ? "" : `, because ${reason}`}.`,
    help: "If a decision is still needed, a mail with a new link was sent.",
    shape: "info",
    again: false,
  };
}

/** @returns the problem of a decision that was not taken; `error` is why, as a sentence. */
export function refusedProblem(error: string): Problem {
  return { status: 409, title: "Your decision was not taken", what: error, help: AGAIN, shape: "alert", again: true };
}

/** @returns the problem of a link that came too late. */
export function expiredProblem(expiredAt: string): Problem {
  return {
    status: 410,
    title: "This link has expired",
    what: `It worked until ${timeInWords(expiredAt)}. Nothing was decided through it.`,
    help: ASK,
    shape: "clock",
    again: false,
  };
}

/** `base` is the page's own path, for those problems where opening it again helps; `kept` what the person had written. */
export const ProblemPage: FC<{ problem: Problem; base?: string | undefined; kept?: KeptWords | null }> = (props) => {
  const { problem, base, kept } = props;
  return (
    <Page title={problem.title}>
      <main>
        <div class="single card result">
          <div>
            <Icon shape={problem.shape} class="mark still" />
            <h1>{problem.title}</h1>
            <p class="lede">{problem.what}</p>
          </div>
          <p>{problem.help}</p>
          {problem.again && base !== undefined && (
            <p>
              <a class="button-link" href={base}>
                Open the page again
              </a>
            </p>
          )}
          <Kept kept={kept} />
        </div>
      </main>
    </Page>
  );
};
