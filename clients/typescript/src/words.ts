import type { ApprovalKind } from "../../../src/identity/claim.ts";
import type { AgentMetadata, MessageVerdict } from "../../../src/identity/verdict.ts";
import type { Mode } from "../../../src/oversight/modes.ts";

/** What a verdict means to whoever got the message. Exhaustive, so that a new code cannot appear without its words. */

export type Outcome = "verified" | "not_verified" | "unsigned";

/** @returns what the verdict comes to. */
export function outcomeOf({ verified }: Pick<MessageVerdict, "verified">): Outcome {
  if (verified === null) return "unsigned";
  return verified ? "verified" : "not_verified";
}

export const OUTCOME_WORDS: Record<Outcome, { title: string; meaning: string }> = {
  verified: {
    title: "Verified",
    meaning:
      "The key below signed this message, and nothing of its sender, recipients, date, subject, text and attachments was changed since. Whether what it says is true, no signature can tell.",
  },
  not_verified: {
    title: "Not verified",
    meaning:
      "Do not rely on what this message says of an agent or an approval. Somebody may have made it up, or it was changed on its way, as mailing lists and some virus scanners do.",
  },
  unsigned: {
    title: "No identity headers",
    meaning:
      "This message does not say that an agent wrote it, and nothing here can be checked. Ordinary mail between people looks like this.",
  },
};

const MODE_MEANINGS: Record<Mode, string> = {
  read_only: "the agent may not send",
  gated_all: "a person decides whatever the agent sends or reads",
  gated_send: "a person decides each message before it leaves",
  monitored: "the agent sends by itself, and a person gets a copy",
  autonomous: "the agent sends by itself",
};

const APPROVAL_MEANINGS: Record<ApprovalKind, string> = {
  human_link: "by a person, through a link in a mail",
  human_session: "by a person who had signed in",
  human_passkey: "by a person, with a passkey",
  human_reply: "by a person, who answered a mail",
  key: "by a program, with a key that decides",
  template: "by a template that a person had approved",
  allowlist: "by a list of recipients that a person had made",
};

function disclosure(disclosed: boolean | null): string | null {
  if (disclosed === null) return null;
  return disclosed ? "it says that an AI wrote it" : "it does not say that an AI wrote it";
}

/** A fact as people read it. `code` is the value as programs know it, where there is one. */
export interface Fact {
  label: string;
  code: string | null;
  words: string | null;
}

/** @returns what a verified message proves of its agent, in the order in which it matters to people; unknown things are left out. */
export function provenFacts(metadata: AgentMetadata): Fact[] {
  const { approval_ref, approval_kind, key_id } = metadata;
  const model = metadata.model_provider === null ? null : `by ${metadata.model_provider}`;
  const facts: Fact[] = [
    { label: "Agent", code: metadata.agent_id, words: null },
    { label: "Model", code: metadata.model_id, words: metadata.model_id === null ? null : model },
    { label: "Oversight", code: metadata.oversight_mode, words: MODE_MEANINGS[metadata.oversight_mode] },
    {
      label: "Approval",
      code: approval_ref,
      words: approval_ref === null ? "none" : approval_kind && APPROVAL_MEANINGS[approval_kind],
    },
    { label: "Disclosure", code: null, words: disclosure(metadata.ai_disclosure) },
    { label: "Sent at", code: metadata.sent_at, words: null },
    { label: "Account", code: metadata.tenant_id, words: null },
    { label: "API key", code: key_id, words: key_id && (metadata.key_is_bound ? "bound to this agent" : null) },
  ];
  return facts.filter(({ code, words }) => code !== null || words !== null);
}
