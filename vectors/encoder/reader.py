"""The reading half: it judges what the writing half made.

`frames` and `decode` read well-formed bytes back, `judge` plays the receiver of
a malformed vector and names the error code and what it closes. The generator
refuses to write a vector whose declared outcome differs from this reading.
"""

import re
import struct

from . import ed25519
from .wire import (
    ALPHABET, BINDING, BUDGET, CANCEL, DELEGATE, ERROR, FORBIDDEN, GOODBYE, HELLO, INVOKE,
    NOW, RESUMABLE, RESUME, STREAM, WINDOW, domain,
)

# The frame limit that judged vectors assume (WIRE-13, WIRE-14).
LIMIT = 1_048_576
# What the judging receiver advertises, as name to minor; none is required.
LOCAL_CAPS = {"aire.did-method.key/1": 1}
# The most hops of a delegation path.
MAX_HOPS = 16

DID = re.compile(
    r"did:[a-z0-9]+:((?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})*:)*(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+"
)


class Refused(Exception):
    """A receiver's refusal: an error code, and what it closes."""

    def __init__(self, code, closes="connection"):
        super().__init__(code)
        self.code, self.closes = code, closes


class Short(Exception):
    """The bytes end before the field does."""


class Cursor:
    """Reads fields off the front of some bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if self.left() < count:
            raise Short
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self):
        return self.take(self.left())

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        first = self.byte()
        size = 1 << (first >> 6)
        return int.from_bytes(bytes([first & 0x3F]) + self.take(size - 1), "big")

    def bytes(self):
        return self.take(self.varint())

    def string(self):
        try:
            return self.bytes().decode()
        except UnicodeDecodeError:
            raise Refused("MALFORMED_FRAME") from None


def one_frame(cursor):
    """(type, flags, op_id, payload, minimal) of the next frame."""
    start = cursor.at
    kind, flags = cursor.byte(), cursor.byte()
    op_id, length = cursor.varint(), cursor.varint()
    used = cursor.at - start
    if length > LIMIT:
        raise Refused("FRAME_TOO_LARGE")
    minimal = used == 2 + width(op_id) + width(length)
    return kind, flags, op_id, cursor.take(length), minimal


def width(value):
    """The bytes of a value's shortest varint."""
    return next(size for size in (1, 2, 4, 8) if value < 1 << size * 8 - 2)


def frames(data):
    """All frames of a concatenation."""
    cursor, found = Cursor(data), []
    while cursor.left():
        found.append(one_frame(cursor))
    return found


# --- payloads -------------------------------------------------------------


def decode(kind, payload):
    """The typed content of a payload, or None for a type without any."""
    reader = {
        HELLO: _hello, INVOKE: _invoke, CANCEL: _cancel, BUDGET: _budget,
        DELEGATE: _delegate, ERROR: _error, RESUMABLE: _resumable, RESUME: _resume,
    }.get(kind)
    if reader is None:
        return None
    try:
        return reader(Cursor(payload))
    except Short:
        raise Refused("MALFORMED_FRAME", "operation") from None
    except Refused:
        raise Refused("MALFORMED_FRAME", "operation") from None


def _hello(cursor):
    content = {"major": cursor.varint(), "minor": cursor.varint(), "node_id": cursor.string()}
    caps = []
    for _ in range(cursor.varint()):
        name, version, required = cursor.string(), cursor.varint(), cursor.byte()
        if required > 1:
            raise Refused("MALFORMED_FRAME")
        caps.append({"name": name, "version": version, "required": bool(required)})
    content["capabilities"] = caps
    content["inner_len"] = cursor.at
    _block(cursor, content)
    return content


def _block(cursor, content):
    """Reads a signature block, if one follows, and counts what stands after it."""
    if not cursor.left():
        return
    alg, vmid, nonce = cursor.byte(), cursor.string(), cursor.take(16)
    (timestamp,) = struct.unpack(">q", cursor.take(8))
    content["signed_len"] = cursor.at
    content["signature_block"] = {
        "alg": alg,
        "vmid": vmid,
        "nonce_hex": nonce.hex(),
        "timestamp_ms": timestamp,
        "signature_hex": cursor.bytes().hex(),
    }
    if cursor.left():
        content["trailing"] = cursor.left()


