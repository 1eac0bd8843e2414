import { AUDIT_CHECK_STYLE } from "../audit-check/style.ts";
import { CONSOLE_STYLE } from "./style.ts";

/** What the page of the logs needs: the console's style, that of the page which checks a file, and a list of logs. */
export const AUDIT_STYLE = `${CONSOLE_STYLE}${AUDIT_CHECK_STYLE}
.logs{list-style:none;margin:0;padding:0;display:grid;gap:.75rem}
.logs>li{padding:1rem;display:grid;gap:.75rem;min-width:0}
.logs .does{display:grid;gap:.625rem}
.logs .does .quiet{justify-content:center;text-align:center;min-height:3.25rem}
.logs .answer{background:var(--sunk);border-radius:10px}
.logs button[aria-disabled=true]{filter:none;cursor:progress;opacity:.75}
@media (min-width:40rem){.logs>li{padding:1.25rem}.logs .does{grid-template-columns:auto auto;justify-content:start}}
`;
