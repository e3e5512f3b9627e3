"""The writing half: varints, strings, frames, payloads, identities.

Every function takes optional sizes, so that a vector can hold an encoding that
is longer than needed (WIRE-6) without a second code path.
"""

import hashlib
import struct

from . import ed25519

HELLO, INVOKE, STREAM, CANCEL, BUDGET = 0x01, 0x03, 0x04, 0x05, 0x06
DELEGATE, ERROR, GOODBYE, RESUMABLE, RESUME = 0x07, 0x08, 0x09, 0x0A, 0x0B
FORBIDDEN, RESERVED, VENDOR = 0x02, 0x0C, 0x80
# The project's own: the proof that binds an identity to its connection (GAP-21), and
# the path of a delegated operation.
BINDING, PATH = 0x80, 0x81
# The project's own BUDGET fields: what was spent so far.
TOKENS_SPENT, COST_SPENT = 0x81, 0x82

VARINT_MAX = 2**62 - 1
# The receiver's clock, in Unix milliseconds, for every signed vector.
NOW = 1781568000000
# How far a timestamp may be off, in milliseconds (SIG-9).
WINDOW = 300_000

CODES = {
    "INCOMPATIBLE_VERSION": 0x01,
    "MISSING_REQUIRED_CAPABILITY": 0x02,
    "MALFORMED_FRAME": 0x03,
    "PROTOCOL_VIOLATION": 0x04,
    "BAD_SIGNATURE": 0x05,
    "STALE_TIMESTAMP": 0x06,
    "REPLAYED_NONCE": 0x07,
    "UNRESOLVABLE_DID": 0x08,
    "KEY_MISMATCH": 0x09,
    "CANCELLED": 0x0A,
    "BUDGET_EXCEEDED": 0x0B,
    "DEADLINE_EXCEEDED": 0x0C,
    "DELEGATE_FAILED": 0x0D,
    "RESUME_INVALID": 0x0E,
    "RESUME_EXPIRED": 0x0F,
    "RESUME_UNAVAILABLE": 0x10,
    "FRAME_TOO_LARGE": 0x40,
    "AGENT_NOT_FOUND": 0x41,
    "REFUSED": 0x42,
    "APPLICATION": 0x43,
}


def varint(value, size=None):
    """A QUIC varint; `size` (1, 2, 4, 8) asks for a longer one than needed."""
    for width, bits, tag in ((1, 6, 0), (2, 14, 1), (4, 30, 2), (8, 62, 3)):
        if value < 1 << bits and (size is None or size == width):
            return (value | tag << width * 8 - 2).to_bytes(width, "big")
    raise ValueError(f"{value} has no varint of {size} bytes")


def string(text, size=None):
    """A length-prefixed string; bytes are taken as they are, UTF-8 or not."""
    data = text.encode() if isinstance(text, str) else text
    return varint(len(data), size) + data


def header(kind, op_id, length, flags=0, op_size=None, len_size=None):
    """Everything of a frame that stands before its payload."""
    return bytes([kind, flags]) + varint(op_id, op_size) + varint(length, len_size)


def frame(kind, op_id, payload=b"", flags=0, op_size=None, len_size=None):
    """A whole frame."""
    return header(kind, op_id, len(payload), flags, op_size, len_size) + payload


# --- payloads -------------------------------------------------------------


def invoke(agent, operation, args=b"", sizes=(None, None)):
    return string(agent, sizes[0]) + string(operation, sizes[1]) + args


def cancel(reason, detail="", sizes=(None, None)):
    return varint(reason, sizes[0]) + string(detail, sizes[1])


def entry(field, value, size=None):
    """One BUDGET entry of raw value bytes."""
    return bytes([field]) + string(value, size)


def budget_entries(*entries, size=None):
    """A BUDGET payload of entries made by `entry`."""
    return varint(len(entries), size) + b"".join(entries)


