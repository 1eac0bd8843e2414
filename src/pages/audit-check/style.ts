import { VERIFY_STYLE } from "../verify/style.ts";

/** What the page /verify-audit needs beyond every page's style: that of the page it resembles, and a little more. */
export const AUDIT_CHECK_STYLE = `${VERIFY_STYLE}
#own-after,#own-witness{min-height:6rem;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.875rem}
.answer .facts dd{overflow-wrap:anywhere}
`;
