import type { DecisionItem, LinkOutcome, LinkView } from "../../durable-objects/mailbox-rpc.ts";
import type { ApproveEnv } from "../../src/doors/approve/storage.ts";
import type { StoredAttachment } from "../../src/mail/message.ts";
import { hashDecisionToken, newDecisionToken } from "../../src/oversight/decision-links.ts";

/** Fixed items and a recording environment for tests of the decision page and its door. */

export const NOW = Date.parse("2026-11-21T09:00:00.000Z");
export const ROUTING = "0123ABCD";
export const TEST_MASTER_KEY = Buffer.alloc(32, 7).toString("base64");

/** @returns a token that is always the same for the same name. */
export function tokenFor(name: string): string {
  const bytes = Buffer.alloc(32);
  bytes.write(name);
  return newDecisionToken(ROUTING, () => new Uint8Array(bytes));
}

export function attachment(name: string, content_type: string, size: number): StoredAttachment {
  const sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
  return { name, content_type, disposition: "attachment", content_id: null, size, sha256, key: `att/${name}` };
}

/** An ordinary message that waits; `change` and `content` replace parts of it. */
export function decisionItem(
  change: Partial<Omit<DecisionItem, "content">> = {},
  content: Partial<DecisionItem["content"]> = {},
): DecisionItem {
  return {
    pending_id: "pend_01KBMX3Z8Q4N7W2T0123ABCDEF",
    email_id: "em_01KBMX3Z8Q4N7W2T0123ABCDEF",
    kind: "send",
    mailbox_address: "orders@acme.example",
    oversight_mode: "gated_send",
    content: {
      from: { name: "Acme Orders", address: "orders@acme.example" },
      reply_to: [],
      to: [{ name: "Alice Moreau", address: "alice@customer.example" }],
      cc: [],
      bcc: [],
      subject: "Your order 4711 ships on Thursday",
      text: "Dear Alice,\n\nyour order 4711 leaves our warehouse on Thursday, 26 November.",
      html: "<p>Dear Alice,</p><p>your order 4711 leaves our warehouse on Thursday, 26 November.</p>",
      attachments: [],
      in_reply_to: null,
      references: [],
      ...content,
    },
    content_hash: "c0ffee".padEnd(64, "0"),
    agent: { agent_id: "order-desk", model_id: "atlas-4", model_provider: "example-ai" },
    key_id: "key_01KBMX3Z8Q4N7W2T5Y6P8R9S0V",
    metadata: {},
    tags: {},
    held_by: "mode gated_send",
    domain_intelligence: null,
    submitted_at: "2026-11-21T08:52:10.000Z",
    authentication: null,
    test: false,
    ...change,
  };
}

export function openView(item: DecisionItem = decisionItem()): LinkView {
  return { state: "open", approver: "anna@acme.example", expires_at: "2026-11-24T08:52:10.000Z", item };
}

export function outcome(change: Partial<LinkOutcome> = {}): LinkOutcome {
  return {
    status: "sent",
    decision: "approved",
    decided_by: "anna@acme.example",
    decided_at: "2026-11-21T08:58:00.000Z",
    reason: null,
    approval_ref: "apr_01KBMX3Z8Q4N7W2T5Y6P8R9S0V",
    test: false,
    just_now: false,
    ...change,
  };
}

export function decidedView(change: Partial<LinkOutcome> = {}): LinkView {
  return { state: "decided", approver: "anna@acme.example", outcome: outcome(change) };
}

/** One call that a mailbox got, by whatever number. */
export interface MailboxCall {
  routing: string;
  method: "openLink" | "decideByLink";
  tokenHash: string;
  decision?: "approve" | "reject";
  note?: string | null;
}

/** An environment whose mailboxes answer fixed views by token, remember decisions, and write down each call. */
export interface RecordedEnv extends ApproveEnv {
  calls: MailboxCall[];
  /** R2 keys that were read. */
  reads: string[];
}

/**
 * @param views what each token shows at first.
 * @param files contents in the store, by R2 key.
 * @param fail throws where storage is to break down; called before each access.
 */
export function recordedEnv(
  views: Record<string, LinkView>,
  files: Record<string, string> = {},
  fail: (access: MailboxCall["method"] | "get" | "head") => void = () => {},
): RecordedEnv {
  const byHash = new Map(Object.entries(views).map(([token, view]) => [hashDecisionToken(token), view]));
  const calls: MailboxCall[] = [];
  const reads: string[] = [];
  return {
    calls,
    reads,
    MASTER_KEY: TEST_MASTER_KEY,
    PUBLIC_URL: "https://mail.example.com",
    MAILBOX: {
      getByName: (routing) => ({
        async openLink(tokenHash) {
          fail("openLink");
          calls.push({ routing, method: "openLink", tokenHash });
          return byHash.get(tokenHash) ?? { state: "unknown" };
        },
        async decideByLink(tokenHash, decision, note) {
          fail("decideByLink");
          calls.push({ routing, method: "decideByLink", tokenHash, decision, note });
          const view = byHash.get(tokenHash) ?? { state: "unknown" as const };
          if (view.state !== "open") return view;
          const made =
            decision === "approve"
              ? { decision: "approved", status: "queued" }
              : { decision: "rejected", status: "rejected" };
          const result = outcome({ ...(made as Pick<LinkOutcome, "decision" | "status">), reason: note });
          byHash.set(tokenHash, { state: "decided", approver: view.approver, outcome: result });
          return { state: "decided", approver: view.approver, outcome: { ...result, just_now: true } };
        },
      }),
    },
    STORE: {
      async get(key) {
        fail("get");
        reads.push(key);
        const text = files[key];
        const body = text === undefined ? null : new Response(text).body;
        return body && text !== undefined ? { body, size: Buffer.byteLength(text) } : null;
      },
      async head(key) {
        fail("head");
        const text = files[key];
        return text === undefined ? null : { size: Buffer.byteLength(text) };
      },
    },
  };
}
