import type { TenantBase } from "./base.ts";

/** Looks at one domain follow each other, and so do changes of it: else whoever changes it often enough is never found out. */

const underWay = new WeakMap<TenantBase, Map<string, Promise<unknown>>>();

/** Joins the work that is under way for a domain, or begins it. Whatever it was begun with, it is the same work for every caller. */
export function joinOrBegin<T>(box: TenantBase, id: string, work: () => Promise<T>): Promise<T> {
  const all = underWay.get(box) ?? new Map<string, Promise<unknown>>();
  underWay.set(box, all);
  const running = all.get(id);
  if (running) return running as Promise<T>;
  const begun = work().finally(() => all.delete(id));
  all.set(id, begun);
  return begun;
}

/** Resolves once nothing is under way for a domain, however that ended. */
export async function turnOf(box: TenantBase, id: string): Promise<void> {
  for (let running = underWay.get(box)?.get(id); running; running = underWay.get(box)?.get(id))
    await Promise.allSettled([running]);
}
