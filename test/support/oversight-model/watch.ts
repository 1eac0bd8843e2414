import type { MessageRecord, RecordedDecision } from "../../../durable-objects/mailbox/message-record.ts";
import type { RequestRecord } from "../../../durable-objects/mailbox/requests.ts";
import { type Entry, hashEntryText, NO_PREVIOUS } from "../../../src/audit/entry.ts";
import { contentHash } from "../../../src/oversight/content-hash.ts";
import { INBOUND, OUTBOUND, REQUESTS } from "../oversight-table.ts";
import type { Table } from "../written-table.ts";
import { AGENTS, nameOf } from "./cast.ts";
import { type Departure, farEnd } from "./far-end.ts";
import { contentOf, contentOfItem, type Item, isOpen, type Outgoing } from "./items.ts";
import type { Addressed } from "./play-time.ts";
import { expectSame, type Story, Violation } from "./story.ts";

/** Everything that must hold after each step, whatever happened in it. */

interface StoredItem {
  id: string;
  status: string;
  /** JSON. */
  record: string;
}

/** An entry of the chain, as far as it speaks of a status. */
interface Told {
  action: string;
  status: string | null;
}

/** Which status an entry tells of that does not name one. */
const IMPLIED: Readonly<Record<string, string>> = {
  "delivery.attempted": "sending",
  "delivery.recovered": "queued",
  "request.held": "pending",
  "template.proposed": "pending",
  "upgrade.requested": "pending",
  "request.consumed": "consumed",
  "request.cancelled": "cancelled",
  "upgrade.applied": "consumed",
};

/** Entries that change a mailbox's settings, policy or allowlist. */
const SETTINGS_ACTIONS: readonly string[] = [
  "mailbox.updated",
  "policy.changed",
  "allowlist.added",
  "allowlist.removed",
];

/** Statuses that are never left. */
const ENDS: readonly string[] = ["rejected", "cancelled", "blocked", "expired", "send_failed", "deleted", "consumed"];

/** For each table, the steps from one status to another that some event takes. */
const STEPS: Readonly<Record<Item["kind"], ReadonlySet<string>>> = {
  outgoing: stepsOf(OUTBOUND),
  incoming: stepsOf(INBOUND),
  // An upgrade is granted and used at once.
  asked: new Set([...stepsOf(REQUESTS), "pending consumed"]),
};

function stepsOf(table: Table): Set<string> {
  const steps = table.combinations.map((combination) => `${combination[0]} ${table.at(combination)}`);
  return new Set(steps.filter((step) => !step.endsWith(" stays")));
}

/** What the watch saw last, so that each step costs no more than what it changed. */
export class Watch {
  private readonly story: Story;
  private readonly stored = new Map<string, StoredItem>();
  private readonly records = new Map<string, { text: string; record: MessageRecord | RequestRecord }>();
  private head: { seq: number; hash: string; at: string } | null = null;
  private settings = "";

  constructor(story: Story) {
    this.story = story;
    this.readChain();
    this.settings = this.settingsNow();
  }

  /**
   * @param addressed whom attempts could address, as it was before the step.
   * @returns which steps of the tables were taken, in words. @throws Violation
   */
  check(addressed: Addressed): string[] {
    const taken: string[] = [];
    this.story.collectMail();
    for (const departure of farEnd.departed.splice(0)) this.checkDeparture(departure, addressed);
    const told = this.readChain();
    const items = this.readItems();
    this.checkSettings(told);
    const waiting: string[] = [];
    for (const item of this.story.reference.items) {
      const now = items.get(item.id);
      if (!now) throw new Violation("an acknowledged message is never lost", `${item.name} is not there`);
      if (now.status !== item.status)
        throw new Violation(
          "each step goes where the table says",
          `${item.name} is ${now.status}, and should be ${item.status}`,
        );
      taken.push(...this.checkTold(item, now, told.get(item.id) ?? []));
      if (isOpen(item)) waiting.push(item.id);
      this.checkItem(item, this.recordOf(now));
    }
    expectSame("nothing is stored that nobody asked for", items.size, this.story.reference.items.length);
    this.checkWaiting(waiting);
    this.checkTimers();
    for (const [id, item] of items) this.stored.set(id, item);
    return taken;
  }

