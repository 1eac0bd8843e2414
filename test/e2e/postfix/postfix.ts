import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LOOPBACK } from "../../../dev/listen.ts";
import { until } from "../../../dev/until.ts";
import type { ServerCertificate } from "../../support/test-authority.ts";
import { listens, run, whileRunning } from "../processes.ts";
import { POSTFIX, POSTFIX_MASTER, SENDMAIL } from "./programs.ts";

/** A Postfix of a test's own: its settings, queue and mail are below one folder, and it listens on loopback alone. */

export interface PostfixOptions {
  dir: string;
  /** What it calls itself. */
  host: string;
  /** The domains whose mailboxes are here, and their local parts. All other local parts are accepted, then bounced. */
  mailboxes: Record<string, readonly string[]>;
  /** Takes our mail: STARTTLS only. */
  submission: { port: number; certificate: ServerCertificate; filter: string; policyPort: number; refused: string[] };
  /** Takes the mail of its own people, as sendmail(1) does. */
  people: { port: number; filter: string };
  /** Where everything else goes: the domain or address, and the port. Nothing that is not named leaves. */
  routes: Record<string, Route>;
  /** The address it connects from. */
  outgoing_ip: string;
  max_octets: number;
}

export interface Route {
  port: number;
  /** `relay7bit`: as if the next server took no 8BITMIME, so octets above 127 are encoded (RFC 6152 §3). `relaytag`: it changes the subject. */
  by: "relay" | "relay7bit" | "relaytag";
}

/** Debian's user nobody owns the mail; virtual(8) delivers as whoever is named. */
const MAIL_OWNER = 65534;

function mainCf({ dir, host, ...options }: PostfixOptions): Record<string, string> {
  return {
    compatibility_level: "3.6",
    queue_directory: join(dir, "queue"),
    data_directory: join(dir, "data"),
    maillog_file: join(dir, "log"),
    maillog_file_prefixes: dir,
    mail_owner: "postfix",
    setgid_group: "postdrop",
    myhostname: host,
    mydestination: "",
    mynetworks: "127.0.0.0/8",
    inet_interfaces: LOOPBACK,
    inet_protocols: "ipv4",
    alias_maps: "",
    alias_database: "",
    smtputf8_enable: "no",
    message_size_limit: String(options.max_octets),
    virtual_mailbox_limit: "0",
    virtual_mailbox_domains: Object.keys(options.mailboxes).join(" "),
    virtual_mailbox_base: join(dir, "mail"),
    virtual_mailbox_maps: `texthash:${join(dir, "etc", "mailboxes")}`,
    virtual_uid_maps: `static:${MAIL_OWNER}`,
    virtual_gid_maps: `static:${MAIL_OWNER}`,
    transport_maps: `texthash:${join(dir, "etc", "routes")}`,
    default_transport: "error:5.4.4 nothing leaves this machine",
    smtp_dns_support_level: "disabled",
    smtp_bind_address: options.outgoing_ip,
    smtpd_peername_lookup: "no",
    smtpd_tls_chain_files: join(dir, "etc", "certificate.pem"),
    smtpd_tls_received_header: "yes",
    milter_default_action: "tempfail",
    // sendmail(1) hands in what its own people write.
    non_smtpd_milters: options.people.filter,
    // Minutes, hours and days of a real queue, as seconds: it tries again, says that mail is late, and gives up.
    queue_run_delay: "2s",
    minimal_backoff_time: "2s",
    maximal_backoff_time: "2s",
    delay_warning_time: "3s",
    maximal_queue_lifetime: "10s",
    bounce_queue_lifetime: "10s",
  };
}

/** Of master(5): the columns that differ here. `public`: any program of this Postfix may talk to it. */
type Service = [name: string, reach: "inet" | "public" | "private", wakeup: string, limit: string, command: string];

/** A server that offers SMTPUTF8 is taken to offer 8BITMIME (RFC 6531 §3.1). */
const SEVEN_BIT = "smtp -o { smtp_discard_ehlo_keywords = 8bitmime, smtputf8 }";

