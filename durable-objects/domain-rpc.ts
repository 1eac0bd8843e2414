import type { Outcome } from "../src/errors.ts";
import type { Alignment, DkimKeyType, DmarcPolicy } from "../src/mail/domain-plan.ts";
import type { Domain } from "../src/operations/shapes/domain.ts";
import type { Caller } from "../src/oversight/caller.ts";
import type { StoredDkimKey } from "../src/store/domains.ts";

/** What a tenant object answers about its domains. */
export interface DomainRpc {
  /**
   * Sets a domain up, or changes how it is set up; the same call again changes nothing. Durable when it returns. Keys are made by
   * whoever calls: where some are needed and none were brought, nothing is changed and `needs_keys` says of which type.
   */
  configureDomain(
    caller: Caller,
    wish: DomainWish,
    keys: readonly StoredDkimKey[] | null,
  ): Promise<Outcome<ConfiguredDomain | NeedsKeys>>;
  /** @param domain in A-labels. */
  isDomainConfigured(caller: Caller, domain: string): Promise<Outcome<boolean>>;
  /** Before the DNS is asked for names that a caller chose: counts them. `rate_limited` for too many new ones in a day. */
  admitNames(caller: Caller, names: readonly string[]): Promise<Outcome<true>>;
  getDomain(caller: Caller, id: string): Promise<Outcome<Domain>>;
  /** One page in the order of their ids. @param page `cursor`: the last id of the page before. */
  listDomains(
    caller: Caller,
    page: { limit: number; cursor: string | null },
  ): Promise<Outcome<{ domains: Domain[]; cursor: string | null; total: number }>>;
  /** `wrong_state` while a mailbox is at the domain. */
  deleteDomain(caller: Caller, id: string): Promise<Outcome<Domain>>;
  /** Looks at the DNS now, and takes notice of it as a look by itself would; one that had ended begins anew. */
  lookAtDomain(caller: Caller, id: string): Promise<Outcome<LookedAtDomain>>;
  /** Begins to replace the DKIM keys. While the new ones are awaited the same call answers the same. */
  rotateDkim(
    caller: Caller,
    id: string,
    keys: readonly StoredDkimKey[] | null,
  ): Promise<Outcome<ConfiguredDomain | NeedsKeys>>;
  /** Whether mailboxes can be made at a domain: it is the tenant's and aligned. @param domain in A-labels. */
  mayHaveMailboxes(caller: Caller, domain: string): Promise<Outcome<boolean>>;
  /** Somebody else may have proved that a domain is theirs: it is looked at soon. Harmless for any id. */
  recheckDomain(id: string): Promise<void>;
}

/** How a domain is set up. */
export interface DomainSettings {
  dkim_key_type: DkimKeyType;
  dmarc_policy: DmarcPolicy;
  /** An address, or null. */
  dmarc_rua: string | null;
  mta_sts: boolean;
  tls_rpt: string | null;
  bimi_logo_url: string | null;
}

export interface DomainWish {
  /** In A-labels, lower case, no final dot. */
  domain: string;
  /** What is left out stays, or is the default. */
  settings: Partial<DomainSettings>;
  /** The SPF records that were found at the domain; null if the DNS did not answer. */
  spf: string[] | null;
}

export interface ConfiguredDomain {
  domain: Domain;
  /** It was set up before. */
  existed: boolean;
  /** D1 has it for another tenant, until this one proves control. */
  is_claimed_by_another: boolean;
}

/** Nothing was changed: the call is to be made again with fresh keys of this type, sealed for this domain. */
export interface NeedsKeys {
  needs_keys: { domain: string; dkim_key_type: DkimKeyType };
}

export interface LookedAtDomain {
  domain: Domain;
  is_claimed_by_another: boolean;
  /** What this look found, believed or not; null where nothing but the challenge was looked for. */
  found: Pick<Alignment, "status" | "checks" | "findings" | "detail"> | null;
}

/** What a delivery may know of the domain it writes from. */
export interface DomainStanding {
  /** `broken`: nothing leaves from it until its records are mended. */
  status: "ok" | "broken";
  /** Where bounces come back to: a domain whose mail arrives here. */
  return_path_domain: string;
}
