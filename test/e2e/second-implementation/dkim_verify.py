#!/usr/bin/env python3
"""
DKIM signatures (RFC 6376, RFC 8463) judged by dkimpy, which shares no code with what signed them.

    dkim_verify.py ZONE.json MESSAGE.eml…     one JSON object a line: {file, signatures: [{domain, selector, algorithm, headers,
                                              tags, passes, error}]}, in the order they stand in the message

ZONE.json is {"<name>": "<the TXT record's strings, joined>"}; a name that is not there has no record.
"""

import json
import sys
from pathlib import Path

import dkim

DNS_TIMEOUT = 5


def judged(message: bytes, zone: dict[str, str], index: int) -> dict[str, object]:
    """What dkimpy says of the signature at `index`, counted from the top."""

    def txt(name: bytes, timeout: int = DNS_TIMEOUT) -> bytes | None:
        record = zone.get(name.decode().rstrip(".").lower())
        return None if record is None else record.encode()

    verifier = dkim.DKIM(message, minkey=1024, timeout=DNS_TIMEOUT)
    error = None
    try:
        passes = bool(verifier.verify(idx=index, dnsfunc=txt))
    except dkim.DKIMException as raised:
        passes, error = False, str(raised)
    tags = {name.decode(): value.decode() for name, value in verifier.signature_fields.items()}
    return {
        "domain": tags.get("d"),
        "selector": tags.get("s"),
        "algorithm": tags.get("a"),
        "headers": [name.strip() for name in tags.get("h", "").split(":")],
        "tags": sorted(tags),
        "passes": passes,
        "error": error,
    }


def main() -> None:
    zone = json.loads(Path(sys.argv[1]).read_text())
    for file in sys.argv[2:]:
        message = Path(file).read_bytes()
        headers, _body = dkim.rfc822_parse(message)
        count = sum(name.lower() == b"dkim-signature" for name, _value in headers)
        print(json.dumps({"file": file, "signatures": [judged(message, zone, index) for index in range(count)]}))


main()
