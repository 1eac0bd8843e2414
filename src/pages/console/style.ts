/** What the console's pages need beyond every page's style. */
export const CONSOLE_STYLE = `
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
input[type=email],select{width:100%;min-height:3rem;padding:.5rem .75rem;font:inherit;color:inherit;background:var(--card);border:1px solid var(--strong);border-radius:9px}
.filters{display:grid;gap:.75rem;padding:0 1rem 1rem}
.filters .buttons{align-items:end}
.line{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between}
.queue{list-style:none;margin:0;padding:0;display:grid;gap:.75rem}
.item{display:grid;grid-template-columns:3rem minmax(0,1fr);align-items:start}
.pick{display:flex;align-items:center;justify-content:center;min-height:3.5rem;min-width:3rem;cursor:pointer}
.pick input{width:1.375rem;height:1.375rem;margin:0;accent-color:var(--go)}
.item>div{padding:.75rem 1rem 1rem 0;display:grid;gap:.375rem;min-width:0}
.item h3{margin:0;font-size:1.0625rem;line-height:1.35}
.item h3 a{display:inline-block;padding:.25rem 0}
.chips{display:flex;flex-wrap:wrap;gap:.375rem;list-style:none;margin:0;padding:0}
.chips li{background:var(--sunk);border-radius:6px;padding:.0625rem .5rem;font-size:.875rem}
.chips .danger{background:var(--danger);color:var(--danger-ink);font-weight:600}
.chips .caution{background:var(--caution);color:var(--caution-ink)}
.must{font-size:.875rem;color:var(--danger-ink);font-weight:600}
html{scroll-padding-bottom:11rem}
.many{position:sticky;bottom:0;display:grid;gap:.5rem;border-color:var(--strong);box-shadow:0 -6px 18px -12px #0006}
.many:has(details[open]){position:static}
.many .buttons{grid-template-columns:1fr 1fr}
.many button{padding:.5rem}
.filters button{justify-content:center}
.many textarea{min-height:4rem}
.many summary{min-height:3rem;display:flex;align-items:center;cursor:pointer;color:var(--link);font-weight:550}
.results{list-style:none;margin:0;padding:0}
.results li{border-top:1px solid var(--line);padding:.875rem 1rem;display:grid;gap:.25rem}
.results li:first-child{border-top:0}
.results b{display:flex;gap:.5rem;align-items:center}
.results svg{width:1.125rem;height:1.125rem;flex:none}
.results .good{color:var(--good-line)}.results .bad{color:var(--stop)}.results .still{color:var(--soft)}
@media (max-height:32rem){.many{position:static}}
@media (min-width:40rem){.filters{grid-template-columns:1fr 1fr 1fr}.results li{grid-template-columns:minmax(0,1fr) minmax(0,1.2fr);column-gap:1.5rem}}
`;
