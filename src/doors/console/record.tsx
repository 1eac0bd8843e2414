import { Refused } from "../../errors.ts";
import { asEmailId, pendingIdOf } from "../../ids.ts";
import { Nav, QUEUE } from "../../pages/console/frame.tsx";
import { NOTICES } from "../../pages/console/notice.tsx";
import { RecordPage } from "../../pages/record/page.tsx";
import { readRecord } from "../../store/email-record.ts";
import { Unavailable } from "../approve/storage.ts";
import { forPerson, show, tell } from "./answers.tsx";
import { placeOf, voiceOf } from "./item.tsx";
import type { Door } from "./session.ts";

/** The record of a message in a session, for whoever decides in its mailbox. */

const BACK = { href: QUEUE, label: "Back to the queue" };

/** @returns the record's page, whether the message waited for a person or not. */
export function recordPage(c: Door): Promise<Response> {
  return forPerson(c, async (person) => {
    const id = asEmailId(c.req.param("id") ?? "");
    const place = id && (await placeOf(c, person, pendingIdOf(id)));
    if (!id || !place) return tell(c, NOTICES.unknown, person);
    try {
      const found = { id, routing: place.routing };
      const record = await readRecord(c.env, person.tenant_id, voiceOf(person), found);
      const nav = <Nav viewer={person} />;
      return show(c, 200, <RecordPage record={record} who={person.person} back={BACK} nav={nav} />);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.refusal.code === "unavailable") throw new Unavailable(error.refusal.error);
      return tell(c, NOTICES.unknown, person);
    }
  });
}
