import { keywordSearch } from "./keywords.ts";
import { compilePattern } from "./patterns.ts";
import type { ContentPlace, ContentRule } from "./policy-type.ts";
import { type Reading, type ReadText, readPlace } from "./readable-text.ts";
import type { JudgedSend, Reason } from "./verdict-type.ts";
import { quoted } from "./words.ts";

/**
 * What one pattern may cost in one place of one message: its steps times the characters it reads, which bounds the matcher's time.
 * Ordinarily a character takes some 10 ns whatever the pattern; where pattern and text are made for it, every step takes 50 ns, so
 * that twenty such patterns take four seconds. A pattern of 32 steps reads 128 Ki characters. Each pattern has its own allowance,
 * so that no rule reads less because of another.
 */
export const MAX_MATCHING_STEPS = 2 ** 22;

const PLACE_WORDS: Readonly<Record<ContentPlace, string>> = {
  subject: "the subject",
  body: "the body",
  tags: "the tags",
};

/** What was found, in words, or null; `unread` if there was text that could not be looked at. */
interface Finding {
  found: string | null;
  unread: boolean;
}

type Search = (texts: readonly ReadText[]) => Finding;

function readingsOf(texts: readonly ReadText[]): Reading[] {
  return texts.flatMap(({ readings }) => readings);
}

function searchFor(keywords: readonly string[]): Search {
  const find = keywordSearch(keywords);
  return (texts) => {
    for (const reading of readingsOf(texts)) {
      const keyword = find(reading);
      if (keyword !== null) return { found: quoted(keyword), unread: false };
    }
    return { found: null, unread: false };
  };
}

function searchByPattern(pattern: string): Search {
  const compiled = compilePattern(pattern);
  // One that went out of use since the policy was set: what cannot be looked for may be anywhere.
  if ("problem" in compiled) return () => ({ found: null, unread: true });
  return (texts) => {
    let affordable = Math.floor(MAX_MATCHING_STEPS / compiled.steps);
    for (const { line } of readingsOf(texts)) {
      if (compiled.isFound(line.slice(0, affordable))) return { found: "its pattern", unread: false };
      affordable -= line.length;
      if (affordable < 0) return { found: null, unread: true };
    }
    return { found: null, unread: false };
  };
}

/** Judges by one rule. What it could not read to the end is held, so that length hides nothing. */
function judgeRule({ name, action, ...rule }: ContentRule, read: (place: ContentPlace) => ReadText[]): Reason[] {
  const searches = [searchFor(rule.keywords), ...(rule.pattern === null ? [] : [searchByPattern(rule.pattern)])];
  let unread = false;
  for (const place of rule.in) {
    const texts = read(place);
    unread ||= texts.some(({ isCut }) => isCut);
    for (const finding of searches.map((search) => search(texts))) {
      if (finding.found !== null) {
        const because = `The content rule ${quoted(name)} found ${finding.found} in ${PLACE_WORDS[place]}.`;
        return [{ rule: "content", action, because }];
      }
      unread ||= finding.unread;
    }
  }
  if (!unread) return [];
  const because = `The content rule ${quoted(name)} could not read all of the message, so a human must.`;
  return [{ rule: "content", action: "hold", because }];
}

/** Keyword and pattern rules. */
export function judgeContent(send: JudgedSend): Reason[] {
  const places = new Map<ContentPlace, ReadText[]>();
  const read = (place: ContentPlace) => {
    const texts = places.get(place) ?? readPlace(send, place);
    places.set(place, texts);
    return texts;
  };
  return send.policy.content.flatMap((rule) => judgeRule(rule, read));
}
