import type { Outcome } from "../../../src/errors.ts";
import type { Mailbox } from "../../../src/operations/shapes/mailbox.ts";
import type { Caller } from "../../../src/oversight/caller.ts";
import { addressOf, type KeyName } from "./cast.ts";
import { farEnd } from "./far-end.ts";
import { type Item, isOpen } from "./items.ts";
import { Reference } from "./reference.ts";
import type { Beginning, Which } from "./steps.ts";
import type { World } from "./world.ts";

/** Something that must hold did not. */
export class Violation extends Error {
  constructor(rule: string, what: string) {
    super(`${rule}: ${what}`);
    this.name = "Violation";
  }
}

/** What somebody saw of an item when they last looked. */
export interface Seen {
  /** In words (`contentOfItem`), from what they were shown. */
  content: string;
  /** Its content hash, as they were told. */
  hash: string;
  /** Its author changed it since, be it only when it is to leave. */
  isOutdated: boolean;
}

/** A decision link as the person has it who was mailed it. */
export interface MailedLink {
  tokenHash: string;
  person: string;
  /** The item's id. */
  item: string;
  seat: string;
  isWithdrawn: boolean;
  saw: Seen | null;
}

/** One story: the world, what should be, and what everyone in it remembers. */
export class Story {
  readonly world: World;
  readonly reference: Reference;
  /** What each watcher and person saw last, by `<who> <item>`. */
  readonly seen = new Map<string, Seen>();
  readonly links: MailedLink[] = [];
  /** Approvals of queries that were used. */
  readonly usedApprovals = new Set<string>();
  /** What the operator was once asked to allow and has allowed, whatever changed since. */
  readonly oldCodes = new Map<string, string>();
  /** What happened so far, in sentences. */
  readonly told: string[] = [];
  private named = 0;

  private constructor(world: World, settings: Mailbox, beginning: Beginning) {
    this.world = world;
    this.reference = new Reference(world, settings);
    const { mode, quorum, approvers, keysDecide } = beginning;
    this.told.push(
      `A ${mode} mailbox; ${approvers.join(", ")} decide, ${quorum} must approve; oversight keys ${keysDecide ? "may" : "may not"} decide.`,
    );
  }

  /** A story in a mailbox that was just made. */
  static async begin(world: World, beginning: Beginning): Promise<Story> {
    const settings = settingsOf(world.mailbox, beginning);
    await world.beginAgain(settings);
    return new Story(world, { ...world.mailbox, ...settings }, beginning);
  }

  key(name: KeyName): Caller {
    return this.world.keys[name];
  }

  /** A name for something new. */
  name(what: string): string {
    this.named += 1;
    return `${what} ${this.named}`;
  }

  /** The item that a step is about, if there is one. */
  pick({ back, open }: Which, kind?: Item["kind"]): Item | null {
    const all = this.reference.items.filter((item) => (!open || isOpen(item)) && (!kind || item.kind === kind));
    return all[all.length - 1 - (back % Math.max(1, all.length))] ?? null;
  }

  remember(who: string, item: Item, seen: Seen): void {
    this.seen.set(`${who} ${item.id}`, seen);
  }

  /** Its author changed it. */
  outdate(item: Item): void {
    for (const [key, seen] of this.seen) if (key.endsWith(` ${item.id}`)) seen.isOutdated = true;
  }

  recall(who: string, item: Item): Seen | null {
    return this.seen.get(`${who} ${item.id}`) ?? null;
  }

  /** Links that people were mailed since the last look. */
  collectMail(): void {
    for (const { person, tokenHash } of farEnd.mailed.splice(0)) {
      const row = this.world.object.links.find(tokenHash);
      if (!row)
        throw new Violation("a link works from the moment it is mailed", `${person} was mailed one that is nowhere`);
      this.links.push({
        tokenHash,
        person,
        item: row.email_id,
        seat: row.seat ?? person,
        isWithdrawn: false,
        saw: null,
      });
    }
  }
}

function settingsOf(plan: Mailbox, { mode, quorum, approvers, keysDecide, expiresAfter, escalateAfter }: Beginning) {
  const addresses = approvers.map(addressOf);
  return {
    oversight_mode: mode,
    quorum,
    approvers: addresses,
    approver_email: addresses[0] ?? null,
    approvers_pending: addresses.filter((each) => each === addressOf("Cy")),
    oversight_keys_may_decide: keysDecide,
    expires_after: expiresAfter === null ? null : expiresAfter * 3600,
    escalate_after: escalateAfter === null ? null : escalateAfter * 3600,
    delegations: plan.delegations,
  } satisfies Partial<Mailbox>;
}

/** @throws Violation unless both are the same. */
export function expectSame(rule: string, is: unknown, should: unknown): void {
  const [a, b] = [JSON.stringify(is), JSON.stringify(should)];
  if (a !== b) throw new Violation(rule, `it is ${a}, and should be ${b}`);
}

/** The code of a refusal, or `ok`. */
export function answerOf(outcome: Outcome<unknown>): string {
  return outcome.ok ? "ok" : outcome.refusal.code;
}
