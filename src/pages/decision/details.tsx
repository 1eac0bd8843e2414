import type { FC } from "hono/jsx";
import type { DecisionItem } from "../../../durable-objects/mailbox-rpc.ts";
import { Fact, Visible } from "../layout.tsx";
import { heldInWords, MODE_WORDS, timeInWords, timeLeft } from "../words.ts";

const AgentClaim: FC<{ agent: DecisionItem["agent"] }> = ({ agent }) => {
  const model = [agent.model_id, agent.model_provider].filter((part) => part !== null).join(", ");
  return (
    <>
      {agent.agent_id === null ? "not named" : <Visible text={agent.agent_id} context="strict" />}
      {model !== "" && (
        <>
          {" · "}
          <Visible text={model} context="strict" />
        </>
      )}
      <span class="soft"> (the agent's own claim)</span>
    </>
  );
};

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

/** @returns one sentence on whether an arrived message is from whom it says. */
function senderProof(authentication: NonNullable<DecisionItem["authentication"]>): { proof: string; forged?: true } {
  if (authentication.dkim_result === "pass") return { proof: "The sender's domain signed it." };
  if (authentication.dkim_result === "fail" || authentication.dmarc_result === "fail") {
    return { proof: "The sender could be forged: the checks failed.", forged: true };
  }
  return { proof: "Nothing proves that it is from this sender." };
}

const SenderProof: FC<{ authentication: NonNullable<DecisionItem["authentication"]> }> = ({ authentication }) => {
  const { proof, forged } = senderProof(authentication);
  return <Fact label="Is it really from them?">{forged ? <span class="alarm">{proof}</span> : proof}</Fact>;
};

const DomainRisk: FC<{ intelligence: DecisionItem["domain_intelligence"] }> = ({ intelligence }) => {
  if (intelligence === null) return <span class="soft">not checked</span>;
  const known = Object.entries(intelligence).filter(([, value]) => value !== null && value !== undefined);
  if (known.length === 0) return <span class="soft">nothing known</span>;
  return (
    <>
      {known.map(([name, value], i) => (
        <>
          {i > 0 ? ", " : ""}
          {name.replaceAll("_", " ")}: <Visible text={asText(value)} context="line" />
        </>
      ))}
    </>
  );
};

function asText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** What a person should know before reading: who wrote it, why it waits, until when. */
export const Glance: FC<{ item: DecisionItem; expiresAt: string; now: number }> = ({ item, expiresAt, now }) => (
  <dl class="glance">
    {item.kind === "send" && (
      <Fact label="Written by agent">
        <AgentClaim agent={item.agent} />
      </Fact>
    )}
    {item.authentication && <SenderProof authentication={item.authentication} />}
    <Fact label="Why it waits">
      <Visible text={heldInWords(item.held_by)} context="line" />
    </Fact>
    {item.kind === "send" && (
      <Fact label="Recipients' domains, risk">
        <DomainRisk intelligence={item.domain_intelligence} />
      </Fact>
    )}
    <Fact label="Decide within">
      {timeLeft(expiresAt, now)}, <time datetime={expiresAt}>{timeInWords(expiresAt)}</time>
    </Fact>
  </dl>
);

const Tags: FC<{ tags: Record<string, string> }> = ({ tags }) => (
  <ul class="tags">
    {Object.entries(tags).map(([key, value]) => (
      <li>
        <Visible text={value === "" ? key : `${key}: ${value}`} context="line" />
      </li>
    ))}
  </ul>
);

/** Everything else about the item, for who wants to know. */
export const Details: FC<{ item: DecisionItem }> = ({ item }) => (
  <details class="card">
    <summary>More about this message</summary>
    <dl class="facts">
      <Fact label={item.kind === "send" ? "Submitted" : "Arrived"}>
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
        <Visible text={item.held_by} context="line" />
      </Fact>
      {item.kind === "send" && (
        <Fact label="API key">{item.key_id === null ? "none" : <Visible text={item.key_id} context="strict" />}</Fact>
      )}
      {item.authentication &&
        CHECKS.map(([label, field]) => {
          const result = item.authentication?.[field] ?? "none";
          return <Fact label={label}>{VERDICTS[result] ?? <Visible text={result} context="line" />}</Fact>;
        })}
      <Fact label="Tags">{Object.keys(item.tags).length === 0 ? "none" : <Tags tags={item.tags} />}</Fact>
      <Fact label="Item">
        <span class="mono">{item.pending_id}</span>
      </Fact>
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
      <Fact label="SHA-256 of exactly what you decide about" wide>
        <span class="mono">{item.content_hash}</span>
      </Fact>
    </dl>
  </details>
);
