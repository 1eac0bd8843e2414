import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import type { Viewer } from "../../src/pages/console/frame.tsx";
import { NOTICES, NoticePage } from "../../src/pages/console/notice.tsx";
import { NO_FILTERS, QueuePage, type QueueProps } from "../../src/pages/console/queue.tsx";
import { type BulkResult, RESULT_KINDS, type ResultKind, ResultsPage } from "../../src/pages/console/results.tsx";
import { type QueueRow, rowOf } from "../../src/pages/console/row.ts";
import { EnterPage, SentPage, SignInPage } from "../../src/pages/console/sign-in.tsx";
import { renderPage } from "../../src/pages/layout.tsx";
import { attachment, decisionItem, NOW, requestItem, templateItem, upgradeItem } from "./decision-page-fixtures.ts";

/** Every page of the console with fixed content, and rows of every kind. */

export const VIEWER: Viewer = {
  person: "anna@acme.example",
  tenant_name: "Acme GmbH",
  is_operator: false,
  csrf: "secret",
};

const id = (n: number) => `pend_01KBMX3Z8Q4N7W2T0123AB${String(n).padStart(4, "0")}`;

/** An item of each kind, and those that need a second look. */
export const ITEMS: DecisionItem[] = [
  decisionItem({
    pending_id: id(1),
    submitted_at: "2026-11-18T08:52:10.000Z",
    quorum: { needed: 2, approvals: [{ by: "bert@acme.example", at: "2026-11-20T08:00:00.000Z" }] },
  }),
  decisionItem(
    { pending_id: id(2), risk: { score: 0.62, reasons: [] }, expires_at: null },
    {
      subject:
        "Invoice \u202Efdp.exe for p\u0430ypal, and a subject that goes on and on so that nobody could ever show it in one line of a phone",
      to: [
        { name: "ceo@bank.example", address: "x@xn--80ak6aa92e.com" },
        { name: null, address: "a.very.long.address.of.somebody@a-very-long-domain-name-indeed.example" },
        { name: null, address: "c@customer.example" },
        { name: null, address: "d@customer.example" },
      ],
      attachments: [attachment("invoice.pdf.exe", "application/x-msdownload", 5120)],
    },
  ),
  decisionItem(
    {
      pending_id: id(3),
      kind: "inbound",
      oversight_mode: "gated_all",
      held_by: "mode gated_all",
      key_id: null,
      agent: { agent_id: null, model_id: null, model_provider: null },
    },
    {
      from: { name: "Bob", address: "bob@customer.example" },
      to: [{ name: null, address: "orders@acme.example" }],
      subject: "عرض الأسعار رقم 12",
    },
  ),
  decisionItem(
    {
      pending_id: id(4),
      test: true,
      risk: { score: 0.12, reasons: [] },
      quorum: { needed: 2, approvals: [{ by: VIEWER.person, at: "2026-11-20T08:00:00.000Z" }] },
    },
    { subject: "" },
  ),
  requestItem({ pending_id: id(5) }),
  requestItem({
    pending_id: id(6),
    kind: "annotate",
    request: { operation: "delete_email", input: { email_id: "em_1" } },
  }),
  templateItem({ pending_id: id(7) }),
  upgradeItem({ pending_id: id(8) }),
];

export const ROWS: QueueRow[] = ITEMS.map(rowOf);

export function queueProps(change: Partial<QueueProps> = {}): QueueProps {
  return {
    viewer: VIEWER,
    rows: ROWS,
    filters: NO_FILTERS,
    after: "",
    next: null,
    unread: 0,
    chosen: new Set(),
    now: NOW,
    ...change,
  };
}

function resultOf(kind: ResultKind, n: number): BulkResult {
  const title = kind === "unknown" || kind === "unavailable" ? null : (ROWS[n % ROWS.length]?.title ?? null);
  return { pending_id: id(n), title, kind, what: "Approved by bert@acme.example." };
}

/** Each page by its name. */
export const PAGES: Record<string, string> = Object.fromEntries(
  Object.entries({
    "sign-in": <SignInPage />,
    "sign-in-trouble": <SignInPage address={'"><script>'} trouble="This is not an email address." />,
    sent: <SentPage />,
    enter: <EnterPage action="/console/enter/x" />,
    queue: <QueuePage {...queueProps({ next: id(8) })} />,
    "queue-chosen": (
      <QueuePage
        {...queueProps({
          chosen: new Set(ROWS.map(({ pending_id }) => pending_id)),
          filters: { ...NO_FILTERS, kind: "send", agent: "order-desk" },
          after: id(1),
          next: id(9),
          unread: 2,
          note: "Fine.",
          trouble: "Nothing was decided: choose to approve or to reject.",
        })}
      />
    ),
    "queue-empty": <QueuePage {...queueProps({ rows: [] })} />,
    results: (
      <ResultsPage
        viewer={VIEWER}
        results={(Object.keys(RESULT_KINDS) as ResultKind[]).map(resultOf)}
        back="/console/queue"
      />
    ),
    "signed-out": <NoticePage notice={NOTICES.signed_out} />,
    unknown: <NoticePage notice={NOTICES.unknown} viewer={VIEWER} />,
  }).map(([name, page]) => [name, renderPage(page)]),
);
