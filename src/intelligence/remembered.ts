import type { FactStore, StoredAnswer } from "./look-up.ts";

/** A store's answers kept in memory for a moment, so that one mailbox's mail to the same people reads them once. */

const KEPT_MS = 60_000;
const MAX_DOMAINS = 500;

interface Kept {
  answers: StoredAnswer[];
  is_seen: boolean;
  at: number;
}

/**
 * @param store what has the last word on names that may be asked for, and keeps the answers.
 * @param now milliseconds since the epoch.
 */
export function withMemory(store: FactStore, now: () => number): FactStore {
  const kept = new Map<string, Kept>();
  let relatives: string[] = [];

  function keep(domain: string, answers: StoredAnswer[], is_seen: boolean): void {
    if (kept.size >= MAX_DOMAINS) kept.clear();
    kept.set(domain, { answers, is_seen, at: now() });
  }

  return {
    async read(domains) {
      const known = domains.map((domain) => kept.get(domain)).filter((each) => each !== undefined);
      const isFresh = known.length === domains.length && known.every(({ at }) => now() - at < KEPT_MS);
      if (isFresh) {
        return {
          answers: known.flatMap(({ answers }) => answers),
          seen: domains.filter((domain) => kept.get(domain)?.is_seen),
          relatives,
        };
      }
      const read = await store.read(domains);
      relatives = read.relatives;
      const byDomain = Map.groupBy(read.answers, ({ domain }) => domain);
      for (const domain of domains) keep(domain, byDomain.get(domain) ?? [], read.seen.includes(domain));
      return read;
    },
    async admit(names, day, budget) {
      const admitted = await store.admit(names, day, budget);
      for (const name of admitted) keep(name, kept.get(name)?.answers ?? [], true);
      return admitted;
    },
    async write(answers, at) {
      for (const [domain, fresh] of Map.groupBy(answers, (answer) => answer.domain)) {
        const others = (kept.get(domain)?.answers ?? []).filter(
          ({ source }) => !fresh.some((answer) => answer.source === source),
        );
        keep(domain, [...others, ...fresh], true);
      }
      await store.write(answers, at);
    },
  };
}
