import type { FC } from "hono/jsx";
import type { TemplateItem } from "../../../durable-objects/mailbox-rpc.ts";
import { formatAddress } from "../../mail/address.ts";
import { Visible } from "../layout.tsx";
import { Difference } from "./edits.tsx";
import { templateContent } from "./judged.ts";
import { Bodies, Line } from "./message.tsx";

type Variable = TemplateItem["template"]["variables"][number];

const TYPE_WORDS: Record<Variable["type"], string> = {
  text: "text",
  number: "a number",
  date: "a date",
  email: "an email address",
  url: "a web address",
};

const Variables: FC<{ variables: readonly Variable[] }> = ({ variables }) =>
  variables.length === 0 ? (
    <>none: every message says exactly this</>
  ) : (
    <ul class="plain">
      {variables.map(({ name, type, required, max_length }) => (
        <li>
          <span class="mono">
            <Visible text={name} context="strict" />
          </span>
          : {TYPE_WORDS[type]}, at most {max_length} characters{required ? "" : ", may be left out"}
        </li>
      ))}
    </ul>
  );

const Domains: FC<{ domains: string[] | null }> = ({ domains }) =>
  domains === null ? (
    <>any that the mailbox's rules let through</>
  ) : (
    <Visible text={domains.length === 0 ? "nobody" : domains.join(", ")} context="line" />
  );

/** A template: what is fixed, what the agent fills in, to whom it may go, and what is another than before. */
export const TemplateCard: FC<{ item: TemplateItem }> = ({ item }) => {
  const { template, difference } = item;
  const { from, text, html } = templateContent(item);
  return (
    <>
      <section class="card" aria-labelledby="template-title">
        <header>
          <h2 id="template-title">
            <Visible text={template.name} context="line" />
          </h2>
          <p class="soft small">
            Version {template.version}
            {template.version > 1 && difference === null ? "; no version before it was approved" : ""}.{" "}
            <span class="mono">{template.id}</span>
          </p>
        </header>
        <dl class="envelope">
          <Line label="Subject" class="subject">
            <Visible text={template.subject} context="line" />
          </Line>
          <Line label="From">
            <Visible text={formatAddress(from)} context="strict" />
          </Line>
          <Line label="Agent fills in">
            <Variables variables={template.variables} />
          </Line>
          <Line label="May go to">
            <Domains domains={template.allowed_domains} />
          </Line>
        </dl>
        <Bodies text={text} html={html} source={template.markdown} />
      </section>
      {difference !== null && (
        <section class="card" aria-labelledby="difference-title">
          <header>
            <h2 id="difference-title">What is new since the approved version</h2>
          </header>
          <div class="pad">
            <Difference difference={difference} />
          </div>
        </section>
      )}
    </>
  );
};
