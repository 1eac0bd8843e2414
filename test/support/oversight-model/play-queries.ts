import { MAX_OPEN_REQUESTS } from "../../../durable-objects/mailbox/permits.ts";
import type { Outcome } from "../../../src/errors.ts";
import { whatSettingsLoosen } from "../../../src/oversight/settings-loosening.ts";
import type { InboundEvent } from "../../../src/oversight/transitions.ts";
import { EVERYTHING } from "../mailbox-harness.ts";
import { effectSpec, inboundSpec } from "../oversight-table.ts";
import { AGENTS, type Agent, type Watcher } from "./cast.ts";
import { type Asked, type Item, isHidden, isOpen } from "./items.ts";
import { APPROVAL_LIFE } from "./reference.ts";
import { isStricter } from "./rules.ts";
import type { Query, Step } from "./steps.ts";
import { answerOf, expectSame, type Story, Violation } from "./story.ts";

/** What agents ask: reads and annotations, templates, more rope. */

type Of<Kind extends Step["kind"]> = Extract<Step, { kind: Kind }>;

const MARK_EVENTS: Readonly<Record<"read" | "archived" | "deleted", InboundEvent>> = {
  read: "read",
  archived: "archive",
  deleted: "delete",
};

function isAgent(by: Agent | Watcher): by is Agent {
  return AGENTS.some((agent) => agent === by);
}

/** The same question, in the words that an approval is for. */
function questionOf(query: Query, item: Item | null): { operation: string; input: Record<string, unknown> } {
  if (query.ask === "list") return { operation: "check_inbox", input: {} };
  if (query.ask === "read") return { operation: "read_email", input: { email_id: item?.id } };
  return { operation: "mark_email", input: { email_id: item?.id, status: query.as } };
}

/** What the answer should be before anything is looked up: `free`, `used` up an approval, or the code of the refusal. */
type Leave = "free" | "used" | "held" | "again" | string;

interface Question {
  by: Agent | Watcher;
  query: Query;
  item: Item | null;
  text: string;
  /** The approval that is brought, and the request it is of. */
  ref: string | null;
}

function leaveFor(story: Story, { by, query, item, text, ref }: Question): Leave {
  const { settings } = story.reference;
  const says = effectSpec(settings.oversight_mode, query.ask === "mark" ? "annotate" : "read");
  if (says === "allow") return "free";
  if (says === "mark_and_tag_only") return query.ask === "mark" && query.as === "deleted" ? "denied_by_mode" : "free";
  if (!isAgent(by) && settings.oversight_keys_may_decide) return "free";
  if (query.ask === "read" && item?.kind === "incoming" && item.isReleased) return "free";
  const own = story.reference.asked().filter((each) => each.author === by);
  if (ref !== null) return isGood(story, own, text, ref) ? "used" : "invalid_approval_ref";
  if (own.some((each) => each.status === "pending" && each.question === text)) return "again";
  const queries = own.filter(
    ({ what, status }) => ["read", "annotate"].includes(what) && ["pending", "approved"].includes(status),
  );
  return queries.length >= MAX_OPEN_REQUESTS ? "rate_limited" : "held";
}

function isGood({ world }: Story, own: readonly Asked[], text: string, ref: string): boolean {
  const request = own.find(({ approvalRef, status }) => approvalRef === ref && status === "approved");
  return request?.question === text && (request.approvedAt ?? 0) + APPROVAL_LIFE > world.now;
}

/** What is answered to somebody who may ask: `ok`, or a code. Changes what the answer changes. */
function answered({ query, item }: Question): string {
  if (query.ask !== "mark") return "ok";
  const to = item?.kind === "incoming" ? inboundSpec(item.status, MARK_EVENTS[query.as], false) : null;
  if (to === null || item?.kind !== "incoming") return "wrong_state";
  item.status = to;
  return "ok";
}

async function put(story: Story, { by, query, item, ref }: Question): Promise<Outcome<unknown>> {
  const { object } = story.world;
  const { operation, input } = questionOf(query, item);
  const caller = { ...story.key(by), asked: { operation, input, approval_ref: ref } };
  const id = item?.id ?? "";
  if (query.ask === "read") return object.read(caller, id, { mark_read: false, include_html: false });
  if (query.ask === "mark") return object.mark(caller, id, { status: query.as });
  const listed = await object.list(caller, { ...EVERYTHING, limit: 100 });
  if (listed.ok && isAgent(by))
    assertNothingHidden(
      story,
      listed.value.emails.map(({ id }) => id),
    );
  return listed;
}

