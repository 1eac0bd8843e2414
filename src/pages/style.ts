import { createHash } from "node:crypto";
import { CONSOLE_STYLE } from "./console/style.ts";
import { RECORD_STYLE } from "./record/style.ts";

/**
 * The look of our pages. Colours meet WCAG 2.2 AA on their backgrounds in both schemes, and what can be pressed is at least
 * 48 px high.
 */
export const PAGE_STYLE = `
:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--ink:#171b21;--soft:#545d69;--line:#dcdfe4;--strong:#8a93a0;
--go:#0b6b43;--go-ink:#fff;--stop:#b3261e;--link:#0b57b8;--focus:#0b57b8;--sunk:#f0f2f5;
--danger:#fdeceb;--danger-line:#b3261e;--danger-ink:#7d130d;--caution:#fff6dc;--caution-line:#9a6700;--caution-ink:#694600;
--notice:#edf3fb;--notice-line:#3d6fae;--notice-ink:#1f4676;--good:#e7f5ee;--good-line:#0b6b43}
@media (prefers-color-scheme:dark){:root{--ground:#111418;--card:#1b1f25;--ink:#e9ecf0;--soft:#a8b1bd;--line:#323841;--strong:#6f7986;
--go:#4cc38a;--go-ink:#06251a;--stop:#ff9b93;--link:#8ab8ff;--focus:#8ab8ff;--sunk:#242a32;
--danger:#3a1917;--danger-line:#ff8f86;--danger-ink:#ffd5d1;--caution:#33280e;--caution-line:#e2b03b;--caution-ink:#ffe7ae;
--notice:#182738;--notice-line:#7fb0ec;--notice-ink:#d2e5fc;--good:#12291f;--good-line:#4cc38a}}
*,*::before,*::after{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.625rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .5rem;text-wrap:balance}
h2{font-size:1.0625rem;line-height:1.3;margin:0}
p{margin:0}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-999rem;top:0;background:var(--card);padding:.75rem 1rem;z-index:2}
.skip:focus{left:.5rem;top:.5rem}
.bar{background:var(--card);border-bottom:1px solid var(--line)}
.bar>div{max-width:70rem;margin:0 auto;padding:.75rem 1rem;display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:center;justify-content:space-between}
.brand{display:flex;align-items:center;gap:.5rem;font-weight:650;letter-spacing:-.01em}
.brand svg{width:1.375rem;height:1.375rem;color:var(--go)}
.who{color:var(--soft);font-size:.9375rem}
.who b{color:var(--ink);font-weight:600}
.bar form{display:flex;flex-wrap:wrap;gap:.25rem .5rem}
.quiet{display:inline-flex;align-items:center;min-height:3rem;padding:.25rem .875rem;background:transparent;color:var(--link);font-weight:550;border:1px solid var(--strong);border-radius:10px;text-decoration:none}
main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem 3rem;display:grid;gap:1.25rem}
.intro{max-width:46rem}
.lede{color:var(--soft);font-size:1.0625rem}
.lede b{color:var(--ink);font-weight:600}
.glance{display:grid;gap:.5rem 1.5rem;margin:1rem 0 0}
.glance dt,.facts dt{color:var(--soft);font-size:.8125rem;line-height:1.4}
.glance dd,.facts dd{margin:0}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;overflow:hidden}
.card>header,.pad{padding:1rem}
.stack{display:grid;gap:1.25rem;align-content:start;min-width:0}
.columns{display:grid;gap:1.25rem;min-width:0}
.soft{color:var(--soft)}
.small{font-size:.875rem}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.875em}
.warnings{display:grid;gap:.625rem}
.warnings ul{list-style:none;margin:0;padding:0;display:grid;gap:.625rem}
.warning{border:1px solid;border-left-width:5px;border-radius:10px;padding:.75rem .875rem;display:grid;gap:.25rem}
.warning .level{font-weight:700;font-size:.8125rem;display:flex;gap:.375rem;align-items:center}
.warning svg{width:1rem;height:1rem;flex:none}
.warning dl{margin:.375rem 0 0;display:grid;gap:.375rem}
.warning dt{font-size:.8125rem;font-weight:600}
.warning dd{margin:0;padding:.375rem .5rem;background:var(--card);color:var(--ink);border-radius:6px}
.danger{background:var(--danger);border-color:var(--danger-line);color:var(--danger-ink)}
.caution{background:var(--caution);border-color:var(--caution-line);color:var(--caution-ink)}
.notice{background:var(--notice);border-color:var(--notice-line);color:var(--notice-ink)}
.alarm{color:var(--danger-ink);font-weight:600}
.calm{color:var(--soft);font-size:.9375rem;display:flex;gap:.5rem;align-items:flex-start}
.calm svg{width:1.125rem;height:1.125rem;flex:none;margin-top:.1875rem}
.envelope{margin:0;padding:1rem;display:grid;gap:.625rem;border-bottom:1px solid var(--line)}
.envelope>div{display:grid;gap:0 .75rem}
.envelope dt{color:var(--soft);font-size:.8125rem;line-height:1.5rem}
.envelope dd{margin:0}
.envelope .subject dd{font-weight:650;font-size:1.125rem;line-height:1.35}
.people{list-style:none;margin:0;padding:0;display:grid;gap:.25rem}
.address{color:var(--soft)}
.people b{font-weight:600}
.alias{display:inline-block;padding:0 .375rem;border-radius:5px;background:var(--notice);color:var(--notice-ink);font-size:.875rem}
.alias.danger{background:var(--danger);color:var(--danger-ink)}
.ghost{background:var(--danger);color:var(--danger-ink);border:1px solid var(--danger-line);border-radius:4px;padding:0 .1875rem;font-family:ui-monospace,Menlo,Consolas,"Liberation Mono",monospace;font-size:.8125em;font-weight:600;unicode-bidi:isolate;white-space:nowrap}
.views{padding:.75rem 1rem 1rem}
fieldset{border:0;margin:0;min-width:0}
legend{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.views{position:relative}
.views>input{position:absolute;opacity:0;width:1px;height:1px}
.views>label{display:inline-flex;align-items:center;min-height:3rem;padding:0 .75rem;border-radius:9px;font-size:.9375rem;cursor:pointer;color:var(--soft);font-weight:550;border:1px solid transparent}
.views>label:hover{background:var(--sunk)}
.views>input:checked+label{background:var(--sunk);color:var(--ink);border-color:var(--strong)}
.views>input:focus-visible+label{outline:3px solid var(--focus);outline-offset:2px}
.view{display:none;margin-top:.75rem}
#view-html:checked~.view-html,#view-text:checked~.view-text,#view-source:checked~.view-source,.view.only{display:block}
.view.only{margin-top:0}
iframe{display:block;width:100%;height:var(--narrow,20rem);border:1px solid var(--line);border-radius:9px;background:#fff;resize:vertical}
pre{margin:0;font:inherit;white-space:pre-wrap;overflow-wrap:anywhere}
pre.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.8125rem;line-height:1.55}
.hint{margin-top:.5rem;color:var(--soft);font-size:.8125rem}
.files{list-style:none;margin:0;padding:0}
.files li{border-top:1px solid var(--line)}
.files a{display:grid;gap:.125rem;min-height:3rem;padding:.75rem 1rem;text-decoration:none;color:inherit}
.files a:hover .file{text-decoration:underline}
.file{color:var(--link);font-weight:600}
.decide{border-color:var(--strong)}
form{display:grid;gap:.875rem}
label.field{font-weight:600;display:block;margin-bottom:.375rem}
input[type=text]{min-height:3rem}
textarea,input[type=text]{width:100%;padding:.625rem .75rem;font:inherit;color:inherit;background:var(--card);border:1px solid var(--strong);border-radius:9px}
textarea{min-height:5.5rem;resize:vertical}
.buttons{display:grid;gap:.625rem}
button{min-height:3.25rem;padding:.75rem 1.25rem;border-radius:10px;font:inherit;font-weight:650;cursor:pointer;border:2px solid transparent}
.approve{background:var(--go);color:var(--go-ink)}
.reject{background:transparent;color:var(--stop);border-color:var(--stop)}
button:hover{filter:brightness(1.07)}
.trouble{border-radius:9px;margin-top:1rem;max-width:46rem}
details.card>summary{padding:1rem;cursor:pointer;font-weight:650;min-height:3rem}
.facts{margin:0;padding:0 1rem 1rem;display:grid;gap:.75rem 1.5rem}
.facts pre{background:var(--sunk);border-radius:8px;padding:.5rem .625rem}
.plain{margin:.25rem 0 0;padding-left:1.125rem;display:grid;gap:.25rem}
.asked pre{max-height:24rem;overflow:auto}
.edits{margin:0;padding:0;list-style:none}
.edits>li{padding:.75rem 1rem 1rem;border-top:1px solid var(--line);display:grid;gap:.5rem}
.difference{background:var(--sunk);border-radius:8px;padding:.5rem .625rem;max-height:30rem;overflow:auto}
.difference>*{display:block;text-decoration:none;min-height:1.55em}
ins{background:var(--good);color:var(--ink);box-shadow:inset 3px 0 0 var(--good-line);padding-left:.375rem}
del{background:var(--danger);color:var(--danger-ink);box-shadow:inset 3px 0 0 var(--danger-line);padding-left:.375rem}
.leave-out{padding:0}
.leave-out ul{list-style:none;margin:0;padding:0}
.leave-out legend{position:static;width:auto;height:auto;clip-path:none;font-weight:600;padding:0}
.leave-out label{display:flex;gap:.625rem;align-items:center;min-height:3rem;cursor:pointer}
.leave-out input{width:1.25rem;height:1.25rem;flex:none;margin:0;accent-color:var(--go)}
.back a{display:inline-flex;align-items:center;min-height:3rem}
.kept pre{background:var(--sunk);border-radius:8px;padding:.5rem .625rem;max-height:24rem;overflow:auto}
.tags{display:flex;flex-wrap:wrap;gap:.375rem;list-style:none;margin:0;padding:0}
.tags li{background:var(--sunk);border-radius:6px;padding:.0625rem .5rem;font-size:.875rem}
.single{max-width:34rem;margin:0 auto;width:100%}
.mark{width:3rem;height:3rem;margin-bottom:1rem}
.mark.good{color:var(--go)}.mark.bad{color:var(--stop)}.mark.still{color:var(--soft)}
.result{padding:1.75rem 1.25rem;display:grid;gap:.75rem}
.result .facts{padding:.75rem 0 0;border-top:1px solid var(--line);margin-top:.5rem}
blockquote{margin:0;padding:.125rem 0 .125rem .875rem;border-left:3px solid var(--strong);white-space:pre-wrap}
.button-link{display:inline-flex;align-items:center;justify-content:center;min-height:3.25rem;padding:.5rem 1.25rem;border-radius:10px;background:var(--go);color:var(--go-ink);font-weight:650;text-decoration:none}
.foot{max-width:70rem;margin:0 auto;padding:0 1rem 2.5rem;color:var(--soft);font-size:.8125rem}
@media (min-width:40rem){.warning{grid-template-columns:8rem minmax(0,1fr);gap:0 .75rem}.warning .level{line-height:1.5rem;white-space:nowrap;align-self:start}.warning dl,.warning>bdi{grid-column:2}.warning dl{grid-template-columns:1fr 1fr}.trouble{display:block}
.envelope>div{grid-template-columns:5rem 1fr}.glance{grid-template-columns:repeat(auto-fit,minmax(13rem,1fr))}
.facts{grid-template-columns:repeat(auto-fill,minmax(16rem,1fr))}.facts .wide{grid-column:1/-1}.result{padding:2.25rem}}
@media (min-width:60rem){main{padding-top:2.25rem}h1{font-size:2rem}.columns{grid-template-columns:minmax(0,1fr) 21rem;align-items:start}
.side{position:sticky;top:1.25rem}iframe{height:var(--wide,18rem)}}
@media (prefers-reduced-motion:no-preference){button,.views>label{transition:background-color .12s,filter .12s}}
@media (forced-colors:active){.warning,.ghost,button{border-color:CanvasText}.views>input:checked+label{outline:2px solid Highlight}}
@media print{.decide,.skip{display:none}.view{display:block}}
`;

/** What a message looks like in its frame: on white paper in either scheme, as most mail programs show it. */
export const MESSAGE_STYLE = `
:root{color-scheme:light}
body{margin:14px;background:#fff;color:#1b1f24;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
img{max-width:100%;height:auto}
table{max-width:100%}
pre{white-space:pre-wrap}
blockquote{margin:0 0 0 4px;padding-left:12px;border-left:3px solid #ccd1d8;color:#4a525d}
`;

/** @returns the CSP source (CSP Level 3, §2.3.1) of a style element with exactly this text. */
export function styleSource(style: string): string {
  return `'sha256-${createHash("sha256").update(style).digest("base64")}'`;
}

/** CSP sources (CSP Level 3, §2.3.1) for our style elements; the frame inherits the page's policy. */
export const STYLE_SOURCES = [PAGE_STYLE, MESSAGE_STYLE, CONSOLE_STYLE, RECORD_STYLE].map(styleSource).join(" ");
