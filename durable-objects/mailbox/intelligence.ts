import type { Actor } from "../../src/audit/entry.ts";
import type { Env } from "../../src/env.ts";
import { accepted, type Outcome } from "../../src/errors.ts";
import { askableDomain, askableDomains, type DomainIntelligence } from "../../src/intelligence/domain-facts.ts";
import { factsOf, type JudgedDomain, NO_HISTORY } from "../../src/intelligence/domain-signals.ts";
import { askSource, type FactStore, type LookUp, lookUpDomains, SOURCE_LIMIT } from "../../src/intelligence/look-up.ts";
import { withMemory } from "../../src/intelligence/remembered.ts";
import { mailServerSource, type Source, sourcesOf, type Tools } from "../../src/intelligence/sources.ts";
import { assessDomains, intelligenceView } from "../../src/intelligence/view.ts";
import { domainOf } from "../../src/mail/address.ts";
import { dnsOverHttps } from "../../src/mail/dns-over-https.ts";
import type { DomainReport, IntelligenceView } from "../../src/operations/shapes/domain-intelligence.ts";
import type { Caller } from "../../src/oversight/caller.ts";
import { factStore, projectKnownDomain } from "../../src/store/domain-intelligence.ts";
import { SYSTEM } from "../ledger.ts";
import type { Timer } from "../timers.ts";
import { actorOf, type MailboxBase } from "./base.ts";
import type { OutboundRecord } from "./message-record.ts";
import { type Message, outboundOf } from "./messages.ts";
import { type Permit, permitted } from "./permits.ts";

/** Looks up the domains that mail goes to. No query leaves for what the mode denies, and before a human decided only for registrable names. */

/** How many names that it never looked up before a tenant may look up in a day, unless the deployment says otherwise. */
const NEW_NAMES_PER_DAY = 200;

/** How tools reach the world, each with its question's deadline. */
function toolsFor(env: Env): (signal: AbortSignal) => Tools {
  return (deadline) => {
    const bounded: typeof fetch = (input, init) =>
      fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, deadline]) : deadline });
    return { resolver: dnsOverHttps(env.DOH_URL, bounded), fetch: bounded };
  };
}

/** @throws Error for a setting that is no whole number. */
function budgetOf({ NEW_NAMES_PER_DAY: setting }: Env): number {
  if (setting === undefined || setting === "") return NEW_NAMES_PER_DAY;
  if (!/^\d{1,6}$/.test(setting)) throw new Error(`NEW_NAMES_PER_DAY is ${setting}, which is no whole number`);
  return Number(setting);
}

function sourceLimitOf({ SOURCE_TIMEOUT_MS: setting }: Env): number {
  if (setting === undefined || setting === "") return SOURCE_LIMIT;
  if (!/^[1-9]\d{1,3}$/.test(setting)) {
    throw new Error(`SOURCE_TIMEOUT_MS is ${setting}, which is no number of milliseconds between 10 and 9999`);
  }
  return Number(setting);
}

/** What each object remembers of its tenant's look-ups. */
const memories = new WeakMap<MailboxBase, FactStore>();

function storeOf(box: MailboxBase): FactStore {
  const known = memories.get(box);
  if (known) return known;
  const { MAIL_DOMAIN } = box.environment();
  const store = withMemory(factStore(box.database(), box.settings().tenant_id, MAIL_DOMAIN), () => box.now());
  memories.set(box, store);
  return store;
}

function lookUpFor(box: MailboxBase, actor: Actor, sources: readonly Source[], remembered_only: boolean): LookUp {
  const env = box.environment();
  return {
    sources,
    toolsFor: toolsFor(env),
    store: storeOf(box),
    now: () => box.now(),
    budget: budgetOf(env),
    source_limit: sourceLimitOf(env),
    noteNewNames: (names) => recordNames(box, actor, names),
    remembered_only,
  };
}

/** Which names are asked for that never were, written down before the first query leaves. */
function recordNames(box: MailboxBase, actor: Actor, names: readonly string[]): void {
  box.commit(() =>
    box.record({
      actor,
      action: "domains.looked_up",
      detail: { new_names: names.length },
      personal: { names },
    }),
  );
}

/**
 * Looks up the registrable domains of recipients. What a test key sends never leaves, and neither does a query about it.
 * @param who for whom, as the audit log names them, and whether that is a test key.
 * @param options `remembered_only`: nothing is asked, as for a dry run.
 * @returns null where there is nobody to look up.
 */
export async function lookUpRecipients(
  box: MailboxBase,
  { actor, test }: { actor: Actor; test: boolean },
  recipients: readonly string[],
  { remembered_only }: { remembered_only: boolean },
): Promise<DomainIntelligence | null> {
  const domains = askableDomains(recipients.map(domainOf));
  if (domains.length === 0) return null;
  const sources = sourcesOf(box.environment());
  return lookUpDomains(domains, lookUpFor(box, actor, sources, remembered_only || test));
}

/** @returns recipients' domains with what this mailbox knows of them and what was looked up. */
export function judgedDomains(
  box: MailboxBase,
  domains: readonly string[],
  intelligence: DomainIntelligence | null,
): JudgedDomain[] {
  const known = box.history.areKnownDomains(domains);
  const history = box.history.domainHistory(domains);
  return [...new Set(domains)].map((domain) => ({
    domain,
    known: known.has(domain),
    facts: factsOf(domain, intelligence?.domains ?? []),
    history: history.get(domain) ?? NO_HISTORY,
  }));
}