  /** Reads what the chain has grown by, and verifies it. @returns what it tells of each resource. */
  private readChain(): Map<string, Told[]> {
    const told = new Map<string, Told[]>();
    const rows = this.story.world.sql
      .exec<{ seq: number; hash: string; entry: string }>(
        "SELECT seq, hash, entry FROM entries WHERE seq >= ? ORDER BY seq",
        (this.head?.seq ?? -1) + 1,
      )
      .toArray();
    for (const { seq, hash, entry: text } of rows) {
      const entry = JSON.parse(text) as Entry;
      const isNext = entry.seq === (this.head?.seq ?? -1) + 1 && entry.prev === (this.head?.hash ?? NO_PREVIOUS);
      if (!isNext || seq !== entry.seq || hash !== hashEntryText(text) || entry.at < (this.head?.at ?? "")) {
        throw new Violation("the chain verifies", `entry ${seq} (${entry.action}) does not follow`);
      }
      this.head = { seq, hash, at: entry.at };
      const status = IMPLIED[entry.action] ?? (typeof entry.detail.status === "string" ? entry.detail.status : null);
      const id = SETTINGS_ACTIONS.includes(entry.action) ? "settings" : entry.resource.id;
      told.set(id, [...(told.get(id) ?? []), { action: entry.action, status }]);
    }
    return told;
  }

  private readItems(): Map<string, StoredItem> {
    const { sql } = this.story.world;
    const rows = sql
      .exec<StoredItem & Record<string, SqlStorageValue>>(
        "SELECT id, status, record FROM messages UNION ALL SELECT id, status, record FROM requests",
      )
      .toArray();
    return new Map(rows.map((row) => [row.id, row]));
  }

  private recordOf({ id, record: text }: StoredItem): MessageRecord | RequestRecord {
    const known = this.records.get(id);
    if (known?.text === text) return known.record;
    const record = JSON.parse(text) as MessageRecord | RequestRecord;
    this.records.set(id, { text, record });
    return record;
  }

  /** A status and the entry that tells of it come together, and each step is one that the table has. @returns the steps. */
  private checkTold({ id, name, kind }: Item, now: StoredItem, told: readonly Told[]): string[] {
    const taken: string[] = [];
    let at = this.stored.get(id)?.status ?? "-";
    for (const { action, status } of told) {
      if (status === null || status === at) continue;
      if (ENDS.includes(at))
        throw new Violation("what has ended stays so", `${name} was ${at}, then ${action} made it ${status}`);
      if (!STEPS[kind].has(`${at} ${status}`)) {
        throw new Violation(
          "no state without a step of the table",
          `${name} went from ${at} to ${status} by ${action}`,
        );
      }
      taken.push(`${kind}: ${at} → ${status}`);
      at = status;
    }
    if (at !== now.status) {
      throw new Violation(
        "no state without its entry, no entry without its state",
        `${name} is ${now.status}, and the chain says ${at}`,
      );
    }
    const decisions = told.filter(({ action }) => action === "decision.approved" || action === "decision.rejected");
    if (decisions.length > 1) throw new Violation("one decision", `${name} was decided ${decisions.length} times`);
    return taken;
  }

  private settingsNow(): string {
    const { sql } = this.story.world;
    const rows = [
      ...sql.exec<{ text: string }>("SELECT mailbox AS text FROM settings").toArray(),
      ...sql.exec<{ text: string }>("SELECT policy AS text FROM policy").toArray(),
      ...sql.exec<{ text: string }>("SELECT recipient AS text FROM allowlist ORDER BY id").toArray(),
    ];
    return rows.map(({ text }) => text).join("\n");
  }

  private checkSettings(told: ReadonlyMap<string, Told[]>): void {
    const now = this.settingsNow();
    if ((now !== this.settings) !== told.has("settings")) {
      throw new Violation("no state without its entry, no entry without its state", "the settings");
    }
    this.settings = now;
    const { settings, allowlist } = this.story.reference;
    const is = this.story.world.object.settings();
    for (const key of [
      "oversight_mode",
      "quorum",
      "approvers",
      "delegations",
      "paused",
      "oversight_keys_may_decide",
    ] as const) {
      expectSame(`the setting ${key} is what it was set to`, is[key], settings[key]);
    }
    expectSame("the allowlist is what was allowed", this.story.world.object.allowedRecipients().length, allowlist.size);
    const known = this.story.world.sql.exec<{ address: string }>(
      "SELECT address FROM known_recipients ORDER BY address",
    );
    expectSame(
      "a recipient is known by what a human approved, and by nothing else",
      known.toArray().map(({ address }) => address),
      [...this.story.reference.known].sort(),
    );
  }

  private checkItem(item: Item, record: MessageRecord | RequestRecord): void {
    if (isOpen(item)) this.checkVoices(item, record.hold?.approvals ?? []);
    if (item.kind !== "outgoing") return;
    const { reference } = this.story;
    const { status } = item;
    if ((status === "queued" || status === "scheduled") && !reference.isCleared(item)) {
      const isDecidedLater = status === "scheduled" && item.gate === "schedule_first" && !item.isLetGo;
      if (!isDecidedLater || reference.verdict(item) !== "hold") {
        throw new Violation(
          "nothing is on its way that the rules do not allow and nobody approved",
          `${item.name} is ${status}`,
        );
      }
    }
  }

