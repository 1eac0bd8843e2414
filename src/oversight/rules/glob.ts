/**
 * Whether the whole of `text` is as `glob` says, where `*` is any run of characters, also of none. The parts between stars are
 * sought in order, each at the first place where it is: no other place for one leaves more room for the next. With a glob as the
 * text, it says whether `glob` matches everything that the other does.
 */
export function matchesGlob(glob: string, text: string): boolean {
  const star = glob.indexOf("*");
  if (star < 0) return glob === text;
  const lastStar = glob.lastIndexOf("*");
  const end = text.length - (glob.length - lastStar - 1);
  if (end < star || !text.startsWith(glob.slice(0, star)) || !text.endsWith(glob.slice(lastStar + 1))) return false;
  let at = star;
  for (const part of glob.slice(star, lastStar).split("*")) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
