import { type Answer, AnswerPlace, type UnderWay } from "./answer-place.ts";
import { find } from "./dom.ts";

/** What both pages that check a file have: a form, a place to drop, one answer. */

/** A page's own part. */
export interface FileCheck {
  input: HTMLInputElement;
  check: (file: File, underWay: UnderWay) => Promise<Answer>;
  /** What is said where nothing was chosen, or something that is no file was dropped. */
  nothingChosen: () => Answer;
  notAFile: () => Answer;
}

/** Checks whatever file is chosen or dropped, and shows the newest answer. */
export function checkChosenFiles({ input, check, nothingChosen, notAFile }: FileCheck): void {
  const form = find("check", HTMLFormElement);
  const drop = find("drop", HTMLElement);
  const answers = new AnswerPlace();
  let chosen: File | null = null;

  async function checkChosen(): Promise<void> {
    const file = chosen;
    if (file !== null) return answers.run((underWay) => check(file, underWay));
    answers.show(nothingChosen());
    input.focus();
  }

  function choose(file: File | undefined): void {
    chosen = file ?? null;
    if (file) void checkChosen();
    else answers.show(notAFile());
  }

  input.addEventListener("change", () => choose(input.files?.[0]));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void checkChosen();
  });
  // Anywhere on the page: a file that is dropped beside a target would replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    input.value = "";
    choose(event.dataTransfer?.files[0]);
  });
  form.hidden = false;
}
