/** Mail to people: pure builders, each of which returns a subject and two bodies that say the same. */
export { type AuditorNotice, auditorMail } from "./notification-auditor.tsx";
export { type MonitoredCopy, monitoredCopyMail } from "./notification-copy.tsx";
export { type FallBackNotice, fallBackMail, type OperatorCode, operatorCodeMail } from "./notification-operator.tsx";
export type { PersonMail } from "./notification-parts.tsx";
export { type ApprovalRequest, approvalRequestMail, type Digest, digestMail } from "./notification-request.tsx";
export { type SignIn, signInMail } from "./notification-sign-in.tsx";
