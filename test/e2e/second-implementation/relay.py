#!/usr/bin/env python3
"""
A relay that takes a message apart and writes it anew, by Python's `email`: the signed content stays, few of its bytes do.

    relay.py HOW < message.eml > relayed.eml
"""

import email
import email.policy
import hashlib
import re
import sys
from collections.abc import Callable
from email.message import EmailMessage

SMTP = email.policy.SMTP
# What a relay leaves alone it does not write anew.
UNFOLDED = SMTP.clone(refold_source="none")
# One line a header, as long as RFC 5322 §2.1.1 lets it be.
ONE_LINE = SMTP.clone(refold_source="all", max_line_length=998)

# A transaction's id is its own: mail that arrives twice is taken once.
RECEIVED = (
    "Received: from mx.agents.example (mx.agents.example [192.0.2.1])\r\n"
    "\tby list.example (Postfix) with ESMTPS id {id}\r\n"
    "\tfor <members@list.example>; Sat, 21 Nov 2026 10:00:00 +0000 (UTC)\r\n"
)
LIST = (
    b"List-Id: Members <members.list.example>\r\n"
    b"List-Unsubscribe: <https://list.example/leave>,\r\n <mailto:leave@list.example>\r\n"
    b"Precedence: list\r\nSender: <bounces@list.example>\r\nX-Spam-Status: No, score=-1.9\r\n"
)


def read(raw: bytes, policy: email.policy.Policy) -> EmailMessage:
    return email.message_from_bytes(raw, policy=policy)


def is_body(part: EmailMessage) -> bool:
    return part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment"


def bodies_as(encoding: str, charset: str = "utf-8") -> Callable[[bytes], bytes]:
    """Both bodies under another transfer encoding, and another charset where one is named."""

    def relayed(raw: bytes) -> bytes:
        message = read(raw, UNFOLDED)
        for part in message.walk():
            if is_body(part):
                text = part.get_content()
                part.set_content(text, subtype=part.get_content_subtype(), charset=charset, cte=encoding)
        return message.as_bytes()

    return relayed


def header_by(policy: email.policy.Policy) -> Callable[[bytes], bytes]:
    """All that a policy writes: its line length, its encoded words, its transfer encodings."""
    return lambda raw: read(raw, policy).as_bytes()


def through_seven_bits(raw: bytes) -> bytes:
    """First as a server with 8BITMIME sends it on, then as one without (RFC 6152 §3)."""
    return header_by(UNFOLDED.clone(cte_type="7bit"))(bodies_as("8bit")(raw))


def long_base64_lines(raw: bytes) -> bytes:
    """Attachments whose base64 is in lines of another length, and with spaces at their ends."""
    head, empty, rest = raw.partition(b"\r\n\r\n")
    shorter = re.sub(rb"^([A-Za-z0-9+/]{20})(?=[A-Za-z0-9+/=]+\r$)", rb"\1 \r\n", rest, flags=re.MULTILINE)
    return head + empty + shorter


def shouted(raw: bytes) -> bytes:
    """Header names in another case, and the header in another order."""
    head, empty, rest = raw.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    renamed = [re.sub(rb"\A[^:]+", lambda name: name[0].upper(), field) for field in fields]
    return b"\r\n".join(reversed(renamed)) + empty + rest


def footer(raw: bytes) -> bytes:
    """What a mailing list adds to the text."""
    message = read(raw, UNFOLDED)
    part = next(part for part in message.walk() if part.get_content_type() == "text/plain" and is_body(part))
    part.set_content(f"{part.get_content()}\n-- \nYou get this from list.example.\n", charset="utf-8")
    return message.as_bytes()


def replaced(name: str, value: Callable[[str], str]) -> Callable[[bytes], bytes]:
    def relayed(raw: bytes) -> bytes:
        message = read(raw, UNFOLDED)
        now = value(str(message[name]))
        del message[name]
        message[name] = now
        return message.as_bytes()

    return relayed


HOW: dict[str, Callable[[bytes], bytes]] = {
    # What a signature survives.
    "unchanged": bytes,
    "base64": bodies_as("base64"),
    "quoted-printable": bodies_as("quoted-printable"),
    "8bit": bodies_as("8bit"),
    "ISO 8859-1": bodies_as("quoted-printable", "iso-8859-1"),
    "8bit, then 7bit": through_seven_bits,
    "folded at 78": header_by(email.policy.compat32.clone(linesep="\r\n", max_line_length=78)),
    "unfolded": header_by(ONE_LINE),
    "raw UTF-8 in the header": header_by(ONE_LINE.clone(utf8=True)),
    "base64 in other lines": long_base64_lines,
    "names in capitals, in another order": shouted,
    # What it does not.
    "identity headers as encoded words": header_by(SMTP),
    "a footer": footer,
    "a tag in the subject": replaced("Subject", lambda subject: f"[members] {subject}"),
    "the list as From": replaced("From", lambda _: "Agent via Members <members@list.example>"),
    "the list as To": replaced("To", lambda _: "members@list.example"),
}


def main() -> None:
    how, received = sys.argv[1], sys.stdin.buffer.read()
    id = hashlib.sha256(how.encode() + received).hexdigest()[:12]
    sys.stdout.buffer.write(RECEIVED.format(id=id).encode() + LIST + HOW[how](received))


if __name__ == "__main__":
    main()
