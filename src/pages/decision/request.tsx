import type { FC } from "hono/jsx";
import type { RequestItem } from "../../../durable-objects/mailbox-rpc.ts";
import { Fact, Visible } from "../layout.tsx";
import { fieldInWords, operationInWords, valueInWords } from "../operation-words.ts";
import { timeInWords } from "../words.ts";

const About: FC<{ about: NonNullable<RequestItem["about"]> }> = ({ about }) => (
  <Fact label="The message it is about" wide>
    {about.subject === "" ? <span class="soft">(no subject)</span> : <Visible text={about.subject} context="line" />}
    <br />
    <span class="soft small">
      from <Visible text={about.from} context="line" />, <time datetime={about.at}>{timeInWords(about.at)}</time>
    </span>
  </Fact>
);

/** Exactly what an agent asks for: the operation, and each field of its input. */
export const Request: FC<{ item: RequestItem }> = ({ item: { request, about } }) => {
  const fields = Object.entries(request.input);
  const words = operationInWords(request.operation);
  return (
    <section class="card" aria-labelledby="request-title">
      <header>
        <h2 id="request-title">{words ?? <Visible text={request.operation} context="strict" />}</h2>
        <p class="soft small">
          The operation{" "}
          <span class="mono">
            <Visible text={request.operation} context="strict" />
          </span>
          , with exactly this input:
        </p>
      </header>
      <dl class="facts asked">
        {about && <About about={about} />}
        {fields.map(([name, value]) => (
          <Fact label={fieldInWords(name)} code={name} wide>
            <pre dir="auto">
              <Visible text={valueInWords(value)} context="body" />
            </pre>
          </Fact>
        ))}
        {fields.length === 0 && (
          <Fact label="Input" wide>
            none
          </Fact>
        )}
      </dl>
    </section>
  );
};
