/** Mail to people: pure builders, each of which returns a subject and two bodies that say the same. */
export {
  type ApprovalRequest,
  approvalRequestMail,
  type MonitoredCopy,
  monitoredCopyMail,
  type OperatorCode,
  operatorCodeMail,
  type PersonMail,
} from "./notification-mails.tsx";
