import { makeVisible, withoutHidden } from "./characters.ts";
import { inBothForms, judgeDomain } from "./domains.ts";
import type { HtmlLink } from "./html-content.ts";
import { shorten, type Warning } from "./warning.ts";

/** What a link's words claim to be: a host with an optional path, or an e-mail address. */
type Claim = { kind: "web"; host: string; rest: string } | { kind: "mail"; address: string };

const SAFE_SCHEMES = new Set(["http:", "https:", "mailto:", "tel:", "cid:"]);
const MAIL_ADDRESS = /[\p{L}\p{N}._%+-]+@(?:[\p{L}\p{N}-]+\.)+\p{L}[\p{L}\p{N}-]+/u;
const WEB_ADDRESS = /(?:https?:\/\/|www\.)(?:[\p{L}\p{N}-]+\.)*[\p{L}\p{N}-]+(?::\d+)?(?:[/?#]\S*)?/iu;
const BARE_HOST = /^(?:[\p{L}\p{N}-]+\.)+(\p{L}{2,24}|xn--[a-z0-9-]+)(?::\d+)?(?:\/\S*)?$/iu;
/** What follows the last dot of names that are files or programs, not hosts, when nothing else marks them as addresses. */
const FILE_ENDINGS = new Set(
  "pdf doc docx xls xlsx ppt pptx odt ods txt csv rtf md html htm xml json yaml yml js ts jsx tsx py rb rs go java c h cpp sh sql png jpg jpeg gif svg webp zip gz tar eml ics mp3 mp4 mov exe dll log toml".split(
    " ",
  ),
);

function parseUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null;
}

/** Nobody reads an address further on; the time to look for one grows with the square of the words. */
const LONGEST_WORDS = 500;
/** How an address that is not written out to its end is cut off. */
const CUT_ENDS = ["…", "%e2%80%a6", "...", "/"];

function withoutCutEnd(address: string): string {
  let rest = address.toLowerCase();
  for (let end: string | undefined = ""; end !== undefined; end = CUT_ENDS.find((cut) => rest.endsWith(cut))) {
    rest = rest.slice(0, rest.length - end.length);
  }
  return rest;
}

function claimOf(words: string): Claim | null {
  const text = withoutHidden(words).normalize("NFKC").replace(/\s+/g, " ").trim().slice(0, LONGEST_WORDS);
  const mail = MAIL_ADDRESS.exec(text);
  if (mail && !/:\/\//.test(text)) return { kind: "mail", address: mail[0].toLowerCase() };
  const bare = BARE_HOST.exec(text);
  const isFile = bare !== null && !text.includes("/") && FILE_ENDINGS.has((bare[1] ?? "").toLowerCase());
  const written = WEB_ADDRESS.exec(text)?.[0] ?? (bare && !isFile ? text : null);
  if (written === null) return null;
  const url = parseUrl(/^https?:/i.test(written) ? written : `http://${written}`);
  if (url === null || url.hostname === "") return null;
  return {
    kind: "web",
    host: url.hostname,
    rest: withoutCutEnd(url.pathname + url.search),
  };
}

function bareHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^www\./, "")
    .replace(/\.$/, "");
}

/** Click counters live below the sender's own name, so a host below the one that is shown is the same place. */
function isSamePlace(target: string, shown: string): boolean {
  return bareHost(target) === bareHost(shown) || bareHost(target).endsWith(`.${bareHost(shown)}`);
}

function mailTarget(url: URL): string {
  try {
    return decodeURIComponent(url.pathname).toLowerCase();
  } catch {
    // A stray % cannot be decoded; the address is then compared as it is written.
    return url.pathname.toLowerCase();
  }
}

function disguised(link: HtmlLink, message: string): Warning {
  return { code: "link_disguised", severity: "danger", where: "html", message, evidence: evidenceOf(link) };
}

function elsewhere(link: HtmlLink, severity: Warning["severity"], message: string): Warning {
  return { code: "link_elsewhere", severity, where: "html", message, evidence: evidenceOf(link) };
}

function evidenceOf(link: HtmlLink) {
  const shown = makeVisible(link.text.replace(/\s+/g, " ").trim(), "line");
  return [
    { label: "It says", text: shorten(shown || "(no words)", 120) },
    { label: "It leads to", text: shorten(makeVisible(link.href, "strict"), 200) },
  ];
}

function judgeMail(link: HtmlLink, address: string, url: URL): Warning[] {
  if (url.protocol === "mailto:") {
    const target = mailTarget(url);
    if (target === address) return [];
    return [
      elsewhere(link, "danger", `A link shows the address ${address}, but writes to ${makeVisible(target, "strict")}.`),
    ];
  }
  // "anna@acme.example" linked to a page at acme.example is a contact page.
  if (isSamePlace(url.hostname, address.slice(address.indexOf("@") + 1))) return [];
  return [
    elsewhere(link, "danger", `A link shows the e-mail address ${address}, but opens ${inBothForms(url.hostname)}.`),
  ];
}

function judgeWeb(link: HtmlLink, claim: { host: string; rest: string }, url: URL): Warning[] {
  const shown = inBothForms(claim.host);
  if (url.protocol === "mailto:") {
    return [
      elsewhere(
        link,
        "caution",
        `A link shows ${shown}, but writes an e-mail to ${makeVisible(mailTarget(url), "strict")}.`,
      ),
    ];
  }
  if (!isSamePlace(url.hostname, claim.host)) {
    return [elsewhere(link, "danger", `A link shows ${shown}, but leads to ${inBothForms(url.hostname)}.`)];
  }
  if (!(url.pathname + url.search).toLowerCase().startsWith(claim.rest)) {
    return [
      elsewhere(link, "caution", `A link to ${inBothForms(url.hostname)} leads to another page than the one it shows.`),
    ];
  }
  return [];
}

/** Judges one link by its words and its target. */
export function judgeLink(link: HtmlLink): Warning[] {
  const url = parseUrl(link.href.trim());
  if (url === null) return [];
  if (!SAFE_SCHEMES.has(url.protocol)) {
    return [
      disguised(link, `A link starts something other than a web page or an e-mail (${url.protocol.slice(0, 24)}).`),
    ];
  }
  const found: Warning[] = [];
  if (/^https?:$/.test(url.protocol)) {
    if (url.username !== "" || url.password !== "") {
      const host = inBothForms(url.hostname);
      found.push(
        disguised(
          link,
          `A link is written to look like another site; what counts comes after the @: it opens ${host}.`,
        ),
      );
    }
    found.push(...judgeDomain(url.hostname, "html", "The domain of a link"));
  }
  const claim = claimOf(link.text);
  if (claim?.kind === "mail") found.push(...judgeMail(link, claim.address, url));
  if (claim?.kind === "web") found.push(...judgeWeb(link, claim, url));
  return found;
}
