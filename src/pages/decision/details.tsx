import type { FC } from "hono/jsx";
import type { DecisionItem, MessageItem } from "../../../durable-objects/mailbox-rpc.ts";
import { Fact, Visible } from "../layout.tsx";
import { MODE_WORDS, timeInWords } from "../words.ts";
import { KIND_WORDS } from "./kinds.ts";

const VERDICTS: Record<string, string> = {
  pass: "passed",
  fail: "failed",
  none: "not present",
  neutral: "no statement",
  softfail: "probably not allowed",
  temperror: "could not be checked",
  permerror: "broken",
  policy: "not accepted",
};

const CHECKS = [
  ["DKIM (signed by the sender's domain)", "dkim_result"],
  ["SPF (sent from an allowed server)", "spf_result"],
  ["DMARC (the domain's own rule)", "dmarc_result"],
] as const;

const Tags: FC<{ tags: Record<string, string> }> = ({ tags }) => (
  <ul class="tags">
    {Object.entries(tags).map(([key, value]) => (
      <li>
        <Visible text={value === "" ? key : `${key}: ${value}`} context="line" />
      </li>
    ))}
  </ul>
);

const MessageDetails: FC<{ item: MessageItem }> = ({ item }) => (
  <>
    {item.authentication &&
      CHECKS.map(([label, field]) => {
        const result = item.authentication?.[field] ?? "none";
        return <Fact label={label}>{VERDICTS[result] ?? <Visible text={result} context="line" />}</Fact>;
      })}
    {item.identity && (
      <Fact label="Agent that wrote it">
        {item.identity.agent ? (
          <>
            <Visible text={item.identity.agent.agent_id} context="strict" />, proven by its signature, under{" "}
            {item.identity.agent.oversight_mode}
          </>
        ) : (
          "It names one, and does not prove it."
        )}
      </Fact>
    )}
    <Fact label="Tags">{Object.keys(item.tags).length === 0 ? "none" : <Tags tags={item.tags} />}</Fact>
    {item.content.in_reply_to !== null && (
      <Fact label="Answers the message">
        <Visible text={item.content.in_reply_to} context="strict" />
      </Fact>
    )}
    <Fact label="Metadata" wide>
      {Object.keys(item.metadata).length === 0 ? (
        "none"
      ) : (
        <pre class="mono">
          <Visible text={JSON.stringify(item.metadata, null, 2)} context="body" />
        </pre>
      )}
    </Fact>
  </>
);

const SUBMITTED: Partial<Record<DecisionItem["kind"], string>> = { send: "Submitted", inbound: "Arrived" };

/** Everything else about the item, for who wants to know. */
export const Details: FC<{ item: DecisionItem }> = ({ item }) => (
  <details class="card">
    <summary>More about this {KIND_WORDS[item.kind].noun}</summary>
    <dl class="facts">
      <Fact label={SUBMITTED[item.kind] ?? "Asked"}>
        <time datetime={item.submitted_at}>{timeInWords(item.submitted_at)}</time>
      </Fact>
      <Fact label="Mailbox">
        <Visible text={item.mailbox_address} context="strict" />
      </Fact>
      <Fact label="Mode">
        {MODE_WORDS[item.oversight_mode].name} <span class="soft">({item.oversight_mode})</span>.{" "}
        {MODE_WORDS[item.oversight_mode].meaning}
      </Fact>
      <Fact label="Held by">
        <Visible
          text={[item.held_by, ...item.reasons.map(({ rule }) => rule)].filter(isFirst).join(", ")}
          context="line"
        />
      </Fact>
      {item.kind !== "inbound" && (
        <Fact label="API key">{item.key_id === null ? "none" : <Visible text={item.key_id} context="strict" />}</Fact>
      )}
      <Fact label="Item">
        <span class="mono">{item.pending_id}</span>
      </Fact>
      {"content" in item && <MessageDetails item={item} />}
      <Fact label="SHA-256 of exactly what you decide about" wide>
        <span class="mono">{item.content_hash}</span>
      </Fact>
    </dl>
  </details>
);

function isFirst(name: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(name) === index;
}
