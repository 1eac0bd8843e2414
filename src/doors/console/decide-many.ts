import type { DecisionItem, LinkView, PersonDecision } from "../../../durable-objects/mailbox-rpc.ts";
import type { ErrorCode } from "../../errors.ts";
import type { BulkResult, ResultKind } from "../../pages/console/results.tsx";
import { titleOf, whyAlone } from "../../pages/console/row.ts";
import { winnerInWords } from "../../pages/outcome.tsx";
import { quorumInWords } from "../../pages/words.ts";
import { askMailbox } from "../../store/mailbox-client.ts";
import { recordUnknown } from "./answers.tsx";
import { isOwn, placeOf, voiceOf } from "./item.tsx";
import type { Door, SignedIn } from "./session.ts";

/** Decides about many items at once: each by itself, on exactly the content that its row showed, and with its own answer. */

/** What a row of the form says: an item, and the content that was shown of it. */
export interface Pick {
  id: string;
  content_hash: string;
}

/** A page has fewer rows. */
export const MOST_PICKS = 100;
const DECIDED_AT_ONCE = 5;

const PICK = /^(pend_[0-9A-Z]{26})\.([0-9a-f]{64})$/;

/** @returns what was picked, each item once; null if a value is not one of our form's, or there are too many. */
export function picksIn(values: readonly string[]): Pick[] | null {
  const picks = new Map<string, Pick>();
  for (const value of values) {
    const [, id, content_hash] = PICK.exec(value) ?? [];
    if (id === undefined || content_hash === undefined) return null;
    picks.set(id, { id, content_hash });
  }
  return picks.size > MOST_PICKS ? null : [...picks.values()];
}

/** @returns one result for each pick, in the order given. One item's trouble is that item's alone. */
export async function decideMany(
  c: Door,
  person: SignedIn,
  picks: readonly Pick[],
  decision: PersonDecision,
): Promise<BulkResult[]> {
  const results: BulkResult[] = [];
  for (let at = 0; at < picks.length; at += DECIDED_AT_ONCE) {
    const batch = picks.slice(at, at + DECIDED_AT_ONCE);
    results.push(...(await Promise.all(batch.map((pick) => decideOne(c, person, pick, decision)))));
  }
  return results;
}

async function decideOne(c: Door, person: SignedIn, pick: Pick, decision: PersonDecision): Promise<BulkResult> {
  try {
    return await tryOne(c, person, pick, decision);
  } catch (error) {
    console.error("console: one of many decisions failed", { id: pick.id, error: String(error) });
    return result(pick.id, null, "unavailable", "Whether it was decided, the queue shows in a minute.");
  }
}

async function tryOne(
  c: Door,
  person: SignedIn,
  { id, content_hash }: Pick,
  decision: PersonDecision,
): Promise<BulkResult> {
  const place = await placeOf(c, person, id);
  if (!place) return unknown(c, person, id);
  const voice = voiceOf(person);
  const view = await askMailbox(c.env, place.routing, (mailbox) => mailbox.openItem(voice, id, "decide"));
  if (view.state === "decided") return decided(id, null, person, view, decision);
  if (view.state !== "open") return unknown(c, person, id);
  const { item } = view;
  const refusal = whyNot(item, view.approved_at, content_hash, decision);
  if (refusal) {
    const { kind, what, code } = refusal;
    await askMailbox(c.env, place.routing, (mailbox) => mailbox.noteRefusedInSession(voice, id, code));
    return result(id, titleOf(item), kind, what);
  }
  const taken = await askMailbox(c.env, place.routing, (mailbox) =>
    mailbox.decideInSession(voice, id, content_hash, decision),
  );
  if (taken.state === "decided") return decided(id, titleOf(item), person, taken, decision);
  if (taken.state !== "refused") return unknown(c, person, id);
  const kind = taken.code === "content_changed" ? "changed" : "refused";
  return result(id, titleOf(item), kind, `${taken.error} It was not decided.`);
}

/** Why an open item is not decided among others. */
function whyNot(
  item: DecisionItem,
  approvedAt: string | null,
  shown: string,
  { decision }: PersonDecision,
): { kind: ResultKind; what: string; code: ErrorCode } | null {
  if (item.content_hash !== shown) {
    const what = "It is not what its row showed any more. It was not decided.";
    return { kind: "changed", what, code: "content_changed" };
  }
  if (decision === "reject") return null;
  if (approvedAt !== null) {
    const what = "You have approved it already; others are needed.";
    return { kind: "decided_before", what, code: "already_decided" };
  }
  const alone = whyAlone(item);
  return alone === null ? null : { kind: "alone", what: `${alone} It was not decided.`, code: "content_not_seen" };
}

function decided(
  id: string,
  title: string | null,
  person: SignedIn,
  view: Extract<LinkView, { state: "decided" }>,
  { decision }: PersonDecision,
): BulkResult {
  const { outcome } = view;
  const made = outcome.decision;
  const isOurs = title !== null && isOwn(person, view, decision);
  const kind =
    isOurs && (made === "approved" || made === "approved_partly" || made === "rejected") ? made : "decided_before";
  const progress = made === "approved_partly" ? (quorumInWords(outcome.quorum) ?? "") : "";
  return result(id, title, kind, `${winnerInWords(outcome)} ${progress}`.trim());
}

/** One of many has no answer of its own that could be a 404; it is recorded as if it had. */
async function unknown(c: Door, person: SignedIn, id: string): Promise<BulkResult> {
  await recordUnknown(c, person, [{ pending_id: id }]);
  return result(id, null, "unknown", "It is not there, or it is not for you to decide.");
}

function result(pending_id: string, title: string | null, kind: ResultKind, what: string): BulkResult {
  return { pending_id, title, kind, what };
}
