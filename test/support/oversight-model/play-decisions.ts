import type { DecisionItem, LinkView, PersonDecision } from "../../../durable-objects/mailbox-rpc.ts";
import { unwrap } from "../../../src/errors.ts";
import type { PendingItem } from "../../../src/operations/shapes/pending.ts";
import { addressOf, KIN, nameOf, type PersonName, type Watcher } from "./cast.ts";
import { contentOf, contentOfItem, type Item, isOpen } from "./items.ts";
import type { VoiceResult } from "./reference.ts";
import type { ChangeByApprover, Step } from "./steps.ts";
import { expectSame, type MailedLink, type Seen, type Story, Violation } from "./story.ts";

/** What watchers and people do with what waits. */

type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

const NOBODY_SAW: Seen = { content: "nothing of it", hash: "0".repeat(64), isOutdated: false };
/** The seat of all keys. */
const KEYS = "oversight keys";

/** What a page shows, in words. */
function onPage(item: DecisionItem): string {
  if (item.kind !== "send") return "as it is";
  const { subject, text, to } = item.content;
  return contentOf({ subject, text: text ?? "", to: to.map(({ address }) => address) });
}

function inAnswer({ kind, subject, text, to }: PendingItem): string {
  return kind === "send" ? contentOf({ subject, text, to }) : "as it is";
}

function seenOnPage(item: DecisionItem): Seen {
  return { content: onPage(item), hash: item.content_hash, isOutdated: false };
}

/** @returns what a watcher is served of an item. */
async function serve(story: Story, by: Watcher, item: Item): Promise<PendingItem | undefined> {
  const [shown] = unwrap(await story.world.object.pendingItems(story.key(by), [item.id]));
  if (shown && isOpen(item)) {
    expectSame("a watcher sees what is there", inAnswer(shown), contentOfItem(item));
    story.remember(by, item, { content: inAnswer(shown), hash: shown.content_hash, isOutdated: false });
  }
  return shown;
}

export async function look(story: Story, step: Of<"look">): Promise<string | null> {
  const item = story.pick(step.item);
  if (!item) return null;
  const shown = await serve(story, step.by, item);
  return `${step.by} reads ${item.name} → ${shown ? shown.status : "nothing"}`;
}

/** Why an oversight key cannot decide, in the order in which it is told; null if it can. */
function whyNotKey(story: Story, item: Item, step: Of<"key decides">, named: Seen | null): string | null {
  const { settings } = story.reference;
  const author = item.kind === "incoming" ? null : item.author;
  if (!settings.oversight_keys_may_decide) return "oversight_keys_disabled";
  if (item.kind === "asked" && item.what === "upgrade" && step.decision === "approve") return "not_a_decider";
  if (author === step.by || (author !== null && KIN[step.by] === author)) return "self_decision";
  if (!isOpen(item)) return "late";
  if (named === null) return "content_not_seen";
  if (step.names === "nothing" && named.isOutdated) return "content_changed";
  return named.content === contentOfItem(item) ? null : "content_changed";
}

export async function keyDecides(story: Story, step: Of<"key decides">): Promise<string | null> {
  const { world } = story;
  const item = story.pick(step.item);
  if (!item) return null;
  if (step.looks) await serve(story, step.by, item);
  const saw = story.recall(step.by, item);
  const named = step.names === "something else" ? NOBODY_SAW : step.names === "what it saw" ? (saw ?? NOBODY_SAW) : saw;
  const refusal = whyNotKey(story, item, step, named);
  const should = refusal ?? decided(story, item, step.decision, { who: KEYS, seat: KEYS, saw: named?.content ?? "" });
  const outcome = await world.object.decide(story.key(step.by), {
    email_id: item.id,
    decision: step.decision,
    reason: null,
    content_hash: step.names === "nothing" ? null : (named?.hash ?? null),
  });
  const answer = outcome.ok ? (outcome.value.status === "pending" ? "counted" : "final") : outcome.refusal.code;
  if (isOpen(item) || refusal === null) expectSame("a key's decision is taken or refused", answer, should);
  else expectSame("a decision that comes late is refused", outcome.ok, false);
  if (outcome.ok && item.kind === "asked") noteApproval(item, outcome.value.approval_ref);
  const naming = step.names === "nothing" ? "" : ` on ${step.names}`;
  return `${step.by} ${step.decision}s ${item.name}${naming} → ${outcome.ok ? item.status : answer}`;
}

