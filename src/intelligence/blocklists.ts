import { isQueryableName, type Resolver } from "../mail/dns-over-https.ts";
import { isAbsent, Unanswered } from "./unanswered.ts";

/** Blocklists of domains, asked by DNS: `<domain>.<list>` has an address in 127.0.0.0/8 where the list has the domain. */

/** More lists than this say nothing more, and each is a look-up for each domain. */
const MAX_LISTS = 4;

/** @returns the lists in a setting: names with spaces or commas between them; empty if there is none. @throws Error for what is no name. */
export function blocklistsIn(setting: string | undefined): string[] {
  const lists = [
    ...new Set(
      (setting ?? "")
        .toLowerCase()
        .split(/[\s,]+/)
        .filter(Boolean),
    ),
  ];
  const wrong = lists.find((list) => !isQueryableName(list) || !list.includes("."));
  if (wrong !== undefined) throw new Error(`DNS_BLOCKLISTS names ${wrong}, which is no domain name`);
  if (lists.length > MAX_LISTS) throw new Error(`DNS_BLOCKLISTS names more than ${MAX_LISTS} lists`);
  return lists;
}

/**
 * Answers that say nothing of the domain, whichever list gives them: the list does not serve this resolver (127.0.0.1 with URIBL
 * and SURBL, 127.255.255.0/24 with Spamhaus), or takes the question for one about an IP address (127.0.1.255).
 */
const REFUSALS = /^127\.0\.0\.1$|^127\.255\.255\.\d+$|^127\.0\.1\.255$/;
const ANSWER = /^127(?:\.\d{1,3}){3}$/;

/** What Spamhaus's DBL, whose codes others use too, means by an answer. Any other answer only says: listed. */
const MEANINGS: Readonly<Record<string, string>> = {
  "127.0.1.2": "spam",
  "127.0.1.4": "phishing",
  "127.0.1.5": "malware",
  "127.0.1.6": "control of malware",
  "127.0.1.102": "abused for spam",
  "127.0.1.103": "abused for redirection",
  "127.0.1.104": "abused for phishing",
  "127.0.1.105": "abused for malware",
  "127.0.1.106": "abused for control of malware",
};

/** @returns what an answer means; null: it says nothing of the domain. */
export function meaningOf(address: string): string | null {
  if (!ANSWER.test(address) || REFUSALS.test(address)) return null;
  return MEANINGS[address] ?? "listed";
}

/**
 * Asks one list about one domain.
 * @returns what the listing means; null: the list does not have it.
 * @throws {Unanswered} `refused` for an answer that says nothing; DnsError where there is none.
 */
export async function lookUpBlocklist(domain: string, list: string, resolver: Resolver): Promise<string | null> {
  let answers: string[];
  try {
    answers = (await resolver(`${domain}.${list}`, "A")) as string[];
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
  const meaning = answers.map(meaningOf).find((found) => found !== null);
  if (meaning === undefined) throw new Unanswered("refused");
  return meaning;
}
