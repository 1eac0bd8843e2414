import { fromJson, isObject } from "../../../../src/identity/encoding.ts";
import { NotUsable } from "./usable.ts";

/** The key that this deployment publishes for a log. */

const KEY_PATH = "/v1/audit-log/verifier-key";
/** Where a log's name stands first: in the first entry, or in the checkpoint of a log without any. */
const NAMED = /"log":"((?:mbx|ten)_[0-9A-Za-z]{1,26})"|\/logs\/((?:mbx|ten)_[0-9A-Za-z]{1,26})\\n/;
/** An entry without its opened fields is not longer, and those stand after the name. */
const BEGINNING = 64 * 1024;

/** @returns the log that an export says it is of; null where it names none that can be asked for. Nothing of it is checked. */
export async function logNamed(file: Blob): Promise<string | null> {
  const [, ofEntry, ofCheckpoint] = NAMED.exec(await file.slice(0, BEGINNING).text()) ?? [];
  return ofEntry ?? ofCheckpoint ?? null;
}

async function fetched(log: string): Promise<Response> {
  try {
    return await fetch(`${KEY_PATH}?${new URLSearchParams({ log })}`, { credentials: "omit", redirect: "error" });
  } catch {
    // A browser does not tell a script why nothing came.
    throw new NotUsable("The key could not be fetched. Are you online? With a key of your own nothing is fetched.");
  }
}

/** @returns the verifier key. @throws {NotUsable} where this deployment knows no such log, or gives no answer that can be read. */
export async function publishedLogKey(log: string): Promise<string> {
  const response = await fetched(log);
  if (response.status === 404) throw new NotUsable(`${location.host} knows no log ${log}. Use a key that you have.`);
  if (!response.ok) throw new NotUsable(`The key could not be fetched: the server answered ${response.status}.`);
  const answer = fromJson(await response.text());
  if (!isObject(answer) || typeof answer.verifier_key !== "string") {
    throw new NotUsable("The key could not be fetched: the answer is no verifier key.");
  }
  return answer.verifier_key;
}
