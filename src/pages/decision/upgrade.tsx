import type { FC } from "hono/jsx";
import type { UpgradeItem } from "../../../durable-objects/mailbox-rpc.ts";
import { Fact, Visible } from "../layout.tsx";
import { recordFacts, recordTime } from "../record-words.ts";

/** A looser setting in words, and beside it what the mailbox did lately. */
export const Upgrade: FC<{ item: UpgradeItem }> = ({ item: { change, record } }) => (
  <>
    <section class="card pad stack" aria-labelledby="change-title">
      <h2 id="change-title">What would change</h2>
      <blockquote>
        <Visible text={change} context="body" />
      </blockquote>
      <p>
        Nobody approves this here. The operator was mailed a code; whoever asked needs that code to make exactly this
        change.
      </p>
    </section>
    <section class="card" aria-labelledby="record-title">
      <header>
        <h2 id="record-title">{recordTime(record)}, this mailbox</h2>
      </header>
      <dl class="facts">
        {recordFacts(record).map(([label, value]) => (
          <Fact label={label}>{value}</Fact>
        ))}
      </dl>
    </section>
  </>
);
