import { find } from "./dom.ts";

/** Where a page says what it found. */

/** What the page says. */
export interface Answer {
  parts: Node[];
  /** What a screen reader says at once. */
  spoken: string;
}

/** A check that is under way. */
export interface UnderWay {
  /** Whether its answer would still be shown. */
  isWanted: () => boolean;
  /** Says how far it is. */
  progress: (words: string) => void;
}

/** The one place for answers: only that of the newest check is shown. */
export class AnswerPlace {
  private readonly progress = find("progress", HTMLElement);
  readonly element: HTMLElement = find("answer", HTMLElement);
  /** Counts the checks. */
  private newest = 0;

  /** Shows what needs no check. */
  show({ parts, spoken }: Answer): void {
    this.newest += 1;
    this.element.replaceChildren(...parts);
    this.element.hidden = false;
    this.progress.textContent = spoken;
    this.element.scrollIntoView({ block: "nearest" });
  }

  /** Runs a check, and shows its answer unless a newer one was begun. */
  async run(check: (underWay: UnderWay) => Promise<Answer>): Promise<void> {
    const mine = ++this.newest;
    const isWanted = () => mine === this.newest;
    const progress = (words: string) => {
      if (isWanted()) this.progress.textContent = words;
    };
    progress("Checking…");
    const found = await check({ isWanted, progress });
    if (isWanted()) this.show(found);
  }
}
