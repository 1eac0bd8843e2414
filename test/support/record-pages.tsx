import { type AlteredEntry, emailStory, type RecordedEntry } from "../../src/audit/email-record.ts";
import { type Actor, type Entry, entryText, hashEntryText } from "../../src/audit/entry.ts";
import { Nav } from "../../src/pages/console/frame.tsx";
import { renderPage } from "../../src/pages/layout.tsx";
import { RecordPage } from "../../src/pages/record/page.tsx";
import type { EmailRecord } from "../../src/store/email-record.ts";
import { VIEWER } from "./console-pages.tsx";

/** Records of messages with fixed content, and their pages. */

const MAILBOX = "mbx_01KBMX3Z8Q4N7W2T0123ABCDEF";
const EMAIL = "em_01KBMX3Z8Q4N7W2T0456ABCDEF";
const AGENT: Actor = {
  type: "agent",
  id: "order-desk",
  agent_id: "order-desk",
  key_id: "key_01KBMX3Z8Q4N7W2T0789ABCDEF",
  via: "rest",
};
const SYSTEM: Actor = { type: "system", id: "multimail", via: "system" };
const PERSON: Actor = { type: "human", id: "approver", via: "console" };

type Told = [action: string, actor: Actor, detail: Entry["detail"], personal: Record<string, unknown> | null];

function recorded(told: readonly Told[]): RecordedEntry[] {
  return told.map(([action, actor, detail, personal], index) => {
    const entry: Entry = {
      v: 1,
      log: MAILBOX,
      seq: 4_711 + index * 3,
      id: `aud_01KBMX3Z8Q4N7W2T${String(index).padStart(10, "0")}`,
      at: new Date(Date.parse("2026-11-20T08:00:00.123Z") + index * 95_000).toISOString(),
      actor,
      action,
      resource: { type: "email", id: EMAIL },
      mode: "gated_send",
      detail,
      ...(personal && { sealed: { kid: EMAIL, iv: "AAAAAAAAAAAAAAAA", ct: "AAAA" } }),
      prev: "0".repeat(64),
    };
    return { entry, hash: hashEntryText(entryText(entry)), personal };
  });
}

function told(subject: string, to: string[], note: string): Told[] {
  return [
    [
      "message.held",
      AGENT,
      {
        ...{ status: "pending_send_approval", rule: "mode gated_send", rules: ["mode gated_send"], risk: 12 },
        ...{ recipients: to.length, model_id: "sonnet-5", model_provider: "anthropic" },
      },
      { to, subject, because: "Each message of this mailbox waits for a person", content_hash: "5b".repeat(32) },
    ],
    [
      "notification.sent",
      SYSTEM,
      { attempt: 1, code: 250 },
      { to: "anna@acme.example", response: "250 2.0.0 Ok: queued as 4Xk2bS1cVxz9" },
    ],
    ["message.read", AGENT, { marked: false }, null],
    [
      "decision.approved",
      PERSON,
      { status: "queued", approval_kind: "human_session", approval_ref: "apr_01KBMX3Z8Q4N7W2T0", edited: true },
      { decided_by: "anna@acme.example", reason: note, content_hash: "5b".repeat(32) },
    ],
    ["delivery.attempted", SYSTEM, { attempt: 1 }, null],
    [
      "delivery.answered",
      SYSTEM,
      {
        ...{ status: "sent", transport: "smtp", attempt: 1, accepted: 1, deferred: 0, refused: 0 },
        ...{ dkim_signed: true, dkim_selectors: ["mm-ed25519", "mm-rsa"], identity_kid: "idk_01KBMX3Z8Q4N7W2T0" },
      },
      { outcomes: [], signatures: { "X-MultiMail-Identity": "…", "Message-Signature": "…" } },
    ],
    [
      "delivery.returned",
      { ...SYSTEM, via: "email" },
      { status: "5.1.1", bounce_type: "hard", position: 0, changed: to.length === 1 },
      { recipient: to[0], diagnostic: "smtp; 550 5.1.1 The email account that you tried to reach does not exist" },
    ],
    ["message.record_read", { ...PERSON }, {}, null],
  ];
}

/** @param erased leaves nothing of what was sealed. */
export function recordOf(
  entries: (RecordedEntry | AlteredEntry)[],
  change: Partial<EmailRecord> = {},
  erased = false,
): EmailRecord {
  const { steps, ...story } = emailStory(
    erased ? entries.map((recorded) => ({ ...recorded, personal: null })) : entries,
  );
  const origin = `mail.acme.example/logs/${MAILBOX}`;
  return {
    email_id: EMAIL,
    mailbox_id: MAILBOX,
    ...story,
    steps: steps.map((step) => ({ ...step, proof: ["x".repeat(44)] })),
    left_out: 0,
    archived_before: null,
    checkpoint: {
      ...{ log: MAILBOX, origin, size: 4_733, root: "x".repeat(44), at: "2026-11-20T09:00:00.000Z", witnesses: 0 },
      checkpoint: `${origin}\n4733\n${"x".repeat(43)}=\n\n— ${origin} ${"y".repeat(92)}\n`,
      verifier_key: `${origin}+0a1b2c3d+${"z".repeat(44)}`,
    },
    ...change,
  };
}

const OFFER = told("Your order 4711 ships on Thursday", ["customer@customer.example"], "The price is right.");
const HOSTILE = told(
  "Invoice \u202Efdp.exe <script>alert(1)</script> and a subject that goes on and on so that nobody could show it in one line",
  [
    "a.very.long.address.of.somebody.with.a.name.without.end@a-very-long-domain-name-indeed-without-any-break.example",
    ...Array.from({ length: 30 }, (_, n) => `person-${n}@customer.example`),
  ],
  `<b>No</b>\n${"long ".repeat(120)}`,
);

export const OFFER_RECORD = recordOf(recorded(OFFER));
export const ERASED_RECORD = recordOf(
  recorded([...OFFER, ["email.erased", AGENT, { status: "bounced" }, null]]),
  {},
  true,
);

/** D1's rows of the decision and of its delivery were altered, and the key of what was sealed. */
export const ALTERED_RECORD = recordOf(
  recorded(OFFER).map(({ entry, hash, personal }, index) =>
    index === 3 || index === 5
      ? { seq: entry.seq, hash, stored: '{"action":"decision.rejected"}' }
      : { entry, hash, personal: null, unreadable: personal !== null },
  ),
);

/** Each page by its name. */
export const RECORD_PAGES: Record<string, string> = Object.fromEntries(
  Object.entries({
    offer: <RecordPage record={OFFER_RECORD} />,
    session: (
      <RecordPage
        record={OFFER_RECORD}
        who="anna@acme.example"
        back={{ href: "/console/queue", label: "Back to the queue" }}
        nav={<Nav viewer={VIEWER} />}
      />
    ),
    erased: <RecordPage record={ERASED_RECORD} />,
    altered: <RecordPage record={ALTERED_RECORD} />,
    hostile: (
      <RecordPage record={recordOf(recorded(HOSTILE), { left_out: 1, archived_before: "2026-06-30T23:00:00.000Z" })} />
    ),
    empty: <RecordPage record={recordOf([])} />,
  }).map(([name, page]) => [name, renderPage(page)]),
);
