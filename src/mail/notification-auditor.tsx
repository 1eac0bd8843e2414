import { Facts, Mail, Paragraph, renderMail } from "./notification-layout.tsx";
import { Checkpoint, foot, type PersonMail, paragraphs } from "./notification-parts.tsx";
import { factLines, oneLine } from "./notification-text.ts";

/** What the auditor's mail is made of. */
export interface AuditorNotice {
  tenant_name: string;
  log: string;
  /** How many entries the checkpoint commits to. */
  size: number;
  /** The signed note. */
  checkpoint: string;
  verifier_key: string;
  product_url: string;
}

/** The mail that puts a checkpoint of the audit log into hands outside: whoever keeps it can show later what was cut or changed. */
export function auditorMail({
  log,
  size,
  checkpoint,
  verifier_key,
  product_url,
  ...notice
}: AuditorNotice): PersonMail {
  const tenant = oneLine(notice.tenant_name, 80);
  const title = "Checkpoint of the audit log";
  const entries = size === 1 ? "1 entry" : `${size} entries`;
  const lead = `The audit log of ${tenant} had ${entries} when this was signed. Keep this mail.`;
  const facts = [
    ["Log", log],
    ["Entries", String(size)],
    ["Verifier key", verifier_key],
  ] as const;
  const use =
    "If anything in these entries is changed or cut off later, this checkpoint shows it. Save its lines at the end of this mail as checkpoint.txt, get an export of the log, and run: npx multimail verify-audit export.ndjson --key KEY --after checkpoint.txt";
  const why = `You get this because ${tenant} named you as its auditor.`;
  return {
    subject: `${title}: ${tenant}, ${entries}`,
    text: paragraphs(title, lead, factLines(facts), use, foot(why, product_url, checkpoint)),
    html: renderMail(
      <Mail title={title} preview={lead} product_url={product_url} why={why}>
        <Paragraph>{lead}</Paragraph>
        <Facts facts={facts} />
        <Paragraph soft>{use}</Paragraph>
        <Checkpoint note={checkpoint} />
      </Mail>,
    ),
  };
}
