import canonicalize from "canonicalize";

/** @returns the RFC 8785 (JCS) form of `value`. @throws Error if it has none (a lone surrogate, NaN, undefined). */
export function canonical(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new Error("the value has no canonical JSON form");
  return text;
}
