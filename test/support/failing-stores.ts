/** D1 and R2 as they are when they fail: the real ones, with calls that fail before or after they took effect, or never return. */

/**
 * What becomes of a call: it is carried out; it fails, or fails having taken effect; the object that made it is lost before it
 * reaches anyone, or after it took effect.
 */
export type Fate = "served" | "fails" | "fails_having_worked" | "lost" | "lost_having_worked";

export const FATES: readonly Fate[] = ["served", "fails", "fails_having_worked", "lost", "lost_having_worked"];

/** Decides of each call, by its words: `D1 batch INSERT INTO audit_log`, `R2 put`. */
export type Fates = (call: string) => Fate;

export class FailingStores {
  fates: Fates = () => "served";
  /** Every call, in order. */
  readonly calls: string[] = [];
  readonly env: Cloudflare.Env;
  private tellLost: () => void = () => {};
  private lost: Promise<void>;

  constructor(whole: Cloudflare.Env) {
    this.lost = this.newLost();
    this.env = { ...whole, DB: this.database(whole.DB), STORE: this.bucket(whole.STORE) };
  }

  private newLost(): Promise<void> {
    return new Promise((resolve) => {
      this.tellLost = resolve;
    });
  }

  /** @returns whether `work` came to its end; else the object was lost with a call under way, and does nothing more. */
  async survives(work: Promise<unknown>): Promise<boolean> {
    const survived = await Promise.race([work.then(() => true), this.lost.then(() => false)]);
    if (!survived) this.lost = this.newLost();
    return survived;
  }

  private async call<T>(name: string, effect: () => Promise<T>): Promise<T> {
    this.calls.push(name);
    const fate = this.fates(name);
    if (fate === "served") return effect();
    if (fate === "fails_having_worked" || fate === "lost_having_worked") await effect();
    if (fate === "fails" || fate === "fails_having_worked") throw new Error(`${name} is away`);
    this.tellLost();
    return new Promise(() => {});
  }

  private database(whole: D1Database): D1Database {
    const plain = new WeakMap<object, { statement: D1PreparedStatement; words: string }>();
    const wrap = (statement: D1PreparedStatement, words: string): D1PreparedStatement => {
      const wrapped = new Proxy(statement, {
        get: (target, name) => {
          if (name === "bind") return (...values: unknown[]) => wrap(target.bind(...values), words);
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== "function") return member;
          return (...values: unknown[]) => this.call(`D1 ${words}`, () => Reflect.apply(member, target, values));
        },
      });
      plain.set(wrapped, { statement, words });
      return wrapped;
    };
    const wordsOf = (query: string) =>
      query
        .replace(/\s+/g, " ")
        .trim()
        .split(/ WHERE | \(|FROM json/)[0] ?? "";
    const batch = (statements: D1PreparedStatement[]) => {
      const known = statements.map((each) => plain.get(each) ?? { statement: each, words: "" });
      return this.call(`D1 batch ${known[0]?.words}`, () => whole.batch(known.map(({ statement }) => statement)));
    };
    return new Proxy(whole, {
      get(target, name) {
        if (name === "prepare") return (query: string) => wrap(target.prepare(query), wordsOf(query));
        if (name === "batch") return batch;
        const member: unknown = Reflect.get(target, name);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  }

  private bucket(whole: R2Bucket): R2Bucket {
    return new Proxy(whole, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return (...values: unknown[]) => this.call(`R2 ${String(name)}`, () => Reflect.apply(member, target, values));
      },
    });
  }
}