/** What should become of a decision by somebody who may decide, on what is there now. */
function decided(
  { reference }: Story,
  item: Item,
  decision: "approve" | "reject",
  voice: { who: string; seat: string; saw: string },
): VoiceResult {
  return decision === "approve" ? reference.approve(item, voice) : reference.reject(item);
}

function noteApproval(item: Item, ref: string | null): void {
  if (item.kind === "asked" && item.status === "approved") item.approvalRef = ref;
}

/** What a person says: their decision, with what they make of the message first. */
function spoken(item: Item, decision: "approve" | "reject", edit: ChangeByApprover | null): PersonDecision {
  if (edit === null || decision === "reject" || item.kind !== "outgoing") return { decision, note: null, edit: null };
  const body = edit.words && { text: edit.words, html: null, markdown: null };
  return { decision, note: null, edit: { subject: item.subject, body, without: edit.without ? [edit.without] : [] } };
}

/** What should become of a person's decision on what is there now: `final`, `counted`, or the code of the refusal. */
function decidedByPerson(
  story: Story,
  item: Item,
  { decision, edit }: PersonDecision,
  voice: { who: string; seat: string; saw: string },
): string {
  if (item.kind === "asked" && item.what === "upgrade" && decision === "approve") return "not_a_decider";
  if (voice.saw !== contentOfItem(item)) return "content_changed";
  if (edit === null || item.kind !== "outgoing") return decided(story, item, decision, voice);
  const to = item.to.filter((each) => !edit.without.includes(each));
  if (to.length === 0) return "invalid_input";
  const refusal = story.reference.editByApprover(item, {
    subject: edit.subject,
    text: edit.body?.text ?? item.text,
    to,
  });
  if (refusal !== null) return refusal;
  return decided(story, item, decision, { ...voice, saw: contentOfItem(item) });
}

/** What became of it, in the same words. */
function answerIn(view: LinkView): string {
  if (view.state === "refused") return view.code;
  if (view.state !== "decided") return view.state;
  if (!view.outcome.just_now) return "late";
  return view.outcome.decision === "approved_partly" ? "counted" : "final";
}

function inWords(item: Item, { decision, edit }: PersonDecision): string {
  const without = edit?.without.length ? ` without ${edit.without.join(", ")}` : "";
  const says = edit?.body ? `, made to say “${edit.body.text}”` : "";
  return `${decision}s ${item.name}${says}${without}`;
}

