#!/usr/bin/env python3
"""
Exports of audit logs, judged by FORMATS.md alone: Python's standard library, and Ed25519 of `cryptography`.

    verify_audit.py VERIFIER-KEY EXPORT.ndjson… [--after CHECKPOINT]     one JSON object a line: {file, ok, entries, size, problem}
"""

import base64
import functools
import hashlib
import itertools
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Wrong(Exception):
    pass


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def append(tree: list[tuple[int, bytes]], leaf: bytes) -> None:
    """RFC 6962 §2.1. A tree is its largest complete subtrees, (size, hash), from left to right."""
    tree.append((1, leaf))
    while len(tree) > 1 and tree[-1][0] == tree[-2][0]:
        (size, right), (_, left) = tree.pop(), tree.pop()
        tree.append((2 * size, node_hash(left, right)))


def root_of(tree: list[tuple[int, bytes]]) -> bytes:
    hashes = [each for _, each in tree] or [hashlib.sha256().digest()]
    return functools.reduce(lambda right, left: node_hash(left, right), reversed(hashes))


def is_consistent(first: int, second: int, first_root: bytes, second_root: bytes, proof: list[bytes]) -> bool:
    """RFC 9162 §2.1.4.2."""
    if first in (0, second):
        return not proof and (first == 0 or first_root == second_root)
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path.pop(0)  # An empty proof is an IndexError.
    for each in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(each, fr), node_hash(each, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, each)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def open_checkpoint(note: str, verifier_key: str) -> tuple[int, bytes]:
    """The size and root of a checkpoint (C2SP signed-note, tlog-checkpoint) that this key signed."""
    name, key_id, encoded = verifier_key.strip().split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if key[0] != 1 or expected.hex() != key_id:
        raise Wrong("the verifier key")
    text, signatures = note.rsplit("\n\n", 1)
    lines = [line.split(" ") for line in signatures.removesuffix("\n").split("\n")]
    octets_of = [base64.b64decode(encoded, validate=True) for _, signer, encoded in lines if signer == name]
    ours = [octets for octets in octets_of if octets[:4] == expected]
    for octets in ours:
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(octets[4:], f"{text}\n".encode())
    origin, size, root = text.split("\n")[:3]
    if not ours or origin != name:
        raise Wrong("no signature by this key, or another origin")
    return int(size), base64.b64decode(root, validate=True)


def compact(value: object, sort: bool = False) -> bytes:
    """JSON in one spelling; sorted it is RFC 8785, for objects whose names are ASCII and whose numbers are integers."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort).encode()


def entry_of(line: bytes) -> dict[str, object]:
    """An entry with its hash. The line must be exactly what is hashed, the hash, and what was opened."""
    value = json.loads(line, parse_float=int)  # which refuses what is no integer
    added = {name: value.pop(name) for name in ("hash", "personal") if name in value}
    text = compact(value, sort=True)
    opened = "sealed" in value and isinstance(added.get("personal", {}), dict)
    if line != text[:-1] + b"," + compact(added)[1:] or "personal" in added and not opened:
        raise Wrong("a line in another form")
    if hashlib.sha256(b"\0" + text).hexdigest() != added["hash"] or value["v"] != 1:
        raise Wrong(f"the hash of entry {value['seq']}")
    return {**value, **added}


def verify(lines: list[bytes], verifier_key: str, after: str | None) -> dict[str, object]:
    *others, last = lines
    note, proof = json.loads(last)["checkpoint"], None
    if others and others[-1].startswith(b'{"proof":'):
        proof = json.loads(others[-1])
    if compact({"checkpoint": note}) != last or proof and compact(proof) != others.pop():
        raise Wrong("the form of the last lines")
    entries = [entry_of(line) for line in others]
    for before, entry in itertools.pairwise(entries):
        follows = entry["log"] == before["log"] and entry["prev"] == before["hash"] and entry["at"] >= before["at"]
        if not follows or entry["seq"] != before["seq"] + 1:
            raise Wrong(f"entry {entry['seq']} does not follow entry {before['seq']}")
    size, root = open_checkpoint(note, verifier_key)
    part = proof["proof"] if proof else {"start": 0, "end": size, "left": [], "consistency": []}
    start, end = part["start"], part["end"]
    if [each["seq"] for each in entries] != list(range(start, end)):
        raise Wrong("entries are missing")
    for first in entries[:1]:
        if not verifier_key.split("+")[0].endswith(f"/logs/{first['log']}") or start == 0 and first["prev"] != "0" * 64:
            raise Wrong("another log than the key's, or another beginning")
    sizes = [1 << bit for bit in reversed(range(start.bit_length())) if start >> bit & 1]
    tree = list(zip(sizes, map(base64.b64decode, part["left"]), strict=True))
    roots = {start: root_of(tree)}
    for entry in entries:
        append(tree, bytes.fromhex(entry["hash"]))
        roots[entry["seq"] + 1] = root_of(tree)
    if not is_consistent(end, size, roots[end], root, [base64.b64decode(each) for each in part["consistency"]]):
        raise Wrong("the root")
    if after:
        old_size, old_root = open_checkpoint(after, verifier_key)
        if size < old_size or {**roots, size: root}.get(old_size) != old_root:
            raise Wrong("the older checkpoint")
    return {"ok": True, "entries": len(entries), "size": size, "problem": None}


def main() -> None:
    verifier_key, *files = sys.argv[1:]
    end = files.index("--after") if "--after" in files else len(files)
    after = Path(files[end + 1]).read_bytes().decode() if end < len(files) else None
    for file in files[:end]:
        try:
            said = verify(Path(file).read_bytes().removesuffix(b"\n").split(b"\n"), verifier_key, after)
        except (Wrong, InvalidSignature, ValueError, LookupError, TypeError) as problem:
            said = {"ok": False, "problem": str(problem) or type(problem).__name__}
        print(json.dumps({"file": file, **said}))


main()
