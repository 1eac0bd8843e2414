/** Splits what is new in a message from the history it quotes. */

/** The lines that introduce quoted history when a mail program writes them, by language. A pattern sees up to four joined lines. */
const ATTRIBUTIONS: RegExp[] = [
  /^On\b.{4,300}\bwrote:$/i,
  /^(?:Am|Den)\b.{4,300}\b(?:schrieb|skrev)\b.{0,200}:$/i,
  /^Le\b.{4,300}\ba écrit ?:$/i,
  /^El\b.{4,300}\bescribi(?:ó|o):$/i,
  /^Il(?: giorno)?\b.{4,300}\bha scritto:$/i,
  /^(?:Em|A|Na)\b.{4,300}\bescreveu:$/i,
  /^Op\b.{4,300}\bschreef\b.{0,200}:$/i,
  /^(?:W dniu|Dnia)\b.{4,300}(?:napisał\(a\)|napisał|napisała|pisze):$/i,
  /^.{4,300}(?:пишет|написал|написала|написал\(а\)):$/i,
  /^\d{4}年.{2,300}(?:写道|寫道|のメール|:|：)[:：]?$/,
  /^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b.{0,200}<[^<>\s]+@[^<>\s]+>.{0,20}:$/,
];

/** Lines that alone begin the history: everything below is quoted. */
const SEPARATORS: RegExp[] = [
  /^-{2,}\s*(?:Original Message|Original Appointment|Forwarded message|Ursprüngliche Nachricht|Weitergeleitete Nachricht|Message d'origine|Message transféré|Mensaje original|Mensagem original|Messaggio originale|Oorspronkelijk bericht|Исходное сообщение|原始邮件)\s*-{2,}$/i,
  /^Begin forwarded message:$/i,
];

/** The block that Outlook puts above history: From, then within a few lines a date. Markdown may have set it bold. */
const OUTLOOK_FROM = /^\*{0,2}(?:From|Von|De|Da|Van|От|发件人|差出人)\*{0,2}\s*[:：]\*{0,2}\s*\S/i;
const OUTLOOK_DATE =
  /^\*{0,2}(?:Sent|Date|Gesendet|Datum|Envoyé|Enviado(?: el)?|Inviato|Verzonden|Отправлено|发送时间|送信日時)\*{0,2}\s*[:：]/i;

const QUOTED_LINE = /^\s{0,3}>/;
const MAX_ATTRIBUTION_LINES = 4;
/** A longer line, or a text of more lines, is no conversation; it stays whole. */
const MAX_LINE_LENGTH = 1_000;
const MAX_LINES = 50_000;

/** Where a line begins in the text, and what it says. */
interface Line {
  at: number;
  text: string;
}

function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at <= text.length; ) {
    if (lines.length === MAX_LINES) return [];
    const end = text.indexOf("\n", at);
    const stop = end < 0 ? text.length : end;
    lines.push({ at, text: text.slice(at, stop).replace(/\r$/, "") });
    at = stop + 1;
  }
  return lines;
}

const isBlank = (line: Line | undefined) => line !== undefined && line.text.trim() === "";

/** @returns how many lines, from `index` on, make up an attribution, or 0. */
function attributionLength(lines: Line[], index: number): number {
  let joined = "";
  for (let n = 1; n <= MAX_ATTRIBUTION_LINES; n++) {
    const line = lines[index + n - 1];
    if (line === undefined || isBlank(line) || QUOTED_LINE.test(line.text)) return 0;
    if (joined.length + line.text.length > MAX_LINE_LENGTH) return 0;
    joined = `${joined} ${line.text.trim()}`.trim();
    if (ATTRIBUTIONS.some((pattern) => pattern.test(joined))) return n;
  }
  return 0;
}

function isOutlookBlock(lines: Line[], index: number): boolean {
  const line = lines[index]?.text.trim() ?? "";
  if (line.length > MAX_LINE_LENGTH || !OUTLOOK_FROM.test(line)) return false;
  // Markdown of an Outlook block may keep it on one line.
  if (/\s\*{0,2}(?:Sent|Gesendet|Envoyé|Enviado|Inviato)\*{0,2}\s*:/i.test(line)) return true;
  return lines.slice(index + 1, index + 6).some((line) => OUTLOOK_DATE.test(line.text.trim()));
}

/** @returns whether nothing but quoted or blank lines follows, so that no reply stands between quotes. */
function onlyQuotesFollow(lines: Line[], from: number): boolean {
  return lines.slice(from).every((line) => isBlank(line) || QUOTED_LINE.test(line.text));
}

function endOfQuotes(lines: Line[], from: number): number {
  let index = from;
  while (index < lines.length && (isBlank(lines[index]) || QUOTED_LINE.test(lines[index]?.text ?? ""))) index++;
  return index;
}

/** @returns the index of the line where history begins, or null if there is none or replies stand inside it. */
function findHistory(lines: Line[]): number | null {
  for (let index = 0; index < lines.length; index++) {
    const text = lines[index]?.text.trim() ?? "";
    if (text === "") continue;
    if (SEPARATORS.some((pattern) => pattern.test(text)) || isOutlookBlock(lines, index)) return index;
    const length = attributionLength(lines, index);
    if (length > 0) {
      const first = index + length;
      const end = endOfQuotes(lines, first);
      const quotes = lines.slice(first, end).some((line) => QUOTED_LINE.test(line.text));
      // Quoted by `>`: something written below it is a reply. Without `>` the rest is history as a whole.
      if (!quotes || onlyQuotesFollow(lines, end)) return index;
      return null;
    }
    if (QUOTED_LINE.test(text)) return onlyQuotesFollow(lines, index) ? index : null;
  }
  return null;
}

/**
 * Splits `text`, plain or markdown, where the quoted history begins. A message that answers between quoted lines, or that
 * would be left with nothing new, stays whole.
 * @returns `fresh`, and `quoted` or null; one after the other they are `text` again, character for character.
 */
export function splitQuotedHistory(text: string): { fresh: string; quoted: string | null } {
  const lines = linesOf(text);
  const index = findHistory(lines);
  const at = index === null ? undefined : lines[index]?.at;
  if (at === undefined || text.slice(0, at).trim() === "") return { fresh: text, quoted: null };
  return { fresh: text.slice(0, at), quoted: text.slice(at) };
}
