import type { AuthenticationVerdicts } from "./message.ts";

/** Authentication results (RFC 8601 §2.2) as an ARC-Authentication-Results field carries them (RFC 8617 §4.1.1). */

/** One result: `dmarc=fail (p=reject) header.from=bank.example`. */
export interface ReportedResult {
  method: string;
  result: string;
  /** `header.from` → `bank.example`; of several of one name, the last. */
  properties: ReadonlyMap<string, string>;
}

/** Longer values are not read; a field of real mail is far shorter. */
const MAX_RESULTS_CHARACTERS = 16 * 1024;

/** A comment, a quoted string, a separator, or a run of other characters. Comments nest and are counted below. */
const TOKEN = /\\[\s\S]|"(?:[^"\\]|\\[\s\S])*"|[();=]|[ \t\r\n]+|[^\\"();= \t\r\n]+|[\s\S]/g;

const unquoted = (token: string): string =>
  token.length > 1 && token.startsWith('"') ? token.slice(1, -1).replace(/\\([\s\S])/g, "$1") : token;

/** @returns the words of each part between semicolons, without comments; null where a comment or string does not end. */
function partsOf(text: string): string[][] | null {
  const parts: string[][] = [[]];
  let depth = 0;
  let joined = false;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "(") depth++;
    else if (token === ")") depth--;
    if (depth < 0 || (depth === 0 && (token === '"' || token.startsWith("\\")))) return null;
    if (depth > 0 || token === ")" || /^[ \t\r\n]/.test(token)) {
      joined = false;
      continue;
    }
    const part = parts.at(-1) as string[];
    if (token === ";") parts.push([]);
    else if (joined && token !== "=") part.push(`${part.pop()}${unquoted(token)}`);
    else part.push(unquoted(token));
    joined = token !== ";" && token !== "=";
  }
  return depth === 0 ? parts : null;
}

/** `name = value` in a row, from words; null where they are something else. */
function pairsOf(words: readonly string[]): [string, string][] | null {
  const pairs: [string, string][] = [];
  for (let at = 0; at < words.length; at += 3) {
    const [name, equals, value] = words.slice(at, at + 3);
    if (name === undefined || equals !== "=" || value === undefined || value === "=") return null;
    pairs.push([name.toLowerCase(), value]);
  }
  return pairs;
}

/**
 * Reads the results of an ARC-Authentication-Results field.
 * @param text its value after `i=N;`.
 * @returns the results in order; empty where it says none, or is not of the form.
 */
export function readResults(text: string): ReportedResult[] {
  if (text.length > MAX_RESULTS_CHARACTERS) return [];
  const parts = partsOf(text);
  if (parts === null) return [];
  // The first part is the authserv-id.
  return parts.slice(1).flatMap((words) => {
    const pairs = pairsOf(words);
    const [head, ...properties] = pairs ?? [];
    return head ? [{ method: head[0], result: head[1].toLowerCase(), properties: new Map(properties) }] : [];
  });
}

/** @returns the one result of a method; null where there is none, or more than one, of which nobody knows the right one. */
export function onlyResult(results: readonly ReportedResult[], method: string): ReportedResult | null {
  const found = results.filter((each) => each.method === method);
  return found.length === 1 ? (found[0] as ReportedResult) : null;
}

/** What may stand in a property without quotes: names, as they are in the DNS. */
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$/;
const RESULT = /^[a-z]{1,20}$/;

/** @returns `key=value`, or nothing where the value is no plain name: whoever wrote the message chose it. */
function property(key: string, value: string | null | undefined): string[] {
  return value && NAME.test(value) ? [`${key}=${value}`] : [];
}

function resinfo(method: string, result: string, ...properties: string[][]): string {
  return [`${method}=${RESULT.test(result) ? result : "none"}`, ...properties.flat()].join(" ");
}

/**
 * Writes verdicts down for the next hop.
 * @param authservId our host name.
 * @returns the value of an ARC-Authentication-Results field after its instance, folded at each result. It has no comment and
 *   no text of the message, only results and names.
 */
export function formatResults(authservId: string, verdicts: AuthenticationVerdicts): string {
  const signatures = verdicts.dkim_signatures.filter(({ domain }) => domain !== null);
  const dkim = signatures.map(({ result, domain, selector, algorithm }) =>
    resinfo(
      "dkim",
      result,
      property("header.d", domain),
      property("header.s", selector),
      property("header.a", algorithm),
    ),
  );
  return [
    authservId,
    resinfo("arc", verdicts.arc_result),
    ...(dkim.length > 0 ? dkim : ["dkim=none"]),
    resinfo("spf", verdicts.spf_result, property("smtp.mailfrom", verdicts.spf_domain)),
    resinfo(
      "dmarc",
      verdicts.dmarc_result,
      property("policy.published-domain-policy", verdicts.dmarc_policy),
      property("header.from", verdicts.checks?.dmarc.domain),
    ),
  ].join(";\r\n ");
}
