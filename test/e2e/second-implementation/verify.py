#!/usr/bin/env python3
"""
A second implementation of FORMATS.md §2 to §4, written from its text alone, with `cryptography` and the standard library.

    verify.py mail KEYS.json MESSAGE.eml… [--ed25519 KEY.json]     one JSON object a line: {file, verified, reasons, agent}
    verify.py receipt KEYS.json RECEIPT.json…                      one JSON object a line: {file, verified, reasons}

KEYS.json is a key document (§3), KEY.json the answer of GET /v1/identity/pubkey/{agent_id}.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mail import Message, Unreadable, sha256_hex

IDENTITY, IDENTITY_SIG, SIGNATURE = "X-MultiMail-Identity", "X-MM-Identity-Sig", "X-MultiMail-Signature"
CLAIMED = {
    "agent": "X-MultiMail-Agent-Id",
    "tenant": "X-MultiMail-Tenant",
    "oversight": "X-MultiMail-Oversight-Mode",
    "key": "X-MultiMail-Key-Id",
    "approval": "X-MultiMail-Approval",
}
DISCLOSURE = "X-AI-Generated"
OURS = {name.lower() for name in (IDENTITY, IDENTITY_SIG, SIGNATURE, *CLAIMED.values())}
CLAIM_MEMBERS = (
    "agent_id model_id model_provider tenant_id oversight_mode ai_disclosure mailbox sent_at nonce kid email_id body_hash"
    " approval_ref approval_kind"
).split()
KEYS_IN_MESSAGE = re.compile(r"(?<![A-Za-z0-9])(?:jwk|jku|x5u)(?![A-Za-z0-9])", re.IGNORECASE)


def unpadded(text: str) -> bytes:
    """base64url without padding (RFC 7515 §2)."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise Unreadable("this is not base64url")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise Unreadable("this is not base64url") from error


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise Unreadable("a member is there twice")
    return dict(pairs)


def json_object(data: bytes) -> dict:
    try:
        value = json.loads(data, object_pairs_hook=object_without_repeats)
    except ValueError as error:
        raise Unreadable("this is not JSON") from error
    if not isinstance(value, dict):
        raise Unreadable("this is not a JSON object")
    return value


def fields(value: str) -> dict[str, str]:
    """`name=value` fields separated by exactly "; "."""
    pairs = [tuple(field.split("=", 1)) for field in value.split("; ")]
    if any(len(pair) != 2 for pair in pairs) or len({name for name, *_ in pairs}) != len(pairs):
        raise Unreadable("these are not fields, each once")
    return dict(pairs)


def required(value: dict, names: tuple[str, ...] | list[str]) -> list:
    missing = [name for name in names if name not in value]
    if missing:
        raise Unreadable(f"{missing[0]} is missing")
    return [value[name] for name in names]


def time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


class Keys:
    """A tenant's published keys (§3)."""

    def __init__(self, document: dict) -> None:
        self.tenant_id: str = document["tenant_id"]
        self.domains: list[str] = document["domains"]
        self._keys: list[dict] = document["keys"]

    def alive(self, at: datetime, kid: str | None = None) -> list[ec.EllipticCurvePublicKey]:
        """The keys that could sign at that time and are not revoked; of a kid, where one is named."""
        return [
            self._load(key)
            for key in self._keys
            if (kid is None or key["kid"] == kid)
            and key["revoked_at"] is None
            and time(key["not_before"]) <= at
            and (key["retired_at"] is None or at <= time(key["retired_at"]))
        ]

    @staticmethod
    def _load(key: dict) -> ec.EllipticCurvePublicKey:
        x, y = (int.from_bytes(unpadded(key[name]), "big") for name in ("x", "y"))
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def holds(keys: list, signature: bytes, signed: bytes) -> bool:
    """Whether a DER signature is of one of the keys."""
    for key in keys:
        try:
            key.verify(signature, signed, ec.ECDSA(SHA256()))
            return True
        except InvalidSignature:
            continue
    return False


def check(holding: bool, what: str) -> None:
    if not holding:
        raise Unreadable(f"{what} does not hold")


def compact(value: str, message: Message, keys: Keys) -> dict:
    """§2.1. Returns what it says."""
    encoded, _, signature = value.partition(".")
    claim = json_object(unpadded(encoded))
    required(claim, CLAIM_MEMBERS)
    if KEYS_IN_MESSAGE.search(" ".join(claim)):
        raise Unreadable("the claim brings a key")
    signers = keys.alive(time(claim["sent_at"]), claim["kid"])
    check(holds(signers, unpadded(signature), encoded.encode()), f"the signature of {IDENTITY}")
    check(claim["body_hash"] == base64url(hashlib.sha256(message.text or b"").digest()), "the claim's body_hash")
    check(claim["mailbox"].lower() == message.sender(), "the claim's mailbox")
    disclosed = message.only(DISCLOSURE)
    check(disclosed == ("true" if claim["ai_disclosure"] else None), DISCLOSURE)
    return {
        "agent": claim["agent_id"],
        "tenant": claim["tenant_id"],
        "oversight": claim["oversight_mode"],
        "approval": claim["approval_ref"],
        "email": claim["email_id"],
    }


def domain_bound(value: str, message: Message, ed25519: list) -> dict:
    """§2.2. Returns what it says."""
    found = fields(value)
    agent, mode, sig, msig = required(found, ("agent_id", "oversight", "sig", "msig"))
    approval = found.get("approval_ref")
    body_hash = base64url(hashlib.sha256(message.text or b"").digest())
    bound = f"{agent}:{mode}:{approval or '-'}:{message.message_id()}:{body_hash}"
    for key in ed25519:
        try:
            key.verify(base64.b64decode(sig, validate=True), f"{agent}:{mode}".encode())
            key.verify(base64.b64decode(msig, validate=True), bound.encode())
            return {"agent": agent, "oversight": mode, "approval": approval}
        except (InvalidSignature, ValueError):
            continue
    raise Unreadable(f"the signatures of {IDENTITY} do not hold")


