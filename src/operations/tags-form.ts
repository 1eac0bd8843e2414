import type { EmailSummary } from "./shapes/email.ts";

/** How an answer gives tags: as a map, or, with `?tags=list`, as a list of keys. */
type TagsForm = "map" | "list";

/** @returns tags in the form asked for. */
export function tagsIn(tags: EmailSummary["tags"], form: TagsForm): EmailSummary["tags"] {
  return form === "list" && !Array.isArray(tags) ? Object.keys(tags) : tags;
}

/** @returns the email with its tags in the form asked for. */
export function formedTags<Shape extends { tags: EmailSummary["tags"] }>(email: Shape, form: TagsForm): Shape {
  return { ...email, tags: tagsIn(email.tags, form) };
}
