/** Oversight modes, in order of strictness: the first is the strictest. */
export const MODES = ["read_only", "gated_all", "gated_send", "monitored", "autonomous"] as const;
export type Mode = (typeof MODES)[number];

/** @returns the stricter of two modes. */
export function stricter(a: Mode, b: Mode): Mode {
  return MODES.indexOf(a) <= MODES.indexOf(b) ? a : b;
}

/** @returns whether `to` gives an agent more rope than `from`. */
export function isLooser(to: Mode, from: Mode): boolean {
  return MODES.indexOf(to) > MODES.indexOf(from);
}
