import type { MessageChange } from "../../../durable-objects/mailbox-rpc.ts";
import { newId } from "../../../src/ids.ts";
import type { MailAddress } from "../../../src/mail/message.ts";
import { arrival, submission as newSubmission } from "../mailbox-harness.ts";
import { effectSpec } from "../oversight-table.ts";
import { AGENTS, type Agent } from "./cast.ts";
import { type Incoming, isHidden, isOpen, type Outgoing } from "./items.ts";
import type { Step } from "./steps.ts";
import { answerOf, expectSame, type Story } from "./story.ts";

/** What agents do with mail, and what comes in. Each returns what happened in a sentence, or null if there was nothing to do. */

type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

function mailTo(addresses: readonly string[]): MailAddress[] {
  return addresses.map((address) => ({ name: null, address }));
}

function sendAt(story: Story, minutes: number | null): string | null {
  return minutes === null ? null : new Date(story.world.now + minutes * 60_000).toISOString();
}

export async function send(story: Story, step: Of<"send">): Promise<string> {
  const { world, reference } = story;
  const template = step.template === null ? undefined : reference.templates[step.template];
  const version = template?.versions.at(-1)?.version;
  const use = template && version !== undefined ? { id: template.id, version } : null;
  const at = sendAt(story, step.minutes);
  const message: Outgoing = {
    kind: "outgoing",
    id: newId("em", world.now, world.routing),
    name: story.name("message"),
    status: "queued",
    author: step.by,
    subject: "About",
    text: step.words,
    to: [...step.to],
    sendAt: at === null ? null : Date.parse(at),
    gate: step.gate,
    requested: step.mode,
    template: use,
    needed: 0,
    expiresAt: null,
    voices: [],
    wasHeld: false,
    isApproved: false,
    isLetGo: false,
    reached: new Set(),
    refused: new Set(),
    firstAttemptAt: null,
    wasTried: false,
  };
  const verdict = reference.verdict(message);
  const isTaken = reference.submit(message);
  const key = story.key(step.by);
  const outcome = await world.object.submit(
    key,
    newSubmission(world, {
      id: message.id,
      to: mailTo(message.to),
      subject: message.subject,
      text: message.text,
      html: null,
      markdown: null,
      agent_id: key.agent_id,
      oversight_mode: step.mode,
      send_at: at,
      gate_timing: step.gate,
      template: use && { ...use, approval_ref: "apr_of_the_template", allowed_domains: null },
    }),
  );
  const answer = answerOf(outcome);
  if (isTaken)
    expectSame("a submission is placed as the table says", outcome.ok && outcome.value.status, message.status);
  else
    expectSame("a submission that is denied is refused", ["denied_by_mode", "denied_by_policy"].includes(answer), true);
  if (outcome.ok) expectSame("the verdict on a submission", outcome.value.verdict.outcome, verdict);
  const when = step.minutes === null ? "" : ` in ${step.minutes} minutes, ${step.gate}`;
  const how = `${step.mode === null ? "" : ` as ${step.mode}`}${use ? ` with version ${use.version} of a template` : ""}`;
  const what = `${step.by} sends ${message.name} (“${message.text}”) to ${message.to.join(", ")}${when}${how}`;
  return `${what} → ${isTaken ? message.status : answer}`;
}

export async function edit(story: Story, step: Of<"edit">): Promise<string | null> {
  const { world, reference } = story;
  const message = story.pick(step.item, "outgoing");
  if (message?.kind !== "outgoing") return null;
  const by: Agent = step.by === "its author" ? message.author : step.by;
  const at = step.minutes === null ? undefined : sendAt(story, step.minutes);
  const change: MessageChange = {
    ...(step.words && { body: { text: step.words, html: null, markdown: null } }),
    ...(step.to && { to: mailTo(step.to) }),
    ...(at && { send_at: at }),
  };
  const isTheirs = by === message.author;
  const isEarly = (isOpen(message) || message.status === "scheduled") && !message.wasTried;
  const should = !isTheirs
    ? "agent_not_allowed"
    : !isEarly
      ? "wrong_state"
      : reference.edit(message, {
            ...(step.words && { text: step.words }),
            ...(step.to && { to: [...step.to] }),
            ...(at && { sendAt: Date.parse(at) }),
          })
        ? "ok"
        : "denied_by_policy";
  const answer = answerOf(await world.object.edit(story.key(by), message.id, change));
  expectSame("a change by an agent is taken or refused", answer, should);
  if (answer === "ok") story.outdate(message);
  const parts = [
    step.words && `says “${step.words}”`,
    step.to && `goes to ${step.to.join(", ")}`,
    step.minutes !== null && `leaves in ${step.minutes} minutes`,
  ].filter(Boolean);
  return `${by} changes ${message.name}, which now ${parts.join(" and ") || "is the same"} → ${answer === "ok" ? message.status : answer}`;
}

export async function cancel(story: Story, step: Of<"cancel">): Promise<string | null> {
  const { world, reference } = story;
  const item = story.pick(step.item);
  if (!item || item.kind === "asked") return null;
  const isAgent = AGENTS.some((agent) => agent === step.by);
  const should =
    whyNotCancelled(story, item, isAgent ? step.by : null) ??
    (reference.cancel(item as Outgoing) ? "ok" : "wrong_state");
  const answer = answerOf(await world.object.cancel(story.key(step.by), item.id, null));
  expectSame("a cancellation is taken or refused", answer, should);
  return `${step.by} cancels ${item.name} → ${answer === "ok" ? item.status : answer}`;
}

/** @param agent who cancels, if it is an agent. */
function whyNotCancelled({ reference }: Story, item: Incoming | Outgoing, agent: string | null): string | null {
  if (item.kind === "incoming") return agent !== null && isHidden(item) ? "not_found" : "wrong_state";
  // Where nothing is read without a human, nobody learns what becomes of another's mail.
  const isBlind = effectSpec(reference.settings.oversight_mode, "read") === "hold";
  return agent !== null && isBlind && item.author !== agent ? "agent_not_allowed" : null;
}

export async function mailArrives(story: Story): Promise<string> {
  const { world, reference } = story;
  const id = newId("em", world.now, world.routing);
  const held = effectSpec(reference.settings.oversight_mode, "inbound") === "hold";
  const status = held ? "pending_inbound_approval" : "unread";
  const name = story.name("arrival");
  reference.receive({
    kind: "incoming",
    id,
    name,
    status,
    isReleased: false,
    needed: 0,
    expiresAt: null,
    voices: [],
    wasHeld: false,
  });
  const received = await world.object.receive(
    arrival(world, { id, fingerprint: id, rfc_message_id: `<${id}@x.example>` }),
  );
  expectSame("what arrives is placed as the table says", received?.status, status);
  return `${name} comes in → ${status}`;
}
