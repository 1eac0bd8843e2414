import type { FC } from "hono/jsx";
import type { MessageItem } from "../../../durable-objects/mailbox-rpc.ts";
import { Visible } from "../layout.tsx";
import { timeInWords } from "../words.ts";

/** A difference in unified form, line by line: what was taken out, what was put in. */
export const Difference: FC<{ difference: string }> = ({ difference }) => (
  <pre class="difference mono" dir="auto">
    {difference
      .replace(/\n$/, "")
      .split("\n")
      .map((line) => (
        <DifferenceLine line={line} />
      ))}
  </pre>
);

const DifferenceLine: FC<{ line: string }> = ({ line }) => {
  const text = <Visible text={line} context="body" />;
  if (line.startsWith("+")) return <ins>{text}</ins>;
  if (line.startsWith("-")) return <del>{text}</del>;
  return <span class={line.startsWith("@@") ? "soft" : undefined}>{text}</span>;
};

/** Earlier versions of a message, the oldest first: who changed what. */
export const Edits: FC<{ edits: MessageItem["edits"] }> = ({ edits }) =>
  edits.length === 0 ? null : (
    <section class="card" aria-labelledby="edits-title">
      <header>
        <h2 id="edits-title">{edits.length === 1 ? "It was changed once" : `It was changed ${edits.length} times`}</h2>
        <p class="soft small">What you see above is what came of it.</p>
      </header>
      <ol class="edits">
        {edits.map(({ by, at, difference }) => (
          <li>
            <p>
              <b>
                <Visible text={by} context="strict" />
              </b>{" "}
              <span class="soft small">
                <time datetime={at}>{timeInWords(at)}</time>
              </span>
            </p>
            <Difference difference={difference} />
          </li>
        ))}
      </ol>
    </section>
  );
