/** Reports as servers write them, about mail to `ana@customer.example`. CRLF line ends. */

const crlf = (text: string) => text.replace(/\r?\n/g, "\r\n");

/** A delivery status notification (RFC 3464). @param blocks the per-recipient fields, a block each. */
export function dsn(
  blocks: string[],
  {
    part = "message/delivery-status",
    id = "<dsn@mx.customer.example>",
    returned = "Subject: Offer\n\nHello Ana\n",
  } = {},
): string {
  return crlf(`From: Mail Delivery System <MAILER-DAEMON@mx.customer.example>
To: bounces@agents.test
Subject: Undelivered Mail Returned to Sender
Message-ID: ${id}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="report"

--report
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.customer.example.

--report
Content-Type: ${part}

Reporting-MTA: dns; mx.customer.example
Arrival-Date: Sat, 21 Nov 2026 12:00:00 +0000

${blocks.join("\n\n")}

--report
Content-Type: message/rfc822

${returned}
--report--
`);
}

/** One block of such a notification. */
export function block(
  action: string,
  status: string,
  { to = "ana@customer.example", diagnostic = "", original = "" } = {},
): string {
  return [
    ...(original ? [`Original-Recipient: ${original}`] : []),
    `Final-Recipient: rfc822; ${to}`,
    `Action: ${action}`,
    `Status: ${status}`,
    ...(diagnostic ? [`Diagnostic-Code: smtp; ${diagnostic}`] : []),
  ].join("\n");
}

/** A complaint (RFC 5965). @param fields of the machine part. */
export function arf(fields: string, returned = "Subject: Offer\n\nHello Ana\n", id = "<arf@provider.example>"): string {
  return crlf(`From: <feedback@provider.example>
To: complaints@agents.test
Subject: FW: Offer
Message-ID: ${id}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="report"

--report
Content-Type: text/plain

This is an email abuse report.

--report
Content-Type: message/feedback-report

${fields}

--report
Content-Type: message/rfc822

${returned}
--report--
`);
}

/** A bounce written for people. */
export function plain(
  body: string,
  { from = "MAILER-DAEMON@mx.customer.example", subject = "failure notice", headers = "" } = {},
) {
  return crlf(`From: <${from}>
To: bounces@agents.test
Subject: ${subject}
Message-ID: <plain@mx.customer.example>
${headers}
${body}
`);
}

/** Each non-standard form: its name, the mail, what it means. */
export const PLAIN_FORMS: readonly [form: string, mail: string, action: string, kind: "hard" | "soft" | "blocked"][] = [
  [
    "qmail",
    plain(`Hi. This is the qmail-send program at mx.customer.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ana@customer.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <x@agents.test>
Subject: quota 5.2.2`),
    "failed",
    "hard",
  ],
  [
    "exim",
    plain(
      `This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ana@customer.example
    SMTP error from remote mail server after RCPT TO:<ana@customer.example>:
    host mx.customer.example [192.0.2.1]: 552 5.2.2 Mailbox full

------ This is a copy of the message, including all the headers. ------

Subject: 5.1.1`,
      {
        subject: "Mail delivery failed: returning message to sender",
        headers: "X-Failed-Recipients: ana@customer.example\n",
      },
    ),
    "failed",
    "soft",
  ],
  [
    "exim_delay",
    plain(
      `This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.customer.example.

No action is required on your part.`,
      { subject: "Warning: message 1kXy delayed 24 hours" },
    ),
    "delayed",
    "soft",
  ],
  [
    "postfix",
    plain(
      `This is the mail system at host mx.customer.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<ana@customer.example>: host mx.customer.example[192.0.2.1] said: 550 5.7.1 Message
    rejected as spam (in reply to end of DATA command)`,
      { subject: "Undelivered Mail Returned to Sender" },
    ),
    "failed",
    "blocked",
  ],
  [
    "postfix_delay",
    plain(
      `This is the mail system at host mx.customer.example.

####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than 4 hour(s).`,
      { subject: "Delayed Mail (still being retried): Delivery delayed" },
    ),
    "delayed",
    "soft",
  ],
  [
    "sendmail",
    plain(
      `The original message was received at Sat, 21 Nov 2026 12:00:00 GMT

   ----- The following addresses had permanent fatal errors -----
<ana@customer.example>
    (reason: 550 5.1.1 <ana@customer.example>... User unknown)`,
      { subject: "Returned mail: see transcript for details" },
    ),
    "failed",
    "hard",
  ],
  [
    "gmail",
    plain(
      `Delivery to the following recipient failed permanently:

     ana@customer.example

Technical details of permanent failure:
550 5.1.1 The email account that you tried to reach does not exist.

----- Original message -----`,
      { from: "mailer-daemon@googlemail.com", subject: "Delivery Status Notification (Failure)" },
    ),
    "failed",
    "hard",
  ],
  [
    "yahoo",
    plain(
      `Sorry, we were unable to deliver your message to the following address.

<ana@customer.example>:
554: delivery error: dd This user doesn't have a yahoo.example account (ana@customer.example) [0]

--- Below this line is a copy of the message.`,
      { from: "MAILER-DAEMON@yahoo.example", subject: "Failure Notice" },
    ),
    "failed",
    "blocked",
  ],
  [
    "exchange",
    plain(
      `Delivery has failed to these recipients or groups:

ana@customer.example
The email address you entered couldn't be found.

Diagnostic information for administrators:
ana@customer.example
#550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup ##

Original message headers:
Received: from x 5.2.2`,
      { from: "postmaster@customer.example", subject: "Undeliverable: Offer" },
    ),
    "failed",
    "hard",
  ],
  [
    "domino",
    plain(
      `Your message

  Subject: Offer

was not delivered to:

  ana@customer.example

because:

  User ana (ana@customer.example) not listed in Domino Directory`,
      { from: "postmaster@customer.example", subject: "DELIVERY FAILURE: User ana not listed" },
    ),
    "failed",
    "soft",
  ],
  [
    "amazon_ses",
    plain(
      `An error occurred while trying to deliver the mail to the following recipients:
ana@customer.example

Reason: smtp; 550 5.1.1 user unknown`,
      { from: "MAILER-DAEMON@amazonses.example", subject: "Delivery Status Notification (Failure)" },
    ),
    "failed",
    "hard",
  ],
  [
    "generic",
    plain("Your mail could not be delivered: 550 no such user here", { subject: "Undeliverable mail" }),
    "failed",
    "hard",
  ],
];

/** Mail that is no report, however much it speaks of one. */
export const NO_REPORTS: readonly [what: string, mail: string][] = [
  [
    "an out-of-office answer",
    plain("I am away until Monday.", {
      from: "ana@customer.example",
      subject: "Out of office",
      headers: "Auto-Submitted: auto-replied\n",
    }),
  ],
  [
    "a person who quotes a bounce",
    plain("> Delivery has failed to these recipients or groups:\n> 550 5.1.1", {
      from: "ana@customer.example",
      subject: "Re: Undeliverable: Offer",
    }),
  ],
  [
    "a newsletter of a no-reply address",
    plain("Our e-mail newsletter.", { from: "no-reply@shop.example", subject: "News" }),
  ],
  [
    "two machine parts",
    dsn([block("failed", "5.1.1")]).replace(
      "--report--",
      "--report\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\n--report--",
    ),
  ],
  ["a report without an action", dsn(["Final-Recipient: rfc822; ana@customer.example\nStatus: 5.1.1"])],
  ["a report with an action nobody knows", dsn([block("exploded", "5.1.1")])],
  ["a complaint without a type", arf("User-Agent: x\nVersion: 1")],
  ["nothing", ""],
];
