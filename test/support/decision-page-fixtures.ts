import type {
  DecisionItem,
  LinkOutcome,
  LinkView,
  MessageItem,
  PersonDecision,
  RequestItem,
  TemplateItem,
  UpgradeItem,
} from "../../durable-objects/mailbox-rpc.ts";
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

const COMMON = {
  pending_id: "pend_01KBMX3Z8Q4N7W2T0123ABCDEF",
  email_id: "em_01KBMX3Z8Q4N7W2T0123ABCDEF",
  mailbox_id: "mbx_01KBMX3Z8Q4N7W2T0123ABCDEF",
  mailbox_address: "orders@acme.example",
  oversight_mode: "gated_send",
  content_hash: "c0ffee".padEnd(64, "0"),
  agent: { agent_id: "order-desk", model_id: "atlas-4", model_provider: "example-ai" },
  key_id: "key_01KBMX3Z8Q4N7W2T5Y6P8R9S0V",
  held_by: "mode gated_send",
  because: "In this mailbox every outgoing message waits for a person.",
  submitted_at: "2026-11-21T08:52:10.000Z",
  expires_at: "2026-11-24T08:52:10.000Z",
} as const;

function common() {
  return { ...COMMON, agent: { ...COMMON.agent }, reasons: [], quorum: { needed: 1, approvals: [] } };
}

/** An ordinary message that waits; `change` and `content` replace parts of it. */
export function decisionItem(
  change: Partial<Omit<MessageItem, "content">> = {},
  content: Partial<MessageItem["content"]> = {},
): MessageItem {
  return {
    ...common(),
    kind: "send",
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
    metadata: {},
    tags: {},
    risk: null,
    domain_intelligence: null,
    send_at: null,
    source: null,
    edits: [],
    authentication: null,
    identity: null,
    test: false,
    ...change,
  };
}

/** A message that a person may change; its source is Markdown. */
export function editableItem(
  change: Partial<Omit<MessageItem, "content">> = {},
  content: Partial<MessageItem["content"]> = {},
): MessageItem {
  const text = "Dear Alice,\n\nyour order **4711** leaves our warehouse on Thursday, 26 November.";
  return decisionItem({ source: { format: "markdown", text }, ...change }, content);
}

/** A search that waits in a mailbox where everything does. */
export function requestItem(change: Partial<RequestItem> = {}): RequestItem {
  return {
    ...common(),
    kind: "read",
    oversight_mode: "gated_all",
    held_by: "mode gated_all",
    because: "In this mailbox whatever an agent reads waits for a person.",
    request: { operation: "search_email", input: { q: "invoice 4711", sender: "alice@customer.example", limit: 20 } },
    about: null,
    ...change,
  };
}

/** A new template; `template` replaces parts of it. */
export function templateItem(
  change: Partial<Omit<TemplateItem, "template">> = {},
  template: Partial<TemplateItem["template"]> = {},
): TemplateItem {
  return {
    ...common(),
    kind: "template",
    because: "A template waits for a person before it can be used.",
    frame: { display_name: null, signature_block: null, ai_disclosure: false },
    difference: null,
    ...change,
    template: {
      id: "tpl_01KBMX3Z8Q4N7W2T0123ABCDEF",
      version: 1,
      name: "Shipping notice",
      subject: "Your order {{order}} ships on {{day}}",
      markdown: "Dear {{name}},\n\nyour order **{{order}}** leaves our warehouse on {{day}}.",
      variables: [
        { name: "name", type: "text", required: true, max_length: 80 },
        { name: "order", type: "number", required: true, max_length: 12 },
        { name: "day", type: "date", required: false, max_length: 30 },
      ],
      allowed_domains: ["customer.example"],
      ...template,
    },
  };
}

/** What a mailbox did in the last 30 days. */
export const RECORD: UpgradeItem["record"] = {
  days: 30,
  sent: 42,
  approved: 40,
  edited: 2,
  rejected: 1,
  expired: 3,
  blocked: 4,
  bounced: 1,
  complained: 0,
  approval_rate: 0.98,
  edit_rate: 0.05,
};

/** An agent that asks for a looser mode. */
export function upgradeItem(change: Partial<UpgradeItem> = {}): UpgradeItem {
  return {
    ...common(),
    kind: "upgrade",
    because: "A looser setting waits for the operator's code.",
    change: "For the mailbox orders@acme.example: its oversight mode becomes autonomous (it is gated_send).",
    record: RECORD,
    ...change,
  };
}

/** One item of each kind. */
export const ITEMS: Record<DecisionItem["kind"], DecisionItem> = {
  send: decisionItem(),
  inbound: decisionItem({ kind: "inbound" }),
  read: requestItem(),
  annotate: requestItem({
    kind: "annotate",
    request: { operation: "tag_email", input: { email_id: COMMON.email_id, tags: { urgent: "" } } },
  }),
  template: templateItem(),
  upgrade: upgradeItem(),
};

type OpenView = Extract<LinkView, { state: "open" }>;

export function openView(item: DecisionItem = decisionItem(), change: Partial<OpenView> = {}): OpenView {
  const { expires_at } = item;
  return { state: "open", approver: "anna@acme.example", expires_at, item, approved_at: null, ...change };
}

export function outcome(change: Partial<LinkOutcome> = {}): LinkOutcome {
  return {
    status: "sent",
    kind: "send",
    quorum: { needed: 1, approvals: [] },
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
  decision?: PersonDecision;
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
        async noteRefusedByLink() {},
        async decideByLink(tokenHash, decision) {
          fail("decideByLink");
          calls.push({ routing, method: "decideByLink", tokenHash, decision });
          const view = byHash.get(tokenHash) ?? { state: "unknown" as const };
          if (view.state !== "open") return view;
          const { item, approver } = view;
          const kind = item.kind;
          const at = "2026-11-21T08:58:00.000Z";
          const approvals = [...item.quorum.approvals, { by: approver, at }];
          if (decision.decision === "approve" && approvals.length < item.quorum.needed) {
            const quorum = { ...item.quorum, approvals };
            byHash.set(tokenHash, { ...view, item: { ...item, quorum }, approved_at: at });
            const partly = outcome({ kind, quorum, decision: "approved_partly", status: "pending_send_approval" });
            return { state: "decided", approver, outcome: { ...partly, just_now: true } };
          }
          const made =
            decision.decision === "approve"
              ? { decision: "approved", status: "queued" }
              : { decision: "rejected", status: "rejected" };
          const ended = made as Pick<LinkOutcome, "decision" | "status">;
          const result = outcome({ ...ended, kind, reason: decision.note });
          byHash.set(tokenHash, { state: "decided", approver, outcome: result });
          return { state: "decided", approver, outcome: { ...result, just_now: true } };
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
