/** What a person reads, tags as spaces. */
export function wordsOf(html: string): string {
  const shown = html
    .replace(/<style>[\s\S]*?<\/style>|<head>[\s\S]*?<\/head>/g, "")
    .replace(/<\/?(?:bdi|b|span|mark|time)\b[^>]*>/g, "");
  return shown
    .replace(/<[^>]+>/g, " ")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replace(/\s+/g, " ");
}
