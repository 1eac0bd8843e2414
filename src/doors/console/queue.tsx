import { NOTICES } from "../../pages/console/notice.tsx";
import { QueuePage, queueAddress } from "../../pages/console/queue.tsx";
import { ResultsPage } from "../../pages/console/results.tsx";
import { LONGEST_NOTE } from "../../pages/decision.tsx";
import { callTenant } from "../../store/mailbox-client.ts";
import { cleanNote, noteTrouble, readFields } from "../approve/form.ts";
import { formOf, forPerson, show, tell, useOf } from "./answers.tsx";
import { decideMany, MOST_PICKS, type Pick, picksIn } from "./decide-many.ts";
import { type AskedQueue, askedQueue, filterOf } from "./filters.ts";
import { voiceOf } from "./item.tsx";
import { type QueueView, readQueue } from "./read-queue.ts";
import type { Door, SignedIn } from "./session.ts";

/** The queue: what waits for a person, and the decision about many at once. */

/** Each row sends its id and hash; a note's characters take 9 bytes each where they are written `%E3%81%82`. */
const LARGEST_FORM = MOST_PICKS * 128 + LONGEST_NOTE * 9 + 4 * 1024;

const EMPTY: QueueView = { rows: [], next: null, unread: 0 };

function asked(c: Door): AskedQueue {
  return askedQueue(new URL(c.req.url).searchParams);
}

/** What stands in the form again, and why an earlier try decided nothing. */
interface Retry {
  chosen: ReadonlySet<string>;
  note: string;
  trouble: string;
}

async function showQueue(
  c: Door,
  status: 200 | 422,
  person: SignedIn,
  { filters, after, chooseAll, trouble }: AskedQueue,
  now: number,
  retry: Retry | null = null,
): Promise<Response> {
  const { tenant_id, hash } = person;
  const filter = trouble === null ? await filterOf(c.env.DB, tenant_id, filters, now) : null;
  const view = filter ? await readQueue(c.env, tenant_id, voiceOf(person), filter, after, useOf(c)) : EMPTY;
  // Each item's mailbox has recorded that it was read; that the queue was looked at is on record where nothing is in it, too.
  const isRecorded =
    trouble !== null ||
    (await callTenant(c.env, tenant_id, (tenant) => tenant.recordQueueInSession(hash, view.rows.length)));
  if (!isRecorded) return tell(c, NOTICES.unknown, person);
  const all = chooseAll ? view.rows.map(({ pending_id }) => pending_id) : [];
  const chosen = retry?.chosen ?? new Set(all);
  const told = retry?.trouble ?? trouble ?? undefined;
  const page = (
    <QueuePage {...{ viewer: person, filters, after, chosen, now }} {...view} note={retry?.note} trouble={told} />
  );
  return show(c, status, page);
}

/** What waits for whoever is signed in. */
export function queuePage(c: Door, now: number): Promise<Response> {
  return forPerson(c, (person) => {
    const queue = asked(c);
    return showQueue(c, queue.trouble === null ? 200 : 422, person, queue, now);
  });
}

interface BulkForm {
  csrf: string;
  picks: Pick[] | null;
  decision: "approve" | "reject" | null;
  note: string;
}

async function readBulkForm(request: Request): Promise<BulkForm | null> {
  const fields = await readFields(request, LARGEST_FORM);
  if (fields === null) return null;
  const [decision, ...more] = fields.getAll("decision");
  const isOne = more.length === 0 && (decision === "approve" || decision === "reject");
  return {
    csrf: fields.get("csrf") ?? "",
    picks: picksIn(fields.getAll("item")),
    decision: isOne ? decision : null,
    note: cleanNote(fields.get("note") ?? ""),
  };
}

function troubleIn({ picks, decision, note }: BulkForm): string | null {
  if (picks === null) return "Nothing was decided: the selection is not one that this page made.";
  if (picks.length === 0) return "Nothing was decided: select something first.";
  if (decision === null) return "Nothing was decided: choose to approve or to reject.";
  return noteTrouble(note);
}

/** Takes the queue's form: decides about everything that was selected. */
export function decideSelected(c: Door, now: number): Promise<Response> {
  return formOf(
    c,
    readBulkForm,
    ({ csrf }) => csrf,
    async (person, form) => {
      const queue = asked(c);
      const { picks, decision, note } = form;
      const trouble = queue.trouble ?? troubleIn(form);
      if (trouble !== null || picks === null || decision === null) {
        const chosen = new Set(picks?.map(({ id }) => id));
        return showQueue(c, 422, person, queue, now, { chosen, note, trouble: trouble ?? "Nothing was decided." });
      }
      const results = await decideMany(c, person, picks, { decision, note: note === "" ? null : note, edit: null });
      return show(c, 200, <ResultsPage viewer={person} results={results} back={queueAddress(queue.filters)} />);
    },
  );
}