def identity_sig(value: str, message: Message, keys: Keys) -> dict:
    """§2.3. Returns what it says."""
    found = fields(value)
    tenant, agent, mode, sig = required(found, ("tenant", "agent", "oversight", "sig"))
    body_hash = sha256_hex(message.text or b"")
    signed = {"agent": agent, "body_hash": body_hash, "oversight": mode, "tenant": tenant}
    signers = keys.alive(message.date())

    def of(encoded: str, what: dict) -> bool:
        try:
            signature = base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise Unreadable("this is not base64") from error
        return holds(signers, signature, json.dumps(what, sort_keys=True).encode())

    check(of(sig, signed), f"the signature of {IDENTITY_SIG}")
    approval = found.get("approval")
    if approval is not None:
        (approval_sig,) = required(found, ("approval_sig",))
        check(of(approval_sig, {**signed, "approval": approval}), "approval_sig")
    return {"agent": agent, "tenant": tenant, "oversight": mode, "approval": approval}


def message_signature(value: str, message: Message, keys: Keys) -> dict:
    """§2.4. Returns what it says."""
    said = {field: message.only(name) for field, name in CLAIMED.items()}
    required({field: found for field, found in said.items() if found}, ("agent", "tenant", "oversight", "key"))
    if not re.fullmatch(r"(?:[0-9a-f]{2})+", value):
        raise Unreadable("this is not lower-case hex")
    signers = keys.alive(message.date())
    check(holds(signers, bytes.fromhex(value), message.covered_text()), f"the signature of {SIGNATURE}")
    return {field: said[field] for field in ("agent", "tenant", "oversight", "approval")}


def disagreements(said: list[dict], message: Message, keys: Keys) -> list[str]:
    """§2.6: what the forms must agree on, among themselves and with the message and the keys."""
    own_id = re.match(r"<(em_[^@>]+)@", message.message_id())
    said = [*said, {"tenant": keys.tenant_id}, {"email": own_id.group(1)} if own_id else {}]
    names = ("agent", "tenant", "oversight", "approval", "email")
    return [f"{name} differs" for name in names if len({one[name] for one in said if name in one}) > 1]


def once(message: Message) -> None:
    covered = ["From", "To", "Cc", "Date", "Subject", "Message-ID", "Content-Type", "Content-Transfer-Encoding"]
    for name in [*covered, *CLAIMED.values(), IDENTITY, IDENTITY_SIG, SIGNATURE, DISCLOSURE]:
        message.only(name)
    for name, value in message.raw_fields():
        if KEYS_IN_MESSAGE.search(name if name.lower() not in OURS else f"{name} {value}"):
            raise Unreadable("the message brings a key")


def verify_message(raw: bytes, keys: Keys, ed25519: list) -> dict:
    """§2.6. `verified` is None where the message carries no identity."""
    try:
        message = Message(raw)
        if not any(name.lower() in OURS for name, _ in message.raw_fields()):
            return {"verified": None, "reasons": []}
        once(message)
        identity, sig, signature = (message.only(name) for name in (IDENTITY, IDENTITY_SIG, SIGNATURE))
        if signature is None:
            raise Unreadable(f"there is no {SIGNATURE}")
        said = [message_signature(signature, message, keys)]
        if identity is not None:
            is_compact = re.match(r"[A-Za-z0-9_-]*=", identity) is None
            said.append(compact(identity, message, keys) if is_compact else domain_bound(identity, message, ed25519))
        if sig is not None:
            said.append(identity_sig(sig, message, keys))
        reasons = disagreements(said, message, keys)
        if message.sender().rpartition("@")[2] not in keys.domains:
            reasons.append("From's domain is not the tenant's")
        return {"verified": not reasons, "reasons": reasons, "agent": said[0]["agent"]}
    except Unreadable as error:
        return {"verified": False, "reasons": [str(error)]}


def verify_receipt(raw: bytes, keys: Keys, _ed25519: list) -> dict:
    """§4, by RFC 7515: the JWS is over all the other fields."""
    try:
        receipt = json_object(raw)
        jws = receipt.pop("jws")
        protected, payload, signature = jws.split(".")
        header = json_object(unpadded(protected))
        check(header.get("alg") == "ES256" and header.get("typ") == "multimail-receipt+jwt", "the JWS header")
        concatenated = unpadded(signature)
        check(len(concatenated) == 64, "the length of the signature")
        r, s = (int.from_bytes(half, "big") for half in (concatenated[:32], concatenated[32:]))
        signers = keys.alive(time(receipt["issued_at"]), header["kid"])
        check(holds(signers, utils.encode_dss_signature(r, s), f"{protected}.{payload}".encode()), "the signature")
        check(json_object(unpadded(payload)) == receipt, "what the JWS says, beside the receipt,")
        return {"verified": True, "reasons": []}
    except (Unreadable, KeyError, ValueError) as error:
        return {"verified": False, "reasons": [str(error)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["mail", "receipt"])
    parser.add_argument("keys", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--ed25519", type=Path)
    given = parser.parse_args()
    keys = Keys(json.loads(given.keys.read_text()))
    ed25519 = []
    if given.ed25519:
        ed25519.append(load_der_public_key(base64.b64decode(json.loads(given.ed25519.read_text())["public_key_der"])))
    verify = {"mail": verify_message, "receipt": verify_receipt}[given.what]
    for file in given.files:
        print(json.dumps({"file": str(file), **verify(file.read_bytes(), keys, ed25519)}))


if __name__ == "__main__":
    sys.exit(main())
