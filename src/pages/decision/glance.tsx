import type { FC } from "hono/jsx";
import type { DecisionItem, MessageItem } from "../../../durable-objects/mailbox-rpc.ts";
import { factsInWords } from "../domain-facts.ts";
import { Fact, Visible } from "../layout.tsx";
import { HIGH_RISK, quorumInWords, riskInWords, timeInWords, timeLeft } from "../words.ts";

/** What an agent says of itself. */
export const AgentClaim: FC<{ agent: DecisionItem["agent"] }> = ({ agent }) => {
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

type Authentication = NonNullable<MessageItem["authentication"]>;

/** @returns one sentence on whether an arrived message is from whom it says. */
function senderProof(authentication: Authentication): { proof: string; forged?: true } {
  if (authentication.dkim_result === "pass") return { proof: "The sender's domain signed it." };
  if (authentication.dkim_result === "fail" || authentication.dmarc_result === "fail") {
    return { proof: "The sender could be forged: the checks failed.", forged: true };
  }
  return { proof: "Nothing proves that it is from this sender." };
}

const SenderProof: FC<{ authentication: Authentication }> = ({ authentication }) => {
  const { proof, forged } = senderProof(authentication);
  return <Fact label="Is it really from them?">{forged ? <span class="alarm">{proof}</span> : proof}</Fact>;
};

/** Why it waits: the deciding rule's sentence, then what else would have held it. */
const Why: FC<{ item: DecisionItem }> = ({ item: { because, reasons } }) => {
  const others = reasons.filter((reason) => reason.because !== because);
  return (
    <Fact label="Why it waits">
      <Visible text={because} context="line" />
      {others.length > 0 && (
        <ul class="plain">
          {others.map((reason) => (
            <li>
              <Visible text={reason.because} context="line" />
            </li>
          ))}
        </ul>
      )}
    </Fact>
  );
};

const Risk: FC<{ risk: MessageItem["risk"] }> = ({ risk }) => (
  <Fact label="Risk">
    {risk === null ? (
      <span class="soft">not checked</span>
    ) : (
      <>
        {risk.score > HIGH_RISK ? <span class="alarm">{riskInWords(risk.score)}</span> : riskInWords(risk.score)}
        {risk.reasons.length > 0 && (
          <ul class="plain">
            {risk.reasons.map(({ because }) => (
              <li>
                <Visible text={because} context="line" />
              </li>
            ))}
          </ul>
        )}
      </>
    )}
  </Fact>
);

const Domains: FC<{ intelligence: MessageItem["domain_intelligence"] }> = ({ intelligence }) => {
  if (intelligence === null) return null;
  if (Array.isArray(intelligence.domains)) return <DomainFactsList domains={intelligence.domains} />;
  const known = Object.entries(intelligence).filter(([, value]) => value !== null && value !== undefined);
  if (known.length === 0) return null;
  return (
    <Fact label="Recipients' domains">
      {known.map(([name, value], i) => (
        <>
          {i > 0 ? ", " : ""}
          {name.replaceAll("_", " ")}: <Visible text={asText(value)} context="line" />
        </>
      ))}
    </Fact>
  );
};

function asText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** What was looked up of each domain, in words; what is not known is said. */
const DomainFactsList: FC<{ domains: unknown[] }> = ({ domains }) => (
  <Fact label="Recipients' domains">
    <ul class="plain">
      {domains.map((facts) => (
        <li>
          <Visible text={factsInWords(facts)} context="line" />
        </li>
      ))}
    </ul>
  </Fact>
);

const Leaving: FC<{ item: MessageItem }> = ({ item: { send_at } }) => (
  <Fact label="When it leaves">
    {send_at === null ? (
      "as soon as it is approved"
    ) : (
      <>
        <time datetime={send_at}>{timeInWords(send_at)}</time>, or once it is approved, if that is later
      </>
    )}
  </Fact>
);

/** What a person should know before reading: who asks, why it waits, how far the decision is, until when. */
export const Glance: FC<{ item: DecisionItem; expiresAt: string | null; now: number }> = ({ item, expiresAt, now }) => {
  const progress = quorumInWords(item.quorum);
  return (
    <dl class="glance">
      {item.kind !== "inbound" && (
        <Fact label={item.kind === "send" ? "Written by agent" : "Asked by agent"}>
          <AgentClaim agent={item.agent} />
        </Fact>
      )}
      {item.kind === "inbound" && item.authentication && <SenderProof authentication={item.authentication} />}
      <Why item={item} />
      {item.kind === "send" && <Risk risk={item.risk} />}
      {item.kind === "send" && <Domains intelligence={item.domain_intelligence} />}
      {item.kind === "send" && <Leaving item={item} />}
      {progress !== null && (
        <Fact label="Approvals">
          <Visible text={progress} context="line" />
        </Fact>
      )}
      <Fact label="Decide within">
        {expiresAt === null ? (
          "no limit: it waits until someone decides"
        ) : (
          <>
            {timeLeft(expiresAt, now)}, <time datetime={expiresAt}>{timeInWords(expiresAt)}</time>
          </>
        )}
      </Fact>
    </dl>
  );
};
