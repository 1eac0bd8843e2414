/** What the demo prints: a story a person can read, with ✓ or ✗ for each thing that was checked. */
export class Transcript {
  readonly #print: (line: string) => void;
  #passed = 0;
  #failed = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** Begins a step of the story. */
  step(title: string): void {
    this.#print(`\n${title}`);
  }

  /** Tells something that is not a check. */
  tell(text: string): void {
    for (const line of text.split("\n")) this.#print(`    ${line}`);
  }

  /** Records whether `what` holds; `seen` is printed if it does not. @returns `holds`. */
  check(what: string, holds: boolean, seen?: unknown): boolean {
    this.#print(`  ${holds ? "✓" : "✗"} ${what}`);
    if (holds) this.#passed++;
    else {
      this.#failed++;
      if (seen !== undefined) this.tell(`seen: ${typeof seen === "string" ? seen : JSON.stringify(seen)}`);
    }
    return holds;
  }

  get passed(): number {
    return this.#passed;
  }

  get failed(): number {
    return this.#failed;
  }
}