def _invoke(cursor):
    return {"agent": cursor.string(), "operation": cursor.string(), "args_hex": cursor.rest().hex()}


def _cancel(cursor):
    if not cursor.left():
        return {"reason": 0, "detail": ""}
    content = {"reason": cursor.varint(), "detail": cursor.string()}
    content["inner_len"] = cursor.at
    _block(cursor, content)
    return content


def _budget(cursor):
    count, seen, content = cursor.varint(), set(), {}
    if not count:
        raise Refused("MALFORMED_FRAME")
    for _ in range(count):
        field, value = cursor.byte(), Cursor(cursor.bytes())
        if field in seen:
            raise Refused("MALFORMED_FRAME")
        seen.add(field)
        if field == 1:
            content["tokens_remaining"] = value.varint()
        elif field == 2:
            content["cost_microunits_remaining"] = value.varint()
        elif field == 3:
            text = value.take(3)
            if not text.isalpha():
                raise Refused("MALFORMED_FRAME")
            content["currency"] = text.decode()
        elif field == 4:
            (content["deadline_ms"],) = struct.unpack(">q", value.take(8))
        elif field == 0x81:
            content["tokens_spent"] = value.varint()
        elif field == 0x82:
            content["cost_microunits_spent"] = value.varint()
        else:
            value.rest()
        if value.left():
            raise Refused("MALFORMED_FRAME")
    return content


def _delegate(cursor):
    return {"target": cursor.string(), "target_did": cursor.string(), "sub_op": cursor.varint()}


def _error(cursor):
    return {"code": cursor.varint(), "detail": cursor.string(), "data_hex": cursor.rest().hex()}


def _resumable(cursor):
    return {
        "ttl_secs": cursor.varint(),
        "token_hex": cursor.bytes().hex(),
        "last_seq": cursor.varint(),
    }


def _resume(cursor):
    return {"token_hex": cursor.bytes().hex(), "last_recv": cursor.varint()}


def path(payload):
    """The hops of a delegation path; whether it is refused, and why, is an exception."""
    cursor = Cursor(payload)
    try:
        count = cursor.varint()
        if count > MAX_HOPS:
            raise Refused("too-many-hops")
        return [{"did": cursor.string(), "agent": cursor.string()} for _ in range(count)]
    except Short:
        raise Refused("malformed") from None
    except Refused as refused:
        raise Refused(refused.code.removesuffix("_FRAME").lower()) from None


# --- the receiver ---------------------------------------------------------


def verify(block, did, public, signed):
    """Judges a signature behind HELLO by the key that the peer's HELLO verified with."""
    if block["vmid"].split("#")[0] != did:
        raise Refused("KEY_MISMATCH", "operation")
    if abs(block["timestamp_ms"] - NOW) > WINDOW:
        raise Refused("STALE_TIMESTAMP", "operation")
    signature = bytes.fromhex(block["signature_hex"])
    if block["alg"] != 1 or not ed25519.verify(public, signed, signature):
        raise Refused("BAD_SIGNATURE", "operation")


def bound(payload, exporter, identity):
    """Whether a binding proves that `identity` sits at the end of this connection."""
    content = {}
    try:
        _block(Cursor(payload), content)
        block = content["signature_block"]
        signed = domain(BINDING) + exporter + payload[: content["signed_len"]]
        verify(block, identity.did, identity.public, signed)
    except (Short, Refused, KeyError):
        return False
    return True


def resumes(asked, state):
    """The first frame that a RESUME gets again (RES-5, GAP-17); refused otherwise."""
    known = bytes.fromhex(asked["token_hex"]) == bytes.fromhex(state["token_hex"])
    if not known or state["spent"] or state["owner_did"] != state["asked_by_did"]:
        raise Refused("RESUME_INVALID", "operation")
    if state["age_ms"] >= state["ttl_secs"] * 1000:
        raise Refused("RESUME_EXPIRED", "operation")
    if asked["last_recv"] > state["sent"]:
        raise Refused("RESUME_INVALID", "operation")
    if asked["last_recv"] + 1 < state["retained_from"]:
        raise Refused("RESUME_UNAVAILABLE", "operation")
    return asked["last_recv"] + 1