function assertNothingHidden({ reference }: Story, ids: string[]): void {
  const hidden = reference.items.find((item) => isHidden(item) && ids.includes(item.id));
  if (hidden)
    throw new Violation("what a human has not released does not exist for an agent", `${hidden.name} was listed`);
}

/** What is asked, of which item, with which approval: a question that was approved is asked again, or a new one. */
function questionFor(story: Story, step: Of<"query">): Question | null {
  const approved = story.reference.asked().findLast((each) => each.query !== null && each.approvalRef !== null);
  const again = step.approval === "again" ? approved : undefined;
  const query = again?.query?.query ?? step.query;
  const item = again?.query ? (story.reference.find(again.query.about ?? "") ?? null) : pickFor(story, query);
  if (query.ask !== "list" && (item === null || item.kind === "asked")) return null;
  const { operation, input } = questionOf(query, item);
  const ref = step.approval === "none" ? null : (approved?.approvalRef ?? null);
  return { by: again?.author ?? step.by, query, item, text: JSON.stringify([operation, input]), ref };
}

function pickFor(story: Story, query: Query): Item | null {
  return query.ask === "list" ? null : story.pick(query.item);
}

export async function ask(story: Story, step: Of<"query">): Promise<string | null> {
  const question = questionFor(story, step);
  if (question === null) return null;
  const { by, query, item, ref } = question;
  const should = whatShouldBe(story, question);
  const outcome = await put(story, question);
  const answer = answerOf(outcome);
  expectSame("a query is answered, held or refused as the mode says", answer, should === "again" ? "held" : should);
  if (should === "held" && !outcome.ok) heldFromNowOn(story, question, String(outcome.refusal.detail?.pending_id));
  const words = { list: "lists the mailbox", read: `reads ${item?.name}`, mark: `marks ${item?.name}` }[query.ask];
  const waits = should === "held" ? ` (${story.reference.items.at(-1)?.name})` : "";
  return `${by} ${words}${ref === null ? "" : " with an approval"}${waits} → ${answer}`;
}

function whatShouldBe(story: Story, question: Question): string {
  const { by, query, item, ref } = question;
  if (item && isHidden(item) && isAgent(by)) return "not_found";
  if (query.ask === "mark" && item?.kind === "outgoing") return "wrong_state";
  const leave = leaveFor(story, question);
  if (leave === "used") useUp(story, ref as string);
  return leave === "free" || leave === "used" ? answered(question) : leave;
}

function useUp({ reference, usedApprovals }: Story, ref: string): void {
  if (usedApprovals.has(ref)) throw new Violation("an approval of a query is used at most once", ref);
  usedApprovals.add(ref);
  const request = reference.asked().find(({ approvalRef }) => approvalRef === ref);
  if (request) request.status = "consumed";
}

function heldFromNowOn(story: Story, { by, query, item, text }: Question, id: string): void {
  if (story.reference.find(id)) throw new Violation("a question that waits is another item than any before", id);
  const what = query.ask === "mark" ? "annotate" : "read";
  const again = { query, about: item?.id ?? null };
  story.reference.ask({ ...newRequest(id, by, text), what, query: again, name: story.name("query") });
}

function newRequest(id: string, author: Agent | Watcher, question: string): Asked {
  return {
    kind: "asked",
    id,
    name: "",
    what: "read",
    status: "pending",
    author,
    question,
    query: null,
    needed: 0,
    expiresAt: null,
    voices: [],
    wasHeld: false,
    approvedAt: null,
    approvalRef: null,
    template: null,
    upgrade: null,
  };
}

