/** What agents ask for, in words for people. Names that are not here are shown as they are. */

/** What an operation does, as the answer to “What does the agent ask for?”. */
const OPERATION_WORDS: Readonly<Record<string, string>> = {
  check_inbox: "See a list of messages in the mailbox",
  search_email: "Search the messages in the mailbox",
  read_email: "Read one message",
  get_thread: "Read the messages of one thread",
  list_threads: "See a list of threads",
  wait_for_email: "Wait for a message, and see it once it is there",
  get_tags: "See a message's tags",
  download_attachment: "Get a file that is attached to a message",
  get_attachment_url: "Get an address from which an attached file can be loaded",
  list_spam: "See a list of what was put aside as spam",
  list_drafts: "See a list of drafts",
  list_templates: "See a list of templates",
  get_template: "Read a template",
  search_contacts: "Search the contacts",
  check_domain_intelligence: "Look up a domain: this tells others its name",
  mark_email: "Mark a message",
  delete_email: "Delete a message",
  tag_email: "Put tags on a message",
  delete_tag: "Take a tag off a message",
  report_spam: "Report a message as spam",
  not_spam: "Take a message out of the spam",
  create_draft: "Write a draft",
  update_draft: "Change a draft",
  delete_draft: "Delete a draft",
  add_contact: "Add a contact",
  delete_contact: "Delete a contact",
  manage_contacts: "Change the contacts",
};

/** @returns what an operation does, in words; null for one that has none. */
export function operationInWords(name: string): string | null {
  return Object.hasOwn(OPERATION_WORDS, name) ? (OPERATION_WORDS[name] ?? null) : null;
}

const FIELD_WORDS: Readonly<Record<string, string>> = {
  mailbox: "Mailbox",
  mailbox_id: "Mailbox",
  email_id: "Message",
  message_id: "Message",
  thread_id: "Thread",
  q: "Words to search for",
  sender: "From whom",
  subject_contains: "Words in the subject",
  since_id: "Only what came after the message",
  date_after: "Not before",
  date_before: "Not after",
  unread_only: "Only what is unread",
  has_attachments: "With attachments",
  dkim_result: "With the DKIM result",
  include_html: "With the formatted version",
  mark_read: "Mark it as read",
  limit: "At most so many",
  cursor: "Where the list goes on",
  offset: "How many to leave out first",
  timeout: "Seconds to wait",
  filename: "File",
  domain: "Domain",
};

/** @returns a field's name for people: `Words to search for`, or the name itself with spaces. */
export function fieldInWords(name: string): string {
  if (Object.hasOwn(FIELD_WORDS, name)) return FIELD_WORDS[name] ?? name;
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @returns a value as people read it: text as it is, yes and no, lists with commas, anything else as JSON. */
export function valueInWords(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join(", ");
  return JSON.stringify(value, null, 2) ?? "";
}
