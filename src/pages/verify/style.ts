/** What the page /verify needs beyond every page's style. */
export const VERIFY_STYLE = `
main.check{max-width:48rem}
[hidden]{display:none!important}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.drop{border:2px dashed var(--strong);border-radius:12px;padding:1.25rem 1rem;background:var(--sunk)}
.drop.over{border-color:var(--focus);background:var(--notice)}
input[type=file]{display:block;width:100%;min-height:3rem;font:inherit;color:inherit}
input[type=file]::file-selector-button{min-height:3rem;padding:.5rem 1rem;margin:0 .875rem 0 0;font:inherit;font-weight:600;color:var(--link);background:var(--card);border:1px solid var(--strong);border-radius:10px;cursor:pointer}
.own summary{min-height:3rem;display:flex;align-items:center;cursor:pointer;color:var(--link);font-weight:550}
.own>div{display:grid;gap:.875rem;padding-top:.25rem}
#own-key{min-height:8rem;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.875rem}
.answer{padding:1.25rem 1rem;display:grid;gap:1.125rem}
.answer>header{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.25rem .875rem;align-items:center;padding:0}
.answer>header svg{width:2.25rem;height:2.25rem}
.answer h2{font-size:1.375rem;letter-spacing:-.01em}
.answer h2:focus-visible{outline:none}
.answer h3{font-size:1rem;margin:0 0 .375rem}
.answer .facts{padding:0;grid-template-columns:1fr}
.answer .facts dt{font-size:.875rem}
.good{color:var(--good-line)}.bad{color:var(--stop)}.still{color:var(--soft)}
.checks{list-style:none;margin:0;padding:0}
.checks li{border-top:1px solid var(--line);padding:.625rem 0;display:grid;gap:.125rem}
.checks b{font-weight:600}
@media (min-width:40rem){.answer,.check form{padding:1.75rem}.checks li{grid-template-columns:8rem minmax(0,1fr);gap:.125rem 1rem;align-items:baseline}.checks .soft{grid-column:2}.drop{padding:1.5rem}.answer .facts>div{display:grid;grid-template-columns:8rem minmax(0,1fr);gap:0 1rem}.answer .facts dt{line-height:1.5rem}}
@media (forced-colors:active){.drop{border-color:CanvasText}}
`;