def budget(
    tokens=None, cost=None, currency=None, deadline=None, tokens_spent=None, cost_spent=None
):
    """A BUDGET payload with its fields in ascending order of their ids."""
    entries = []
    if tokens is not None:
        entries.append(entry(1, varint(tokens)))
    if cost is not None:
        entries.append(entry(2, varint(cost)))
    if currency is not None:
        entries.append(entry(3, currency.encode()))
    if deadline is not None:
        entries.append(entry(4, struct.pack(">q", deadline)))
    if tokens_spent is not None:
        entries.append(entry(TOKENS_SPENT, varint(tokens_spent)))
    if cost_spent is not None:
        entries.append(entry(COST_SPENT, varint(cost_spent)))
    return budget_entries(*entries)


def delegate(target, target_did, sub_op, sizes=(None, None, None)):
    return string(target, sizes[0]) + string(target_did, sizes[1]) + varint(sub_op, sizes[2])


def error(code, detail="", data=b"", sizes=(None, None)):
    number = CODES[code] if isinstance(code, str) else code
    return varint(number, sizes[0]) + string(detail, sizes[1]) + data


def resumable(ttl_secs, token, last_seq, sizes=(None, None, None)):
    return varint(ttl_secs, sizes[0]) + string(token, sizes[1]) + varint(last_seq, sizes[2])


def resume(token, last_recv, sizes=(None, None)):
    return string(token, sizes[0]) + varint(last_recv, sizes[1])


def path(hops, count=None, size=None):
    """The path of a delegated operation, of (DID, agent) pairs; `count` overrides NumHops."""
    number = varint(len(hops) if count is None else count, size)
    return number + b"".join(string(did) + string(agent) for did, agent in hops)


# --- identity -------------------------------------------------------------

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def derive(label, length):
    """Reproducible bytes for a seed, a nonce or a token."""
    return hashlib.sha256(b"aire vectors: " + label.encode()).digest()[:length]


class Identity:
    """A did:key identity grown from one seed."""

    def __init__(self, seed):
        self.seed = seed
        self.public = ed25519.public_key(seed)
        multibase = "z" + base58(b"\xed\x01" + self.public)
        self.did = "did:key:" + multibase
        self.vmid = self.did + "#" + multibase


def domain(kind):
    """The domain separator of SIG-5: 13 bytes."""
    return b"AIRE-SIG-v1\0" + bytes([kind])


def hello_fields(major, minor, node, caps, count=None, sizes=None):
    """The inner HELLO payload as (field name, bytes) pairs, in wire order.

    `count` overrides NumCaps; `sizes` maps a field name to a varint size.
    """
    sizes = sizes or {}
    data = node.encode() if isinstance(node, str) else node
    fields = [
        ("major", varint(major, sizes.get("major"))),
        ("minor", varint(minor, sizes.get("minor"))),
        ("node-id-len", varint(len(data), sizes.get("node-id-len"))),
        ("node-id", data),
        ("num-caps", varint(len(caps) if count is None else count, sizes.get("num-caps"))),
    ]
    for name, version, required in caps:
        raw = name.encode() if isinstance(name, str) else name
        fields += [
            ("cap-name-len", varint(len(raw), sizes.get("cap-name-len"))),
            ("cap-name", raw),
            ("cap-version", varint(version, sizes.get("cap-version"))),
            ("cap-required", bytes([required])),
        ]
    return fields


def block_fields(
    kind, inner, identity, nonce, timestamp, alg=1, vmid=None, separator=None, sizes=None
):
    """The signature block over `inner` as (field name, bytes) pairs."""
    sizes = sizes or {}
    data = identity.vmid if vmid is None else vmid
    data = data.encode() if isinstance(data, str) else data
    fields = [
        ("alg", bytes([alg])),
        ("vmid-len", varint(len(data), sizes.get("vmid-len"))),
        ("vmid", data),
        ("nonce", nonce),
        ("timestamp", struct.pack(">q", timestamp)),
    ]
    signed = (domain(kind) if separator is None else separator) + inner + join(fields)
    signature = ed25519.sign(identity.seed, signed)
    fields += [("sig-len", varint(64, sizes.get("sig-len"))), ("sig", signature)]
    return fields, signed


def join(fields):
    """The bytes of a list of (field name, bytes) pairs."""
    return b"".join(data for _, data in fields)
