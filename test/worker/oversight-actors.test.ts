import { describe, expect, test } from "vitest";
import type { LinkView, PersonDecision } from "../../durable-objects/mailbox-rpc.ts";
import { type Outcome, unwrap } from "../../src/errors.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { decidedBy, somebody } from "../support/approvals.ts";
import { caller, codeOf, decide, inObject, submission, type TestMailbox } from "../support/mailbox-harness.ts";
import { ACTORS, ACTS, type Act, type Actor, whoMaySpec } from "../support/oversight-table.ts";

/** Who may do what: the table's WHO_MAY, held against the real object. */

const OPERATOR = "operator@people.example";
const CLERK = "clerk";

/** One held message and everyone who could act on it. */
interface Scene {
  box: TestMailbox;
  author: Caller;
  id: string;
  approver: string;
}

async function scene(actor: Actor): Promise<Scene> {
  const approver = somebody("ana");
  const box = await decidedBy(actor === "the operator in their place" ? [] : [approver], {
    ...(actor === "the operator in their place" && { approver_email: null }),
    oversight_keys_may_decide: actor !== "an oversight key while keys are switched off",
  });
  const author = { ...box.agent, agent_id: CLERK };
  const { id } = unwrap(await box.stub.submit(author, submission(box, { agent_id: CLERK })));
  return { box, author, id, approver };
}

/** The keys of the table as callers; null for those who have none. */
function keyOf(actor: Actor, { box, author }: Scene): Caller | null {
  const { tenant_id } = box.mailbox;
  const keys: Partial<Record<Actor, Caller>> = {
    "the author's key": author,
    "another agent's key": caller(tenant_id, ["read", "send"], { agent_id: "scout" }),
    "the author's key with oversight": { ...author, scopes: ["read", "send", "oversight"] },
    "an admin key": box.admin,
    "an admin key with the operator's code": box.admin,
    "an oversight key": box.overseer,
    "an oversight key while keys are switched off": box.overseer,
    "an oversight key that the author's key made": caller(tenant_id, ["read", "oversight"], {
      created_by: author.key_id,
    }),
    "an oversight key of the author's agent": caller(tenant_id, ["read", "oversight"], { agent_id: CLERK }),
    "a key of another tenant": { ...box.stranger, scopes: ["read", "send", "admin", "oversight"] },
  };
  return keys[actor] ?? null;
}

function said(outcome: Outcome<unknown>): string {
  if (!outcome.ok) return codeOf(outcome);
  const { value } = outcome;
  return typeof value === "object" && value !== null && "needs_approval" in value ? "needs_approval" : "may";
}

const MODE_OF = { tighten: "read_only", loosen: "autonomous" } as const;

async function change(act: "tighten" | "loosen", actor: Actor, by: Caller, { stub }: TestMailbox) {
  const wish = { oversight_mode: MODE_OF[act] };
  const asked = await stub.update(by, wish, null);
  if (actor !== "an admin key with the operator's code" || !asked.ok || !("needs_approval" in asked.value))
    return asked;
  return stub.update(by, wish, asked.value.needs_approval.change);
}

/** What a key does, through every call that there is for it; null where there is none. */
async function byKey(act: Act, actor: Actor, by: Caller, { box, id }: Scene): Promise<string | null> {
  switch (act) {
    case "submit":
      return said(await box.stub.submit(by, submission(box)));
    case "edit":
      return said(await box.stub.edit(by, id, { subject: "Another" }));
    case "cancel":
      return said(await box.stub.cancel(by, id, null));
    case "approve":
    case "reject":
      return said(await decide(box, by, { email_id: id, decision: act, reason: null, content_hash: null }));
    case "tighten":
    case "loosen":
      return said(await change(act, actor, by, box));
    default:
      return null;
  }
}

const EDIT = { subject: "Corrected", body: { text: "Corrected", html: null, markdown: null }, without: [] };
const DECISIONS: Partial<Record<Act, PersonDecision>> = {
  approve: { decision: "approve", note: null, edit: null },
  reject: { decision: "reject", note: null, edit: null },
  "approve with edits": { decision: "approve", note: null, edit: EDIT },
};

async function hashOf({ box, id }: Scene): Promise<string> {
  return inObject(box, (object) => object.messages.get(id).record.outbound?.content_hash ?? "");
}

async function byLink(scene: Scene, decision: PersonDecision): Promise<LinkView> {
  const { box, id, approver } = scene;
  const content_hash = await hashOf(scene);
  const token_hash = "a".repeat(64);
  const link = { token_hash, email_id: id, approver, content_hash, seat: null, revoked: null, used: 0 };
  await inObject(box, (object) =>
    object.commit(() => object.links.add({ ...link, expires_at: object.now() + 60_000 })),
  );
  return box.stub.decideByLink(token_hash, decision);
}

/** What a person does, by the only two ways there are for one. */
async function byPerson(act: Act, actor: Actor, scene: Scene): Promise<string | null> {
  const decision = DECISIONS[act];
  if (!decision) return null;
  const address = actor.startsWith("the operator")
    ? OPERATOR
    : actor === "a person without a seat"
      ? somebody("zed")
      : scene.approver;
  const view =
    actor === "an approver by link"
      ? await byLink(scene, decision)
      : await scene.box.stub.decideInSession({ address, via: "console" }, scene.id, await hashOf(scene), decision);
  return view.state === "decided" ? "may" : view.state;
}

async function played(act: Act, actor: Actor): Promise<string> {
  const set = await scene(actor);
  const by = keyOf(actor, set);
  const answer = by
    ? await byKey(act, actor, by, set)
    : actor === "the system"
      ? null
      : await byPerson(act, actor, set);
  return answer ?? "no way";
}

/** What time does is the system's alone; the suites of timers and deliveries have it. */
const BY_TIME: readonly Act[] = ["expire", "due", "attempt"];

describe.each(ACTS.filter((act) => !BY_TIME.includes(act)))("%s", (act) => {
  test.each(ACTORS.map((actor) => [actor, whoMaySpec(act, actor)] as const))("by %s: %s", async (actor, expected) => {
    expect(await played(act, actor)).toBe(expected);
  });
});
