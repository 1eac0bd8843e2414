import { type Answer, AnswerPlace, type UnderWay } from "./answer-place.ts";
import { find } from "./dom.ts";
import { NotUsable } from "./usable.ts";

/** Exports that a page offers to fetch: a button for each, with one answer. */

/** An export that can be fetched. */
export interface OfferedExport {
  /** Where it is, at this deployment. */
  path: string;
  /** The name of the log that it must be of. */
  log: string;
  /** Whose log it is. */
  name: string;
}

const BUSY = "Checking…";

function offeredBy({ dataset }: HTMLButtonElement): OfferedExport {
  const { export: path, log, name } = dataset;
  if (path === undefined || log === undefined || name === undefined) throw new Error("a button offers no export");
  return { path, log, name };
}

/** Checks whichever export is asked for, and shows the newest answer beside its button. */
export function checkOfferedExports(
  buttons: readonly HTMLButtonElement[],
  check: (offered: OfferedExport, underWay: UnderWay) => Promise<Answer>,
): void {
  const answers = new AnswerPlace();

  async function press(button: HTMLButtonElement): Promise<void> {
    // Each fetch is an entry of the account's log: a second press while one is under way is none.
    if (button.ariaDisabled === "true") return;
    const words = button.textContent;
    button.ariaDisabled = "true";
    button.textContent = BUSY;
    answers.element.hidden = true;
    button.closest("li")?.append(answers.element);
    await answers.run((underWay) => check(offeredBy(button), underWay));
    button.ariaDisabled = null;
    button.textContent = words;
  }

  for (const button of buttons) {
    button.addEventListener("click", () => void press(button));
    button.hidden = false;
  }
  find("check", HTMLElement).hidden = false;
}

/** @returns the export as it arrives. @throws {NotUsable} where it does not come. */
export async function fetchExport(path: string): Promise<ReadableStream<Uint8Array>> {
  let response: Response;
  try {
    response = await fetch(path, { redirect: "manual", cache: "no-store" });
  } catch {
    // A browser does not tell a script why nothing came.
    throw new NotUsable("The export could not be fetched. Are you online?");
  }
  if (response.type === "opaqueredirect")
    throw new NotUsable("You are signed out. Open the console and sign in again.");
  if (response.status === 404) throw new NotUsable("There is no such log, or it is not for you to read.");
  if (!response.ok || response.body === null) {
    throw new NotUsable(
      `The export could not be fetched: the server answered ${response.status}. Try again in a minute.`,
    );
  }
  return response.body;
}