const SERVICES: readonly Service[] = [
  ["pickup", "public", "60", "1", "pickup"],
  ["cleanup", "public", "-", "0", "cleanup"],
  ["qmgr", "public", "300", "1", "qmgr"],
  ["showq", "public", "-", "-", "showq"],
  ["flush", "public", "1000?", "0", "flush"],
  ["tlsmgr", "private", "1000?", "1", "tlsmgr"],
  ["rewrite", "private", "-", "-", "trivial-rewrite"],
  ["bounce", "private", "-", "0", "bounce"],
  ["defer", "private", "-", "0", "bounce"],
  ["trace", "private", "-", "0", "bounce"],
  ["verify", "private", "-", "1", "verify"],
  ["proxymap", "private", "-", "-", "proxymap"],
  ["relay", "private", "-", "-", "smtp"],
  ["relay7bit", "private", "-", "-", SEVEN_BIT],
  ["error", "private", "-", "-", "error"],
  ["retry", "private", "-", "-", "error"],
  ["virtual", "private", "-", "-", "virtual"],
  ["anvil", "private", "-", "1", "anvil"],
  ["scache", "private", "-", "1", "scache"],
  ["postlog", "public", "-", "1", "postlogd"],
];

function masterCf({ submission, people, dir }: PostfixOptions): string[][] {
  const listed = (name: string) => `texthash:${join(dir, "etc", name)}`;
  const services: Service[] = [
    [
      ...([`${LOOPBACK}:${submission.port}`, "inet", "-", "-"] as const),
      `smtpd -o smtpd_tls_security_level=encrypt -o smtpd_milters=${submission.filter} -o smtpd_reject_unlisted_recipient=no` +
        ` -o { smtpd_recipient_restrictions = check_recipient_access ${listed("refused")},` +
        ` check_policy_service inet:${LOOPBACK}:${submission.policyPort}, permit_mynetworks, reject }`,
    ],
    [`${LOOPBACK}:${people.port}`, "inet", "-", "-", `smtpd -o smtpd_milters=${people.filter}`],
    ["relaytag", "private", "-", "-", `smtp -o smtp_header_checks=regexp:${join(dir, "etc", "tag")}`],
    ...SERVICES,
  ];
  // None is in a chroot, and only virtual(8) is privileged: it becomes the mail's owner.
  return services.map(([name, reach, wakeup, limit, command]) => [
    ...[name, reach === "inet" ? "inet" : name === "postlog" ? "unix-dgram" : "unix"],
    ...[reach === "private" ? "-" : "n", name === "virtual" ? "n" : "-", "n", wakeup, limit, command],
  ]);
}

/** The files below `etc/`, by their names. */
function settingsOf(options: PostfixOptions): Record<string, string> {
  const { mailboxes, routes, submission } = options;
  const table = (rows: string[][], between = " ") => rows.map((row) => `${row.join(between)}\n`).join("");
  const addresses = Object.entries(mailboxes).flatMap(([domain, names]) => names.map((name) => `${name}@${domain}`));
  return {
    "main.cf": table(Object.entries(mainCf(options)), " = "),
    "master.cf": table(masterCf(options)),
    "certificate.pem": submission.certificate.key + submission.certificate.certificate,
    mailboxes: table(addresses.map((address) => [address, `${address}/`])),
    refused: table(submission.refused.map((address) => [address, "550 5.1.1 No such mailbox"])),
    routes: table(Object.entries(routes).map(([to, { port, by }]) => [to, `${by}:[${LOOPBACK}]:${port}`])),
    tag: "/^Subject: (.*)$/ REPLACE Subject: [external] $1\n",
  };
}

/** A message in a mailbox of Postfix. */
export interface StoredMail {
  /** All of it, its lines ended by CRLF again. */
  raw: Buffer;
  /** Without the trace fields that were written on top since it was handed in. */
  message: Buffer;
  /** Those fields, each on one line, from the topmost on. */
  trace: string[];
}