def did_key(did, vmid):
    """The public key of a did:key whose only method is `vmid`."""
    multibase = did.removeprefix("did:key:")
    if multibase == did or vmid != f"{did}#{multibase}" or multibase[0] != "z":
        raise Refused("UNRESOLVABLE_DID")
    number = 0
    for letter in multibase[1:]:
        if letter not in ALPHABET:
            raise Refused("UNRESOLVABLE_DID")
        number = number * 58 + ALPHABET.index(letter)
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != 34 or data[:2] != b"\xed\x01":
        raise Refused("UNRESOLVABLE_DID")
    return data[2:]


def admit(payload, now=NOW):
    """Applies the checks of a HELLO in the order of GAP-9, replay excepted."""
    try:
        hello = decode(HELLO, payload)
    except Refused:
        raise Refused("MALFORMED_FRAME") from None
    if hello["major"] != 0:
        raise Refused("INCOMPATIBLE_VERSION")
    if hello["minor"] < 2:
        raise Refused("BAD_SIGNATURE")
    did = hello["node_id"]
    if not DID.fullmatch(did):
        raise Refused("MALFORMED_FRAME")
    block = hello.get("signature_block")
    if block is None:
        raise Refused("BAD_SIGNATURE")
    if block["vmid"].split("#")[0] != did:
        raise Refused("KEY_MISMATCH")
    if block["alg"] != 1:
        raise Refused("BAD_SIGNATURE")
    if abs(block["timestamp_ms"] - now) > WINDOW:
        raise Refused("STALE_TIMESTAMP")
    public = did_key(did, block["vmid"])
    signed = domain(HELLO) + payload[: hello["signed_len"]]
    if not ed25519.verify(public, signed, bytes.fromhex(block["signature_hex"])):
        raise Refused("BAD_SIGNATURE")
    names = [cap["name"] for cap in hello["capabilities"]]
    if len(set(names)) != len(names):
        raise Refused("MALFORMED_FRAME")
    for cap in hello["capabilities"]:
        if cap["required"] and cap["name"] not in LOCAL_CAPS:
            raise Refused("MISSING_REQUIRED_CAPABILITY")


def judge(data, fin, on, peer=None):
    """The (code, closes) that a receiver answers `data` of `peer` with, or None."""
    cursor = Cursor(data)
    begun = on in ("operation-after-invoke", "reply")
    state = {"op": None, "begun": begun, "peer": peer}
    if state["begun"]:
        state["op"] = 4
    control = on.startswith("control")
    first = True
    try:
        while cursor.left():
            try:
                kind, _, op_id, payload, _ = one_frame(cursor)
            except Short:
                if fin:
                    raise Refused("MALFORMED_FRAME") from None
                return None
            except Refused as refused:
                refused.closes = "connection" if control else "operation"
                raise
            if on == "control-first" and first:
                if kind != HELLO or op_id != 0:
                    raise Refused("PROTOCOL_VIOLATION")
                admit(payload)
            elif control:
                _on_control(kind, op_id)
            else:
                _on_operation(kind, op_id, payload, state, on == "reply")
            first = False
    except Refused as refused:
        return refused.code, refused.closes
    return None


def _on_control(kind, op_id):
    if kind in (GOODBYE, ERROR) and op_id == 0:
        return
    if kind <= RESUME:
        raise Refused("PROTOCOL_VIOLATION")


def _on_operation(kind, op_id, payload, state, reply):
    if op_id == 0 or (state["op"] is not None and op_id != state["op"]):
        raise Refused("PROTOCOL_VIOLATION")
    state["op"] = op_id
    if kind in (HELLO, FORBIDDEN, GOODBYE, RESUMABLE, RESUME):
        raise Refused("PROTOCOL_VIOLATION")
    if kind > RESUME:
        return
    if state["begun"]:
        wrong_way = kind == INVOKE or (kind == DELEGATE and not reply)
    else:
        wrong_way = kind != INVOKE
    if wrong_way:
        raise Refused("PROTOCOL_VIOLATION")
    state["begun"] = True
    if kind != STREAM:
        content = decode(kind, payload)
        if kind == CANCEL and "signature_block" in content:
            signed = domain(CANCEL) + payload[: content["signed_len"]]
            verify(content["signature_block"], state["peer"].did, state["peer"].public, signed)