export async function personDecides(story: Story, step: Of<"person decides">): Promise<string | null> {
  const { world, reference } = story;
  const item = story.pick(step.item);
  if (!item) return null;
  const person = { address: addressOf(step.by), via: "console" as const };
  const pendingId = item.id.replace("em_", "pend_");
  if (world.tenant.isAway) {
    const failed = await world.object.openItem(person, pendingId, "show").catch((error: unknown) => String(error));
    expectSame("without the tenant nobody is known to have a seat", failed, "Error: the tenant does not answer");
    return `${step.by} looks at ${item.name} → unavailable`;
  }
  if (step.looks) {
    const view = await world.object.openItem(person, pendingId, "show");
    if (view.state === "open") story.remember(step.by, item, seenOnPage(view.item));
    expectSame("a session shows what waits", view.state, sessionState(story, item, step.by));
    if (view.state === "open") expectSame("a session shows what is there", onPage(view.item), contentOfItem(item));
  }
  const saw = story.recall(step.by, item) ?? NOBODY_SAW;
  const decision = spoken(item, step.decision, step.edit);
  const state = sessionState(story, item, step.by);
  const seat = reference.seatOf(step.by) ?? "";
  const voice = { who: person.address, seat, saw: saw.content };
  const isOutdated = state === "open" && saw.isOutdated;
  const should = isOutdated
    ? "content_changed"
    : state === "open"
      ? decidedByPerson(story, item, decision, voice)
      : state;
  const view = await world.object.decideInSession(person, pendingId, saw.hash, decision);
  const answer = answerIn(view);
  expectSame("a person's decision is taken or refused", answer, should === "decided" ? "late" : should);
  if (view.state === "decided") noteApproval(item, view.outcome.approval_ref);
  return `${step.by} ${inWords(item, decision)} in a session → ${taken(answer) ? item.status : answer}`;
}

function taken(answer: string): boolean {
  return answer === "final" || answer === "counted";
}

function sessionState({ reference }: Story, item: Item, by: PersonName): "unknown" | "open" | "decided" {
  if (!item.wasHeld || reference.seatOf(by) === null) return "unknown";
  return isOpen(item) ? "open" : "decided";
}

export async function linkDecides(story: Story, step: Of<"link decides">): Promise<string | null> {
  const { world } = story;
  const link = story.links[story.links.length - 1 - (step.link % Math.max(1, story.links.length))];
  const item = link && story.reference.find(link.item);
  if (!link || !item) return null;
  if (step.looks || link.saw === null) {
    const view = await world.object.openLink(link.tokenHash);
    if (view.state === "open") {
      expectSame("a link shows what is there", onPage(view.item), contentOfItem(item));
      expectSame("a link is its person's", view.approver, link.person);
      link.saw = seenOnPage(view.item);
    }
  }
  const decision = spoken(item, step.decision, step.edit);
  const wasOpen = isOpen(item);
  const view = await world.object.decideByLink(link.tokenHash, decision);
  const answer = answerIn(view);
  if (taken(answer)) followLink(story, link, item, { decision, wasOpen, answer });
  if (view.state === "decided") noteApproval(item, view.outcome.approval_ref);
  return `${nameOf(link.person)} ${inWords(item, decision)} by link → ${taken(answer) ? item.status : answer}`;
}

/** A link was taken for a decision: then it must have been one that could decide, for exactly what its person saw. */
function followLink(
  story: Story,
  link: MailedLink,
  item: Item,
  { decision, wasOpen, answer }: { decision: PersonDecision; wasOpen: boolean; answer: string },
): void {
  const broken = (what: string) => new Violation("a link decides once, for its item, its person and its content", what);
  if (!wasOpen) throw broken(`${item.name} did not wait`);
  if (link.isWithdrawn) throw broken("it was withdrawn");
  const mayDecide = story.reference.seatOf(nameOf(link.person)) !== null || link.person === addressOf("the operator");
  if (!mayDecide) throw broken(`${link.person} has no seat any more`);
  const voice = { who: link.person, seat: link.seat, saw: link.saw?.content ?? NOBODY_SAW.content };
  expectSame("a decision by link is what the rules make of it", answer, decidedByPerson(story, item, decision, voice));
  // Whoever changed it knows what it says now.
  if (link.saw) link.saw = { ...link.saw, content: contentOfItem(item) };
}

export async function linkComesBack(story: Story, step: Of<"link comes back">): Promise<string | null> {
  const link = story.links[story.links.length - 1 - (step.link % Math.max(1, story.links.length))];
  if (!link) return null;
  const live = await story.world.object.revokeLinks([link.tokenHash], "it arrived in inbound mail");
  if (live > 0) link.isWithdrawn = true;
  return `${nameOf(link.person)}'s link comes back in mail → ${live} withdrawn`;
}