function viewFor(box: MailboxBase, domains: JudgedDomain[], intelligence: DomainIntelligence): IntelligenceView {
  const question = {
    domains,
    known_domains: box.history.knownDomains(),
    now: Date.parse(intelligence.looked_up_at),
  };
  return intelligenceView(intelligence, assessDomains(question));
}

/** @returns what programs get of a message's domains; null where nothing was looked up. */
export function intelligenceOf({ intelligence, domain_risk }: OutboundRecord): IntelligenceView | null {
  return intelligence && domain_risk ? intelligenceView(intelligence, domain_risk) : null;
}

/** @returns the risk of the domains alone, kept with the message: what it was judged by. */
export function domainRisk(box: MailboxBase, recipients: readonly string[], intelligence: DomainIntelligence) {
  const { risk_score, reasons } = viewFor(
    box,
    judgedDomains(box, recipients.map(domainOf), intelligence),
    intelligence,
  );
  return { score: risk_score, reasons };
}

/** What is looked up once the caller may: the permit was used up, and written down, before anything left. */
export interface DomainCheck {
  domain: string;
  registrable: string;
}

/**
 * Looks up anew for a scheduled message whose time has come: what was known when it was written may be a year old.
 * @returns what keeps it in the message as it is by then; one that was edited meanwhile was looked up with its edit.
 */
export async function lookUpWhenDue(box: MailboxBase, message: Message): Promise<(current: Message) => void> {
  const { content_hash, intelligence: earlier, test } = outboundOf(message);
  // A person who decided saw what was known; what is refused anyway needs nothing.
  const isOpen = message.status === "scheduled" && message.record.decision === null && earlier !== undefined;
  if (!isOpen || box.verdictAtDue(message).verdict === "deny") return () => {};
  const { to, cc, bcc } = message.record;
  const recipients = [...to, ...cc, ...bcc].map(({ address }) => address);
  const intelligence = await lookUpRecipients(box, { actor: SYSTEM, test }, recipients, { remembered_only: false });
  return (current) => {
    const outbound = outboundOf(current);
    if (!intelligence || outbound.content_hash !== content_hash) return;
    Object.assign(outbound, { intelligence, domain_risk: domainRisk(box, recipients, intelligence) });
  };
}

/** Lets a caller look up one domain, or says why not. The approval is used up here, before anything leaves. */
export function permitCheck(box: MailboxBase, caller: Caller, domain: string): Outcome<DomainCheck> {
  const registrable = askableDomain(domain) ?? domain;
  return permitted(box, caller, { effect: "send" }, ({ use, detail }: Permit) => {
    box.commit(() => {
      use();
      box.record({ actor: actorOf(caller), action: "domain.checked", detail, personal: { domain } });
    });
    return accepted({ domain, registrable });
  });
}

/** Looks up one domain for a caller who was let: all of its registrable domain, and who takes the mail of the name itself. */
export async function checkDomain(
  box: MailboxBase,
  caller: Caller,
  { domain, registrable }: DomainCheck,
): Promise<DomainReport> {
  const look = (name: string, sources: readonly Source[]) =>
    // The entry of the check has the name already.
    lookUpDomains([name], { ...lookUpFor(box, actorOf(caller), sources, caller.test), noteNewNames: () => {} });
  const [intelligence, exact] = await Promise.all([
    look(registrable, sourcesOf(box.environment())),
    registrable === domain ? null : look(domain, mailServerSource()),
  ]);
  const judged = judgedDomains(box, [domain], intelligence).map((each) => ({
    ...each,
    own_mx: exact?.domains[0]?.mx ?? null,
  }));
  const whole = exact
    ? {
        ...intelligence,
        domains: [...intelligence.domains, ...exact.domains],
        over_budget: [...intelligence.over_budget, ...exact.over_budget],
      }
    : intelligence;
  return {
    domain,
    registrable_domain: registrable,
    known: judged[0]?.known ?? false,
    history: judged[0]?.history ?? NO_HISTORY,
    ...viewFor(box, judged, whole),
  };
}

/**
 * Of a message that is let go, who takes mail is asked of each whole domain.
 * @returns the domains that say they take none (RFC 7505 §4.1: mail to them is returned at once, and never queued).
 */
export async function domainsWithoutMail(box: MailboxBase, recipients: readonly string[]): Promise<Set<string>> {
  const [mx] = mailServerSource();
  const domains = [...new Set(recipients.map(domainOf))];
  if (!mx) return new Set();
  const tools = toolsFor(box.environment());
  const answers = await Promise.all(
    domains.map((domain) => askSource(mx, domain, tools, sourceLimitOf(box.environment()))),
  );
  return new Set(domains.filter((_domain, index) => isNull(answers[index])));
}

function isNull(answer: Awaited<ReturnType<typeof askSource>> | undefined): boolean {
  return answer !== undefined && "fact" in answer && answer.fact === "null";
}

/** The timer that brings a domain to those that others are compared with; its ref is the domain. */
export const KNOWN_DOMAIN = "known_domain";

/** Serves a `known_domain` timer. */
export async function tellKnownDomain(box: MailboxBase, timer: Timer): Promise<void> {
  await projectKnownDomain(box.database(), box.settings().tenant_id, timer.ref);
  box.commit(() => box.finish(timer));
}
