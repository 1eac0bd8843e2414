#!/usr/bin/env python3
"""
ARC chains (RFC 8617) judged by dkimpy, which shares no code with what sealed them.

    arc_verify.py ZONE.json MESSAGE.eml…      one JSON object a line: {file, cv, instances, reason}, `cv` in lower case

ZONE.json is {"<name>": "<the TXT record's strings, joined>"}; a name that is not there has no record.
"""

import json
import sys
from pathlib import Path

import dkim


def main() -> None:
    zone = json.loads(Path(sys.argv[1]).read_text())

    def txt(name: bytes, timeout: int = 5) -> bytes | None:
        record = zone.get(name.decode().rstrip(".").lower())
        return None if record is None else record.encode()

    for file in sys.argv[2:]:
        status, results, reason = dkim.arc_verify(Path(file).read_bytes(), dnsfunc=txt, minkey=1024)
        instances = sorted(result["instance"] for result in results)
        # dkimpy has no status where there is no chain, nor where the newest seal itself says that the chain has failed.
        cv = status.decode().lower() if status is not None else "fail" if results else "none"
        print(json.dumps({"file": file, "cv": cv, "instances": instances, "reason": str(reason)}))


main()
