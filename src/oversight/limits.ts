/** How many recipients a message has at most, over to, cc, bcc and a mailbox's automatic copies. */
export const MAX_RECIPIENTS = 50;
