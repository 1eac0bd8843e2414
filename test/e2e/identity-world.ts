import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { type Api, apiOf } from "../../dev/api.ts";
import type { CommandVerdict } from "../../dev/multimail-command.ts";
import { type KeptMail, mailTo } from "../../dev/outbox.ts";
import { until } from "../../dev/until.ts";
import { type RunningWorld, startWorld, type WorldOptions } from "../../dev/world.ts";
import type { World } from "../../dev/world-files.ts";
import type { Email, EmailSummary } from "../../src/operations/shapes/email.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import type { Mode } from "../../src/oversight/modes.ts";
import { SmtpDialogue } from "./smtp-dialogue.ts";

/** A world, as those see it who send signed mail, and those who get it. */

/** Agents are named in mail before anybody looks them up. */
export const AGENT_ID = "order-desk";
export const MODEL = { model_id: "claude-sonnet-4-6", model_provider: "anthropic" } as const;

/** @returns the reasons, sorted. */
export function reasonsOf({ reasons }: Pick<CommandVerdict, "reasons">): string[] {
  return reasons.map(({ reason }) => reason).sort();
}

/** A running world with an agent of a known model in it. */
export class IdentityWorld {
  readonly world: World;
  readonly agent: Api;
  readonly admin: Api;
  readonly overseer: Api;
  readonly tenantId: string;
  /** Files of a test; gone with the world. */
  readonly files: string;
  private readonly running: RunningWorld;

  private constructor(running: RunningWorld, files: string) {
    const { world } = running;
    this.running = running;
    this.files = files;
    this.world = world;
    this.agent = apiOf(world, world.keys.agent);
    this.admin = apiOf(world, world.keys.admin);
    this.overseer = apiOf(world, world.keys.oversight);
    this.tenantId = world.mailboxes[0]?.tenant_id ?? "";
  }

  static async start(options: Pick<WorldOptions, "relay"> = {}): Promise<IdentityWorld> {
    const files = mkdtempSync(join(tmpdir(), "identity-"));
    const running = await startWorld({ dir: join(files, "world"), port: 0, ...options });
    const world = new IdentityWorld(running, files);
    const made = await world.admin("POST", "/v1/agents", { id: AGENT_ID, ...MODEL });
    expect(made).toMatchObject({ status: 201, body: { id: AGENT_ID } });
    return world;
  }

  async stop(): Promise<void> {
    await this.running.stop();
    rmSync(this.files, { recursive: true, force: true });
  }

  mailbox(mode: Mode): Mailbox {
    const mailbox = this.world.mailboxes.find(({ oversight_mode }) => oversight_mode === mode);
    if (!mailbox) throw new Error(`no mailbox in mode ${mode}`);
    return mailbox;
  }

  /** @returns the message's id. */
  async send(mode: Mode, message: Record<string, unknown>): Promise<string> {
    const answer = await this.agent("POST", `/v1/mailboxes/${this.mailbox(mode).id}/send`, {
      agent_id: AGENT_ID,
      ...message,
    });
    expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 202 });
    return (answer.body as { id: string }).id;
  }

  /** Decides with the oversight key, which has to read an item first. */
  async decide(emailId: string, decision: "approve" | "reject"): Promise<void> {
    const id = emailId.replace(/^em_/, "pend_");
    expect((await this.overseer("GET", `/v1/oversight/pending/${id}`)).status).toBe(200);
    const answer = await this.overseer("POST", "/v1/oversight/decide", { email_id: emailId, decision });
    expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 200 });
  }

  /** @returns every mail in the outbox that has this message's id, as the relay got it. */
  async outbox(emailId: string, recipient: string): Promise<KeptMail[]> {
    const mails = await mailTo(this.world.outbox_dir, recipient);
    return mails.filter(({ parsed }) => parsed.messageId?.startsWith(`<${emailId}@`));
  }

  /** @returns the mail as it left. */
  async delivered(emailId: string, recipient: string): Promise<KeptMail> {
    return until(`${emailId} in the outbox`, async () => (await this.outbox(emailId, recipient))[0]);
  }

  /** @returns a file in which something stands. */
  write(name: string, content: string | Uint8Array): string {
    const file = join(this.files, name);
    writeFileSync(file, content);
    return file;
  }

  /** @returns what anybody gets from there, who has no key. */
  async published(path: string): Promise<{ status: number; type: string | null; text: string }> {
    const response = await fetch(`${this.world.base_url}${path}`);
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
  }

  /** @returns the file with the tenant's key document, as it is now. */
  async keyDocument(): Promise<string> {
    const { text } = await this.published(`/v1/identity/public-key?tenant_id=${this.tenantId}`);
    return this.write("key-document.json", text);
  }

  private async inbox(mode: Mode): Promise<EmailSummary[]> {
    const path = `/v1/mailboxes/${this.mailbox(mode).id}/emails?direction=inbound&limit=100`;
    return ((await this.agent("GET", path)).body as { emails: EmailSummary[] }).emails;
  }

  /** Hands a message to the world's mail server, as any relay does. @returns it as the mailbox has it. */
  async receive(mode: Mode, raw: Uint8Array, from = "bounces@list.example"): Promise<Email> {
    const before = new Set((await this.inbox(mode)).map(({ id }) => id));
    const client = await SmtpDialogue.open(this.world.smtp.inbound_port);
    const reply = await client.send({ from, to: [this.mailbox(mode).address] }, raw);
    client.close();
    expect(reply).toMatch(/^250/);
    const { id } = await until("the message in the inbox", async () =>
      (await this.inbox(mode)).find((email) => !before.has(email.id)),
    );
    return (await this.agent("GET", `/v1/emails/${id}`)).body as Email;
  }
}
