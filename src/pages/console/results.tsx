import type { FC } from "hono/jsx";
import { Icon, type Shape, Visible } from "../layout.tsx";
import { ConsolePage, type Viewer } from "./frame.tsx";

/** What became of each of several decisions; `counted` is how many of them are summed up in a sentence. */
export const RESULT_KINDS = {
  approved: { title: "Approved", counted: "approved", shape: "check", tone: "good" },
  approved_partly: {
    title: "Approved; others are needed",
    counted: "approved with others needed",
    shape: "check",
    tone: "good",
  },
  rejected: { title: "Rejected", counted: "rejected", shape: "cross", tone: "bad" },
  decided_before: { title: "Decided already", counted: "decided already", shape: "clock", tone: "still" },
  changed: { title: "Changed meanwhile", counted: "changed meanwhile", shape: "alert", tone: "still" },
  alone: { title: "Must be opened", counted: "to be opened", shape: "alert", tone: "still" },
  refused: { title: "Not possible", counted: "not possible", shape: "alert", tone: "still" },
  unknown: { title: "Not for you to decide", counted: "not for you to decide", shape: "info", tone: "still" },
  unavailable: { title: "Could not be reached", counted: "not reached", shape: "alert", tone: "still" },
} as const satisfies Record<string, { title: string; counted: string; shape: Shape; tone: "good" | "bad" | "still" }>;
export type ResultKind = keyof typeof RESULT_KINDS;

export interface BulkResult {
  pending_id: string;
  /** What the item is called; null where this person may not know. */
  title: string | null;
  kind: ResultKind;
  /** One sentence. */
  what: string;
}

/** Whether the item still waits for this person, so that opening it is worth offering. */
const STILL_OPEN: ReadonlySet<ResultKind> = new Set(["changed", "alone", "refused", "unavailable"]);

function summary(results: readonly BulkResult[]): string {
  const kinds = Map.groupBy(results, ({ kind }) => kind);
  return `${[...kinds].map(([kind, each]) => `${each.length} ${RESULT_KINDS[kind].counted}`).join(", ")}.`;
}

/** After a decision about many: what happened to each. `back` is the queue as it was shown. */
export const ResultsPage: FC<{ viewer: Viewer; results: readonly BulkResult[]; back: string }> = ({
  viewer,
  results,
  back,
}) => (
  <ConsolePage title="What happened" viewer={viewer}>
    <main>
      <div class="intro">
        <h1>What happened</h1>
        <p class="lede">{summary(results)}</p>
      </div>
      <ul class="card results">
        {results.map(({ pending_id, title, kind, what }) => (
          <li>
            <span>
              {title === null ? (
                <span class="mono">{pending_id}</span>
              ) : STILL_OPEN.has(kind) ? (
                <a href={`/console/items/${pending_id}`}>
                  <Visible text={title} context="line" />
                </a>
              ) : (
                <Visible text={title} context="line" />
              )}
            </span>
            <span>
              <b class={RESULT_KINDS[kind].tone}>
                <Icon shape={RESULT_KINDS[kind].shape} />
                {RESULT_KINDS[kind].title}
              </b>
              <Visible text={what} context="line" />
            </span>
          </li>
        ))}
      </ul>
      <p>
        <a class="button-link" href={back}>
          Back to the queue
        </a>
      </p>
    </main>
  </ConsolePage>
);
