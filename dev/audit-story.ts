import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { multimailVerifyAudit } from "./multimail-command.ts";
import type { Transcript } from "./transcript.ts";
import type { World } from "./world-files.ts";

/** The end of the demo: an auditor takes the record away, checks it with nothing of ours but the verifier, and catches a change. */

interface Auditor {
  world: World;
  transcript: Transcript;
  /** Where the auditor keeps what they took. */
  dir: string;
}

async function textOf(url: string, key: string | null): Promise<string> {
  const response = await fetch(url, key === null ? {} : { headers: { authorization: `Bearer ${key}` } });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url} answered ${response.status}: ${text}`);
  return text;
}

/** Takes one log away: the export, and the published key that checks it. @returns the two files, and the export's text. */
async function take(
  { world, dir, transcript }: Auditor,
  log: string,
): Promise<{ file: string; key: string; text: string }> {
  const exportUrl = `${world.base_url}/v1/audit-log/export?log=${log}`;
  const keyUrl = `${world.base_url}/v1/audit-log/verifier-key?log=${log}&format=text`;
  const text = await textOf(exportUrl, world.keys.admin);
  const [file, key] = [join(dir, `${log}.ndjson`), join(dir, `${log}.vkey`)];
  writeFileSync(file, text);
  writeFileSync(key, await textOf(keyUrl, null));
  transcript.tell(`curl -H "Authorization: Bearer $ADMIN_KEY" '${exportUrl}' > ${log}.ndjson`);
  transcript.tell(`curl '${keyUrl}' > ${log}.vkey`);
  return { file, key, text };
}

interface Line {
  seq: number;
  at: string;
  action: string;
  hash: string;
  actor: { type: string };
  resource: { id: string };
}

function entriesIn(text: string): Line[] {
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return lines.filter((line) => "seq" in line);
}

/** @returns the checkpoint at the end of a mail to an approver, as they would save it. */
export function checkpointIn(mailText: string): string {
  const [, note] =
    /\n(\S+\/logs\/ten_\w+\n\d+\n[A-Za-z0-9+/=]+\n\n(?:— \S+ \S+\n?)+)/u.exec(mailText.replaceAll("\r", "")) ?? [];
  if (note === undefined) throw new Error("the approver's mail has no checkpoint");
  return note.endsWith("\n") ? note : `${note}\n`;
}

/** One letter of one entry, and nothing else: whoever held the file could have done it. */
function tampered(text: string, seq: number): string {
  const lines = text.split("\n");
  lines[seq] = (lines[seq] ?? "").replace('"action":"decision.approved"', '"action":"decision.rejected"');
  return lines.join("\n");
}

async function mailboxLogVerifies(auditor: Auditor, mailboxId: string, emailIds: string[]): Promise<void> {
  const { transcript, dir } = auditor;
  transcript.step("11. An auditor takes the audit log of the mailbox away and checks it offline");
  const { file, key, text } = await take(auditor, mailboxId);
  const entries = entriesIn(text);
  for (const { seq, at, actor, action, hash } of entries) {
    transcript.tell(
      `${String(seq).padStart(3)}  ${at}  ${actor.type.padEnd(6)} ${action.padEnd(28)} ${hash.slice(0, 12)}…`,
    );
  }
  transcript.tell(`npx multimail verify-audit ${mailboxId}.ndjson --key ${mailboxId}.vkey`);
  const verdict = await multimailVerifyAudit(file, "--key", key);
  transcript.check(`all ${entries.length} entries verify: gapless, chained, in the signed tree`, verdict.ok, verdict);
  transcript.check(
    "every message of the story is in it",
    emailIds.every((id) => entries.some(({ resource }) => resource.id === id)),
  );
  const own = entries.filter(({ resource }) => resource.id === emailIds[0]);
  const by = (action: string) => own.find((entry) => entry.action === action)?.actor.type;
  transcript.check(
    "it says that an agent's mail was held and a human approved it",
    by("message.held") === "agent" && by("decision.approved") === "human",
    own.map(({ action, actor }) => `${action} by ${actor.type}`),
  );

  transcript.step("12. Somebody makes “approved” into “rejected” in the file");
  const decision = own.find(({ action }) => action === "decision.approved");
  const forged = join(dir, "forged.ndjson");
  writeFileSync(forged, tampered(text, decision?.seq ?? -1));
  const caught = await multimailVerifyAudit(forged, "--key", key);
  transcript.tell(caught.ok ? "nothing was found" : caught.fault.message);
  transcript.check(
    `the change is caught, at entry ${decision?.seq}`,
    !caught.ok && caught.fault.code === "wrong_hash" && caught.fault.seq === decision?.seq,
    caught,
  );
}

async function accountLogExtends(auditor: Auditor, tenantId: string, mailText: string): Promise<void> {
  const { transcript, dir } = auditor;
  transcript.step("13. The approver's mail had a checkpoint: the account's log still contains what it promised then");
  const { file, key, text } = await take(auditor, tenantId);
  const after = join(dir, "checkpoint.txt");
  writeFileSync(after, checkpointIn(mailText));
  transcript.tell(`npx multimail verify-audit ${tenantId}.ndjson --key ${tenantId}.vkey --after checkpoint.txt`);
  const verdict = await multimailVerifyAudit(file, "--key", key, "--after", after);
  transcript.check(
    `all ${entriesIn(text).length} entries verify, and continue from that checkpoint`,
    verdict.ok,
    verdict,
  );
}

/**
 * Plays it.
 * @param emailIds every message of the story, that which a person approved first.
 * @param mailText of the mail that asked the approver.
 */
export async function auditorVerifies(
  { world, transcript }: Pick<Auditor, "world" | "transcript">,
  { mailbox, emailIds, mailText }: { mailbox: { id: string; tenant_id: string }; emailIds: string[]; mailText: string },
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "multimail-"));
  try {
    await mailboxLogVerifies({ world, transcript, dir }, mailbox.id, emailIds);
    await accountLogExtends({ world, transcript, dir }, mailbox.tenant_id, mailText);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
