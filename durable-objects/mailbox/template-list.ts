import { accepted, type Outcome } from "../../src/errors.ts";
import type { Template } from "../../src/operations/shapes/template.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import { permit } from "./permits.ts";
import { findTemplate } from "./templates.ts";

/** Reads templates for a list, in the order of `ids`; those that were deleted meanwhile are left out. One read, whatever their number. */
export function readTemplates(box: MailboxBase, caller: Caller, ids: readonly string[]): Outcome<Template[]> {
  const given = permit(box, caller, { effect: "read" });
  if (!given.ok) return given;
  const templates = ids.map((id) => findTemplate(box, id)).filter((template) => template !== null);
  box.commit(() => {
    given.value.use();
    box.record({
      actor: actorOf(caller),
      action: "templates.listed",
      detail: { results: templates.length, ...given.value.detail },
    });
  });
  return accepted(templates);
}
