/** What the record of a message needs beyond every page's style; on paper it is black on white, without what can be pressed. */
export const RECORD_STYLE = `
main.record{max-width:56rem}
.record h2{padding:1rem 1rem .5rem}
.record .facts dd{overflow-wrap:anywhere}
.steps{list-style:none;margin:0;padding:0}
.steps>li{border-top:1px solid var(--line);padding:.875rem 1rem;display:grid;gap:.25rem .75rem;min-width:0}
.steps .when{color:var(--soft);font-size:.875rem;display:flex;flex-wrap:wrap;gap:.25rem .625rem;align-items:center}
.steps .told{white-space:pre-line}
.steps .part{background:var(--sunk);color:var(--ink);border-radius:6px;padding:.0625rem .5rem;font-size:.8125rem}
.steps .gone{background:var(--caution);color:var(--caution-ink)}
.steps .mark-line{color:var(--soft);font-size:.75rem;line-height:1.45;margin:0}
.note{margin:0 1rem 1rem;padding:.625rem .75rem;background:var(--sunk);border-radius:8px;font-size:.75rem;line-height:1.5}
.record .pad{padding-top:0}
@media (min-width:40rem){.record .facts{grid-template-columns:1fr 1fr}.record .facts .wide{grid-column:1/-1}.steps>li{grid-template-columns:13.5rem minmax(0,1fr)}.steps .when{grid-row:1/span 2;flex-direction:column;align-items:flex-start}}
@page{size:A4;margin:16mm 14mm}
@media print{
:root{color-scheme:light;--ground:#fff;--card:#fff;--ink:#000;--soft:#3a3f46;--line:#b9bec6;--sunk:#f1f2f4;--link:#000;--caution:#fff;--caution-ink:#000}
body{font-size:10pt;background:#fff}
.bar form,.back,.skip{display:none}
.bar>div,main{padding-left:0;padding-right:0;max-width:none}
main{padding-top:4mm;gap:5mm}
.card{border-radius:0;overflow:visible}
.record h2{break-after:avoid}
.steps>li{break-inside:avoid;grid-template-columns:13.5rem minmax(0,1fr);padding:2.2mm 3mm}
.steps .when{grid-row:1/span 2;flex-direction:column;align-items:flex-start}
.steps .part,.note{border:1px solid var(--line)}
.record .facts{grid-template-columns:1fr 1fr}
.record .facts .wide{grid-column:1/-1}
.facts>div,.note{break-inside:avoid}
}
`;