const TRACE_FIELD =
  /^(?:Return-Path|X-Original-To|Delivered-To|Received|Authentication-Results):[^\n]*\n(?:[ \t][^\n]*\n)*/;

/** @returns a message apart from what servers on its way wrote on top of it (RFC 5321 §4.4, RFC 8601 §4). */
export function withoutTrace(raw: Buffer): StoredMail {
  let rest = raw.toString("latin1");
  const trace: string[] = [];
  for (let field = TRACE_FIELD.exec(rest)?.[0]; field; field = TRACE_FIELD.exec(rest)?.[0]) {
    trace.push(field.replace(/\r?\n[ \t]+/g, " ").trimEnd());
    rest = rest.slice(field.length);
  }
  return { raw, message: Buffer.from(rest, "latin1"), trace };
}

function storedMail(file: string): StoredMail {
  // virtual(8) writes lines as files here have them.
  return withoutTrace(Buffer.from(readFileSync(file, "latin1").replace(/\n/g, "\r\n"), "latin1"));
}

export class Postfix {
  readonly options: PostfixOptions;
  private readonly program: ReturnType<typeof run>;

  private constructor(options: PostfixOptions, program: ReturnType<typeof run>) {
    this.options = options;
    this.program = program;
  }

  /** @returns once both of its ports take connections. @throws Error with its log if it does not start. */
  static async start(options: PostfixOptions): Promise<Postfix> {
    const { dir, submission, people } = options;
    const etc = join(dir, "etc");
    // Its programs run as its own user and have to reach what is here, whatever this process's umask is.
    chmodSync(dir, 0o711);
    for (const name of ["etc", "queue", "mail"]) {
      mkdirSync(join(dir, name));
      chmodSync(join(dir, name), 0o755);
    }
    chownSync(join(dir, "mail"), MAIL_OWNER, MAIL_OWNER);
    for (const [name, text] of Object.entries(settingsOf(options))) {
      writeFileSync(join(etc, name), text, { mode: 0o600 });
      // The certificate has its key beside it, which is read before a server becomes another user.
      if (name !== "certificate.pem") chmodSync(join(etc, name), 0o644);
    }
    execFileSync(POSTFIX, ["-c", etc, "check"], { stdio: "pipe" });
    // -d: it stays in our process group.
    const program = run(POSTFIX_MASTER, ["-c", etc, "-d"]);
    const postfix = new Postfix(options, program);
    for (const port of [submission.port, people.port]) {
      await whileRunning(program, "Postfix listens", async () => ((await listens(port)) ? true : null));
    }
    return postfix;
  }

  /** @returns what it logged. */
  log(): string {
    return readFileSync(join(this.options.dir, "log"), "utf8");
  }

  /** Ends it, and waits until all its programs are gone. */
  async stop(): Promise<void> {
    this.program.interrupt("SIGTERM");
    await this.program.gone();
  }

  /** @returns the messages in a mailbox of its own, in no order. */
  mailIn(address: string): StoredMail[] {
    const folder = join(this.options.dir, "mail", address, "new");
    try {
      return readdirSync(folder).map((name) => storedMail(join(folder, name)));
    } catch (error) {
      // Made with the first message.
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
  }

  /** Waits for a message in a mailbox of its own that holds `text`. @throws Error with the log after a minute. */
  async arrived(address: string, text: string): Promise<StoredMail> {
    const found = () => this.mailIn(address).find(({ raw }) => raw.includes(text));
    return until(`"${text}" in ${address}`, found).catch((cause: unknown) => {
      throw new Error(this.log(), { cause });
    });
  }

  /** Hands in a message as a program of this machine does. @param raw lines end in LF. */
  sendmail(from: string, to: string, raw: string): void {
    execFileSync(SENDMAIL, ["-C", join(this.options.dir, "etc"), "-f", from, "-i", to], { input: raw });
  }
}
