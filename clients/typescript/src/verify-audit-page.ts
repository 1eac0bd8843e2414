import { readTrust, type Trust, UnusableCheckpoint } from "../../../src/audit/trust.ts";
import { verifyExport } from "../../../src/audit/verify-export.ts";
import { UnreadableKey } from "../../../src/identity/public-keys.ts";
import { troubleOf } from "./page/answer.ts";
import type { Answer, UnderWay } from "./page/answer-place.ts";
import { auditAnswerOf } from "./page/audit-answer.ts";
import { checkChosenFiles } from "./page/chosen-file.ts";
import { find } from "./page/dom.ts";
import { logNamed, publishedLogKey } from "./page/log-key.ts";
import { checkOfferedExports, fetchExport, type OfferedExport } from "./page/offered-exports.ts";
import { NotUsable } from "./page/usable.ts";

/**
 * The page /verify-audit: a visitor chooses or drops an export, and it is checked here; it leaves this browser by no way. On the
 * console's page of logs, exports are fetched and checked the same.
 */

const ownKey = find("own-key", HTMLTextAreaElement);
const ownAfter = find("own-after", HTMLTextAreaElement);
const ownWitness = find("own-witness", HTMLTextAreaElement);

function given({ value }: HTMLTextAreaElement): string | null {
  return value.trim() === "" ? null : value;
}

/** An export, wherever it comes from. */
interface Source {
  /** What the page calls it. */
  called: { label: string; text: string };
  /** The log that it must be of; null: whichever it says. */
  log: string | null;
  /** The log that it says it is of. */
  namedLog: () => Promise<string | null>;
  open: () => Promise<ReadableStream<Uint8Array>>;
  /** Null where nobody knows beforehand. */
  octets: number | null;
  /** What it means that it cannot be read to its end. */
  broken: string;
}

function chosen(file: File): Source {
  return {
    called: { label: "File", text: file.name },
    log: null,
    namedLog: () => logNamed(file),
    open: async () => file.stream(),
    octets: file.size,
    // A browser gives a folder, or a file that was moved since, as a file that cannot be read.
    broken: "This file cannot be read. Is it a folder, or was it moved?",
  };
}

function offered({ path, log, name }: OfferedExport): Source {
  return {
    called: { label: "Log of", text: name },
    log,
    namedLog: async () => log,
    open: () => fetchExport(path),
    octets: null,
    broken:
      "The export broke off before its end. Try again; if that does not help, the log has entries that are not there to read.",
  };
}

/** The key that the visitor pasted, else the one that this deployment publishes for the log. */
async function keyFor({ namedLog }: Source): Promise<{ key: string; key_from: string }> {
  const pasted = given(ownKey);
  if (pasted !== null) return { key: pasted, key_from: "what you pasted" };
  const log = await namedLog();
  if (log === null) {
    throw new NotUsable("This file names no log whose key could be asked for. Is it an export? If so, paste the key.");
  }
  return { key: await publishedLogKey(log), key_from: location.host };
}

function trustIn(key: string, log: string | null): Trust {
  const witnesses = given(ownWitness);
  return readTrust({ keys: key, after: given(ownAfter), witnesses: witnesses === null ? [] : [witnesses], log });
}

/** Of what is as large as nobody knows, this much is read before anything is said of it: octets. */
const FIRST_SAID = 4_000_000;

/** Says how far it is, but not at each step: a screen reader says all of them. */
function sayer(total: number | null, progress: (words: string) => void): (octets: number) => void {
  let next = total === null ? FIRST_SAID : total / 5;
  return (octets) => {
    if (octets < next) return;
    if (total === null) {
      next = 2 * octets;
      progress(`Checking, ${Math.floor(octets / 1_000_000)} MB so far.`);
    } else {
      next = octets + total / 5;
      progress(`Checking, ${Math.floor((100 * octets) / total)} percent.`);
    }
  };
}

/** The export as it is read; a check that nobody waits for any more ends where it is, and nothing more is fetched for it. */
async function* chunksOf({ open, octets: total, broken }: Source, { isWanted, progress }: UnderWay) {
  const reader = (await open()).getReader();
  const say = sayer(total, progress);
  let [octets, isOver] = [0, false];
  try {
    while (isWanted()) {
      const { done, value } = await reader.read().catch(() => {
        isOver = true;
        throw new NotUsable(broken);
      });
      if (done) {
        isOver = true;
        return;
      }
      octets += value.length;
      say(octets);
      yield value;
    }
  } finally {
    if (!isOver) await reader.cancel();
  }
}

function sentenceFor(error: unknown): string {
  if (error instanceof NotUsable || error instanceof UnusableCheckpoint) return error.message;
  if (error instanceof UnreadableKey) return [error.message, error.hint].filter((part) => part !== null).join(" ");
  reportError(error);
  return "This page made a mistake with this export. Please tell its makers; the browser's console says more.";
}

async function verdictOn(source: Source, underWay: UnderWay): Promise<Answer> {
  const { key, key_from } = await keyFor(source);
  // A key or a checkpoint that cannot be gone by is told of before anything is fetched.
  const trust = trustIn(key, source.log);
  const verdict = await verifyExport(chunksOf(source, underWay), trust);
  return auditAnswerOf({ called: source.called, verdict, key_from });
}

function check(source: Source, underWay: UnderWay): Promise<Answer> {
  return verdictOn(source, underWay).catch((error: unknown) => troubleOf(sentenceFor(error)));
}

const input = document.getElementById("export");
if (input instanceof HTMLInputElement) {
  checkChosenFiles({
    input,
    check: (file, underWay) => check(chosen(file), underWay),
    nothingChosen: () => troubleOf("Choose an export first."),
    notAFile: () => troubleOf("That was no file. Save the export first, and drop that."),
  });
} else {
  const buttons = document.querySelectorAll<HTMLButtonElement>("button[data-export]");
  checkOfferedExports([...buttons], (found, underWay) => check(offered(found), underWay));
}
