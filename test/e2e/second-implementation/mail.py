"""A received message as FORMATS.md §1, §2.4 and §2.6 read it. Its header fields are read by the standard library's `email`."""

import base64
import email.errors
import email.policy
import hashlib
import quopri
import re
from datetime import timezone
from email.message import EmailMessage
from email.parser import BytesHeaderParser


class Unreadable(Exception):
    """The message, or a part of it, cannot be read as anything that was signed."""


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def normal(text: str) -> bytes:
    """A body in its normal form (§1), UTF-8."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").encode()


def parse_header(entity: bytes) -> EmailMessage:
    return BytesHeaderParser(policy=email.policy.default).parsebytes(entity)


def body_of(entity: bytes) -> bytes:
    """What follows the empty line (RFC 5322 §2.1)."""
    found = re.search(rb"(?:\A|\r?\n)\r?\n", entity)
    return entity[found.end() :] if found else b""


def split(body: bytes, boundary: bytes) -> list[bytes]:
    """The entities between the delimiters of a multipart (RFC 2046 §5.1.1)."""
    parts: list[list[bytes]] = []
    for line in body.splitlines(keepends=True):
        word = line.rstrip(b" \t\r\n")
        if word == b"--" + boundary + b"--":
            return [re.sub(rb"\r?\n\Z", b"", b"".join(part)) for part in parts]
        if word == b"--" + boundary:
            parts.append([])
        elif parts:
            parts[-1].append(line)
    raise Unreadable("a multipart has no end")


def leaves(entity: bytes) -> list[tuple[EmailMessage, bytes]]:
    """Each part that has no parts, in order: its header and its encoded body. An attached message is one leaf."""
    header, body = parse_header(entity), body_of(entity)
    if header.get_content_maintype() != "multipart":
        return [(header, body)]
    boundary = header.get_boundary()
    if not boundary:
        raise Unreadable("a multipart has no boundary")
    return [leaf for part in split(body, boundary.encode()) for leaf in leaves(part)]


DECODERS = {
    "7bit": bytes,
    "8bit": bytes,
    "binary": bytes,
    "base64": lambda body: base64.b64decode(re.sub(rb"\s", b"", body), validate=True),
    "quoted-printable": quopri.decodestring,
}


def decode(header: EmailMessage, body: bytes) -> bytes:
    encoding = str(header.get("Content-Transfer-Encoding", "7bit")).strip().lower()
    try:
        return DECODERS[encoding](body)
    except (KeyError, ValueError) as error:
        raise Unreadable(f"a part cannot be decoded from {encoding}") from error


class Message:
    """
    A message and its parts.

    text, html: in normal form, or None where there is no such part; attachments: the SHA-256 of each one's bytes, hex.
    """

    def __init__(self, raw: bytes) -> None:
        self.header = parse_header(raw)
        self.text: bytes | None = None
        self.html: bytes | None = None
        self.attachments: list[str] = []
        for header, body in leaves(raw):
            self._take(header, decode(header, body))

    def _take(self, header: EmailMessage, content: bytes) -> None:
        body = {"text/plain": "text", "text/html": "html"}.get(header.get_content_type())
        is_attached = header.get_content_disposition() == "attachment"
        if body is None or is_attached or getattr(self, body) is not None:
            self.attachments.append(sha256_hex(content))
            return
        try:
            setattr(self, body, normal(content.decode(header.get_content_charset("us-ascii"))))
        except (LookupError, UnicodeDecodeError) as error:
            raise Unreadable("a text is not in the characters that it says") from error

    def raw_fields(self) -> list[tuple[str, str]]:
        """Every header field, unfolded (RFC 5322 §2.2.3) and otherwise as it stands there."""
        return [(name, re.sub(r"\r?\n(?=[ \t])", "", value).strip()) for name, value in self.header.raw_items()]

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.raw_fields() if found.lower() == name.lower()]

    def only(self, name: str) -> str | None:
        found = self.values(name)
        if len(found) > 1:
            raise Unreadable(f"{name} is there {len(found)} times")
        return found[0] if found else None

    def addresses(self, name: str) -> list[str]:
        """The addr-specs of an address field, lower-case."""
        if self.only(name) is None:
            return []
        try:
            field = self.header[name]
            if field.defects:
                raise Unreadable(f"{name} cannot be read: {field.defects[0]}")
            return [address.addr_spec.lower() for address in field.addresses]
        except (email.errors.MessageError, ValueError, IndexError) as error:
            raise Unreadable(f"{name} cannot be read") from error

    def sender(self) -> str:
        found = self.addresses("From")
        if len(found) != 1:
            raise Unreadable("From is not one address")
        return found[0]

    def date(self):
        """Date, in UTC."""
        if self.only("Date") is None or self.header["Date"].datetime is None:
            raise Unreadable("there is no Date")
        return self.header["Date"].datetime.astimezone(timezone.utc)

    def message_id(self) -> str:
        found = self.only("Message-ID")
        if found is None:
            raise Unreadable("there is no Message-ID")
        return found

    def subject(self) -> str:
        """Subject, decoded. A relay may fold before its first word: the white space around a field's value is no part of it."""
        return str(email.policy.default.header_factory("Subject", self.only("Subject") or ""))

    def covered_text(self) -> bytes:
        """What X-MultiMail-Signature signs (§2.4)."""

        def part(body: bytes | None) -> str:
            return "-" if body is None else sha256_hex(body)

        lines = [
            "multimail-message-v1",
            f"agent:{self.only('X-MultiMail-Agent-Id')}",
            f"tenant:{self.only('X-MultiMail-Tenant')}",
            f"oversight:{self.only('X-MultiMail-Oversight-Mode')}",
            f"key:{self.only('X-MultiMail-Key-Id')}",
            f"approval:{self.only('X-MultiMail-Approval') or '-'}",
            f"from:{self.sender()}",
            f"to:{','.join(sorted(self.addresses('To') + self.addresses('Cc')))}",
            f"date:{self.date():%Y-%m-%dT%H:%M:%SZ}",
            f"message-id:{self.message_id()}",
            f"subject-sha256:{sha256_hex(self.subject().encode(errors='surrogateescape'))}",
            f"text-sha256:{part(self.text)}",
            f"html-sha256:{part(self.html)}",
            f"attachments-sha256:{','.join(self.attachments) or '-'}",
        ]
        return "".join(f"{line}\n" for line in lines).encode()