export async function proposeTemplate(story: Story, { by, of }: Of<"propose template">): Promise<string | null> {
  const { world, reference } = story;
  const old = of === null ? null : reference.templates[of];
  if (old === undefined) return null;
  const outcome = await world.object.proposeTemplate(story.key(by), {
    id: old?.id ?? null,
    name: "greeting",
    subject: "About",
    markdown: "hello",
    variables: [],
    allowed_domains: null,
  });
  const should = old?.isDeleted
    ? "not_found"
    : reference.settings.oversight_mode === "read_only"
      ? "denied_by_mode"
      : "ok";
  expectSame("a template is proposed or refused", answerOf(outcome), should);
  if (!outcome.ok) return `${by} proposes a template → ${answerOf(outcome)}`;
  const { id, version, pending_id } = outcome.value;
  for (const { pendingId } of old?.versions ?? []) {
    const earlier = reference.find(pendingId);
    if (earlier?.kind === "asked" && isOpen(earlier)) earlier.status = "cancelled";
  }
  const template = old ?? { id, versions: [], isDeleted: false };
  if (!old) reference.templates.push(template);
  template.versions.push({ version, pendingId: pending_id ?? "" });
  const name = story.name("template");
  reference.ask({ ...newRequest(pending_id ?? "", by, id), what: "template", name, template: { id, version } });
  return `${by} proposes version ${version} of a template (${name}) → pending`;
}

export async function deleteTemplate(story: Story, { by, which }: Of<"delete template">): Promise<string | null> {
  const { world, reference } = story;
  const template = reference.templates[which];
  if (!template) return null;
  const answer = answerOf(await world.object.deleteTemplate(story.key(by), template.id));
  const says = effectSpec(reference.settings.oversight_mode, "annotate");
  const refusals: Record<string, string> = { hold: "read_needs_approval", mark_and_tag_only: "denied_by_mode" };
  expectSame("a template is deleted or not", answer, template.isDeleted ? "not_found" : (refusals[says] ?? "ok"));
  if (answer !== "ok") return `${by} deletes a template → ${answer}`;
  template.isDeleted = true;
  const last = reference.find(template.versions.at(-1)?.pendingId ?? "");
  if (last?.kind === "asked" && isOpen(last)) last.status = "cancelled";
  reference.tighten();
  return `${by} deletes the template of ${last?.name} → ok`;
}

export async function askForMoreRope(story: Story, { by, to }: Of<"ask for more rope">): Promise<string> {
  const { world, reference } = story;
  const outcome = await world.object.requestUpgrade(story.key(by), { change: { oversight_mode: to }, reason: null });
  const isLooser = isStricter(reference.settings.oversight_mode, to);
  const said = `${by} asks for ${to}`;
  expectSame("only more rope is asked for", ["ok", "rate_limited"].includes(answerOf(outcome)), isLooser);
  if (!outcome.ok) return `${said} → ${answerOf(outcome)}`;
  const { pending_id, change } = outcome.value;
  if (reference.find(pending_id)) return `${said}, again → pending`;
  const name = story.name("upgrade");
  const request = newRequest(pending_id, by, change);
  reference.ask({ ...request, what: "upgrade", name, upgrade: { to, words: change } });
  const asked = reference.find(pending_id);
  if (asked) asked.expiresAt = world.now + 24 * 3600_000;
  return `${said} (${name}) → pending`;
}

export async function takeMoreRope(
  story: Story,
  { by, item: which, code }: Of<"take more rope">,
): Promise<string | null> {
  const { world, reference } = story;
  const item = story.pick(which, "asked");
  if (item?.kind !== "asked" || item.upgrade === null) return null;
  const { to, words } = item.upgrade;
  const wordsNow = whatSettingsLoosen({ oversight_mode: to }, reference.settings);
  const brought = code === "the operator's" ? words : "something else";
  const answer = answerOf(await world.object.applyUpgrade(story.key(by), item.id, brought));
  const should =
    item.author !== by
      ? "not_found"
      : // What gives nothing away by now may be done as well.
        item.status !== "pending" || brought !== words || (wordsNow !== null && wordsNow !== words)
        ? "wrong_state"
        : "ok";
  expectSame("more rope is given in exactly the words that were allowed", answer, should);
  if (answer === "ok") {
    reference.change({ oversight_mode: to });
    item.status = "consumed";
  }
  return `${by} brings ${code === "none" ? "no code" : `${code} code`} for ${item.name} → ${answer}`;
}