  /** Only voices that were given count, and only for what there is now. */
  private checkVoices(item: Item, approvals: readonly RecordedDecision[]): void {
    const recorded = approvals.map(({ by, kind, seat }) => [kind === "key" ? "oversight keys" : by, seat]);
    expectSame(
      `the approvals of ${item.name} are those that were given`,
      recorded,
      item.voices.map(({ who, seat }) => [who, seat]),
    );
    for (const { who, saw } of item.voices) {
      if (saw !== contentOfItem(item))
        throw new Violation("approvals of old content never count", `${who} saw another ${item.name}`);
    }
  }

  private checkWaiting(waiting: string[]): void {
    const { world, reference } = this.story;
    expectSame("the waiting list is what waits", world.object.waiting.all(), [...waiting].sort());
    for (const item of reference.items) {
      const open = world.index.get(item.id.replace("em_", "pend_"))?.open ?? false;
      if (open !== isOpen(item) && !world.object.isScheduled("index", item.id)) {
        throw new Violation(
          "the pending index has what waits",
          `${item.name} is ${item.status}, and is ${open ? "open" : "not open"} there`,
        );
      }
    }
  }

  /** Whatever must happen by itself has a timer, and the object is woken for it. */
  private checkTimers(): void {
    const { world, reference } = this.story;
    const rows = world.sql
      .exec<{ kind: string; ref: string; due: number }>("SELECT kind, ref, due FROM timers")
      .toArray();
    const timers = new Map(rows.map(({ kind, ref, due }) => [`${kind} ${ref}`, due]));
    for (const item of reference.items) {
      const outgoing = item.kind === "outgoing" ? item : null;
      const needs = (kind: string, due: number | null, isNeeded: boolean) => {
        const at = timers.get(`${kind} ${item.id}`);
        const isRight = isNeeded ? at !== undefined && (due === null || at === due) : at === undefined;
        if (!isRight)
          throw new Violation(
            "a timer exists for whatever must happen",
            `${item.name} is ${item.status}, and its timer to ${kind} is at ${at}, not ${isNeeded ? due : "unset"}`,
          );
      };
      needs("deliver", null, outgoing?.status === "queued" || outgoing?.status === "sending");
      // Nobody works on it any more: the object was lost meanwhile.
      const isLost = outgoing?.status === "sending" && farEnd.owed.length === 0;
      if (isLost && (timers.get(`deliver ${item.id}`) ?? 0) > world.now) {
        throw new Violation("what was under way is taken up at once", `${item.name} waits for its lease to end`);
      }
      needs("due", outgoing?.sendAt ?? null, outgoing?.status === "scheduled");
      if (isOpen(item)) needs("expire", item.expiresAt, item.expiresAt !== null);
    }
    const next = Math.min(...rows.map(({ due }) => due));
    if (world.wakeAt === null || world.wakeAt > Math.max(next, world.now) + 70_000) {
      throw new Violation("the object is woken for what is due", `it is woken at ${world.wakeAt}, and ${next} is due`);
    }
  }

  /** What is handed to the transport: allowed now, or held and approved by enough people who saw exactly this. */
  private checkDeparture({ emailId, content, recipients }: Departure, addressed: Addressed): void {
    const { reference } = this.story;
    const message = reference.find(emailId);
    if (message?.kind !== "outgoing") throw new Violation("nothing leaves that was not submitted", emailId);
    const left = { subject: content.subject, text: content.text ?? "", to: content.to.map(({ address }) => address) };
    expectSame(`what leaves of ${message.name} is what was written or approved`, contentOf(left), contentOf(message));
    expectSame(`an attempt of ${message.name} addresses whoever has no answer yet`, recipients, addressed.get(emailId));
    const paused = reference.isPaused(message);
    if (paused) throw new Violation("nothing leaves while paused", message.name);
    this.checkLeave(message);
    const record = this.story.world.object.messages.get(emailId).record;
    expectSame("the recorded hash is that of what leaves", record.outbound?.content_hash, contentHash(content));
  }

  private checkLeave(message: Outgoing): void {
    const { reference } = this.story;
    const verdict = reference.verdict(message);
    const broken = (what: string) =>
      new Violation(
        "what was held leaves only by the approval of enough others of exactly this",
        `${message.name}: ${what}`,
      );
    if (verdict === "allow") return;
    if (verdict !== "hold") throw broken(`the verdict is ${verdict}`);
    const { voices } = message;
    if (new Set(voices.map(({ who }) => who)).size < reference.settings.quorum) throw broken("too few people approved");
    if (new Set(voices.map(({ seat }) => seat)).size < reference.settings.quorum)
      throw broken("too few seats approved");
    if (voices.some(({ who }) => AGENTS.some((agent) => agent === who))) throw broken("an agent approved");
    for (const { who, saw } of voices) {
      if (saw !== contentOf(message))
        throw broken(`${who === "oversight keys" ? who : nameOf(who)} saw something else`);
    }
  }
}
