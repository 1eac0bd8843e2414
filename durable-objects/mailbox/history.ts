import type { DomainHistory } from "../../src/intelligence/domain-signals.ts";

/** How many domains a look-alike is sought among. */
const KNOWN_DOMAINS = 300;
const DAY = 24 * 3600_000;
/** Older than this it says little of a domain. */
const DOMAIN_HISTORY_DAYS = 90;

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** What the mailbox did so far, as far as rules and records ask: whom it reached, what it let go when, what happened each day. */
export class History {
  private readonly sql: SqlStorage;
  private readonly now: () => number;

  /** @param now milliseconds since the epoch. */
  constructor(sql: SqlStorage, now: () => number) {
    this.sql = sql;
    this.now = now;
  }

  /** @param addresses as `comparableAddress` gives them. @returns those that a message reached which a human had approved. */
  knownRecipients(addresses: readonly string[]): Set<string> {
    return this.amongst(
      "SELECT address AS found FROM known_recipients WHERE address IN (SELECT value FROM json_each(?))",
      addresses,
    );
  }

  /** @returns those of the domains that such a message reached. */
  areKnownDomains(domains: readonly string[]): Set<string> {
    return this.amongst(
      "SELECT domain AS found FROM known_domains WHERE domain IN (SELECT value FROM json_each(?))",
      domains,
    );
  }

  private amongst(statement: string, values: readonly string[]): Set<string> {
    const rows = this.sql.exec<{ found: string }>(statement, JSON.stringify(values)).toArray();
    return new Set(rows.map(({ found }) => found));
  }

  /** @returns domains that were written to, at most some hundreds. */
  knownDomains(): string[] {
    return this.sql
      .exec<{ domain: string }>("SELECT domain FROM known_domains ORDER BY domain LIMIT ?", KNOWN_DOMAINS)
      .toArray()
      .map(({ domain }) => domain);
  }

  /** A message that a human approved reached this address. Inside `commit`. */
  addKnownRecipient(address: string, domain: string): void {
    this.sql.exec("INSERT OR IGNORE INTO known_recipients VALUES (?, ?)", address, new Date(this.now()).toISOString());
    this.sql.exec("INSERT OR IGNORE INTO known_domains VALUES (?, ?)", domain, new Date(this.now()).toISOString());
  }

  /** Something came of mail to a domain. Inside `commit`. @param domain as `domainOf` gives it. */
  addDomainEvent(domain: string, what: keyof DomainHistory): void {
    this.sql.exec(
      "INSERT INTO domain_days VALUES (?, ?, ?, 1) ON CONFLICT (domain, day, what) DO UPDATE SET n = n + 1",
      domain,
      dayOf(this.now()),
      what,
    );
  }

  /** @returns what came of mail to each of these domains in the last 90 days; one of which nothing came is left out. */
  domainHistory(domains: readonly string[]): Map<string, DomainHistory> {
    const rows = this.sql
      .exec<{ domain: string; bounces: number; complaints: number; replies: number }>(
        `SELECT domain, sum(iif(what = 'bounces', n, 0)) AS bounces, sum(iif(what = 'complaints', n, 0)) AS complaints,
           sum(iif(what = 'replies', n, 0)) AS replies
         FROM domain_days WHERE domain IN (SELECT value FROM json_each(?)) AND day > ? GROUP BY domain`,
        JSON.stringify(domains),
        dayOf(this.now() - DOMAIN_HISTORY_DAYS * DAY),
      )
      .toArray();
    return new Map(rows.map(({ domain, ...history }) => [domain, history]));
  }

  /** @param recipient as `comparableAddress` gives it, or '' for the mailbox. Inside `commit`. */
  addLetGo(recipient: string, seq: number): void {
    this.sql.exec("INSERT OR IGNORE INTO let_go VALUES (?, ?, ?)", recipient, this.now(), seq);
  }

  /** @returns how many messages were let go after `since`, counted to `limit`. */
  countLetGo(recipient: string, since: number, limit: number): number {
    return this.sql
      .exec<{ n: number }>(
        "SELECT count(*) AS n FROM (SELECT 1 FROM let_go WHERE recipient = ? AND at > ? LIMIT ?)",
        recipient,
        since,
        limit,
      )
      .one().n;
  }

  addCount(day: string, what: string): void {
    this.sql.exec(
      "INSERT INTO daily_counts VALUES (?, ?, 1) ON CONFLICT (day, what) DO UPDATE SET n = n + 1",
      day,
      what,
    );
  }

  sumCounts(fromDay: string, what: string): number {
    return this.sql
      .exec<{ n: number }>(
        "SELECT coalesce(sum(n), 0) AS n FROM daily_counts WHERE day >= ? AND what = ?",
        fromDay,
        what,
      )
      .one().n;
  }

  dropCounts(beforeDay: string): void {
    this.sql.exec("DELETE FROM daily_counts WHERE day < ?", beforeDay);
    this.sql.exec("DELETE FROM domain_days WHERE day < ?", beforeDay);
  }

  /** What makes the mailbox fall back is counted anew from here on. Inside `commit`. */
  dropWatchedCounts(): void {
    this.sql.exec("DELETE FROM daily_counts WHERE what LIKE 'watched\\_%' ESCAPE '\\'");
  }

  /** Forgets what no budget counts any more. Inside `commit`. */
  forgetLetGo(): void {
    this.sql.exec("DELETE FROM let_go WHERE at <= ?", this.now() - DAY);
  }
}
