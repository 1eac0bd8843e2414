import type { MailboxChange } from "../../../durable-objects/mailbox-rpc.ts";
import { type Outcome, unwrap } from "../../../src/errors.ts";
import { addressOf, type Recipient } from "./cast.ts";
import { policyOf } from "./rules.ts";
import type { Code, Setting, Step } from "./steps.ts";
import { expectSame, type Story } from "./story.ts";

/** What the admin, the operator and the tenant change. */

type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

type Asked = Outcome<object | { needs_approval: { change: string } }>;

const HOUR = 3600_000;

function wordsIn(outcome: Asked): string | null {
  if (!outcome.ok || !("needs_approval" in outcome.value)) return null;
  return outcome.value.needs_approval.change;
}

/**
 * Asks for a change with the operator's code that the step brings.
 * @param about what the change is of, for codes that are brought again.
 * @returns whether it was made.
 */
async function withCode(
  story: Story,
  about: string,
  code: Code,
  isLoosening: boolean,
  change: (words: string | null) => Promise<Asked>,
): Promise<boolean> {
  const first = await change(null);
  const words = wordsIn(first);
  expectSame("only what loosens asks the operator", words !== null, isLoosening);
  unwrap(first);
  if (words === null) return true;
  if (code === "none") return false;
  const brought = code === "an older one" ? (story.oldCodes.get(about) ?? "whatever") : words;
  story.oldCodes.set(about, words);
  const isMade = wordsIn(await change(brought)) === null;
  expectSame("a change that loosens is made in exactly the words that the operator allowed", isMade, brought === words);
  return isMade;
}

function changeOf(story: Story, setting: Setting): MailboxChange {
  const { world, reference } = story;
  const unconfirmed = (people: string[]) => people.filter((each) => !isConfirmed(story, each));
  switch (setting.set) {
    case "mode":
      return { oversight_mode: setting.to };
    case "quorum":
      return { quorum: setting.to };
    case "approvers": {
      const approvers = setting.to.map(addressOf);
      return { approvers, approvers_pending: unconfirmed(approvers) };
    }
    case "delegate": {
      const [from, until] = [world.now, world.now + setting.hours * HOUR].map((at) => new Date(at).toISOString());
      const fresh = {
        approver: addressOf(setting.approver),
        delegate: addressOf(setting.delegate),
        from: from as string,
        until: until as string,
      };
      const { approvers } = reference.settings;
      return { delegations: [fresh], approvers_pending: unconfirmed([...approvers, fresh.delegate]) };
    }
    case "keys decide":
      return { oversight_keys_may_decide: setting.to };
    case "paused":
      return { paused: setting.to };
  }
}

function isConfirmed({ world }: Story, person: string): boolean {
  return person === addressOf("the operator") || world.tenant.confirmed.has(person);
}

/** Whether settings contradict each other: then the change is refused. */
function isContradictory({ reference }: Story, change: MailboxChange): boolean {
  const { approvers, quorum, delegations } = { ...reference.settings, ...change };
  const isOver = quorum > Math.max(1, approvers.length);
  return isOver || delegations.some(({ approver }) => !approvers.includes(approver));
}

export async function set(story: Story, { setting, code }: Of<"set">): Promise<string> {
  const { world, reference } = story;
  const change = changeOf(story, setting);
  const { set: what, ...to } = setting;
  const said = `the admin sets ${what} to ${JSON.stringify("to" in to ? to.to : to)}, with ${code === "none" ? "no code" : `${code} code`}`;
  const update = (words: string | null) => world.object.update(story.key("the admin"), change, words);
  if (isContradictory(story, change)) {
    const outcome = await update(null);
    expectSame(
      "settings that contradict each other are refused",
      outcome.ok ? "ok" : outcome.refusal.code,
      "invalid_input",
    );
    return `${said} → invalid_input`;
  }
  const isMade = await withCode(story, `set ${what}`, code, reference.loosens(change), update);
  if (isMade) {
    // The operator who allows it confirms the people whom the words name.
    for (const each of change.approvers_pending ?? []) world.tenant.confirmed.add(each);
    reference.change({ ...change, ...(change.approvers_pending && { approvers_pending: [] }) });
  }
  return `${said} → ${isMade ? "done" : "needs the operator"}`;
}

export async function setRules(story: Story, { to, code }: Of<"set rules">): Promise<string> {
  const { world, reference } = story;
  const isLoosening = reference.restrictions.some((restriction) => !to.includes(restriction));
  const isMade = await withCode(story, "rules", code, isLoosening, (words) =>
    world.object.setPolicy(story.key("the admin"), policyOf(to), words),
  );
  if (isMade) reference.setRestrictions(to);
  return `the admin sets rules (${to.join(", ") || "none"}), with ${code === "none" ? "no code" : `${code} code`} → ${isMade ? "done" : "needs the operator"}`;
}

export async function allow(story: Story, { recipient, code }: Of<"allow">): Promise<string> {
  const { world, reference } = story;
  let entryId: string | null = null;
  const isMade = await withCode(
    story,
    `allow ${recipient}`,
    code,
    !reference.allowlist.has(recipient),
    async (words) => {
      const outcome = await world.object.allow(story.key("the admin"), { recipient, note: null }, words);
      if (outcome.ok && "entry" in outcome.value) entryId = outcome.value.entry.id;
      return outcome;
    },
  );
  if (isMade && entryId !== null) reference.allowlist.set(recipient, entryId);
  return `the admin allowlists ${recipient} → ${isMade ? "done" : "needs the operator"}`;
}

export async function disallow(story: Story, { recipient }: Of<"disallow">): Promise<string | null> {
  const { world, reference } = story;
  const entry = reference.allowlist.get(recipient as Recipient);
  if (!entry) return null;
  unwrap(await world.object.disallow(story.key("the admin"), entry));
  reference.allowlist.delete(recipient);
  reference.tighten();
  return `the admin takes ${recipient} from the allowlist`;
}

export async function confirm(story: Story, { person }: Of<"confirm">): Promise<string> {
  story.world.tenant.confirmed.add(addressOf(person));
  return `the operator confirms ${person}`;
}

export async function tenantPauses(story: Story, { agent, paused }: Of<"tenant pauses">): Promise<string> {
  const { tenant } = story.world;
  if (agent === null || agent === "guest") tenant.isPaused = paused;
  else if (paused) tenant.pausedAgents.add(agent);
  else tenant.pausedAgents.delete(agent);
  return `${agent ?? "the whole tenant"} is ${paused ? "paused" : "not paused any more"}`;
}
