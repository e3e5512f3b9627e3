"""Turns bytes into the JSON records that README.md describes, checking each."""

from . import reader, wire
from .reader import Refused, bound, decode, frames, judge, resumes, width

# Says that a frame has no other encoding to compare with: re-encoding it would
# change bytes that a signature covers, or drop what cannot be expressed.
NONE = object()
# Frame types of whose payload the protocol says nothing.
OPAQUE = (wire.STREAM, wire.GOODBYE, wire.RESERVED, wire.VENDOR)


def number(value):
    """A JSON number, or a decimal string where doubles would lose digits."""
    return value if abs(value) <= 2**53 else str(value)


def tidy(content):
    """Decoded content as it goes into JSON."""
    if isinstance(content, dict):
        hidden = ("inner_len", "signed_len")
        return {key: tidy(value) for key, value in content.items() if key not in hidden}
    if isinstance(content, list):
        return [tidy(value) for value in content]
    if isinstance(content, int) and not isinstance(content, bool):
        return number(content)
    return content


def split_fill(record, field, data, fill):
    """Stores bytes as hex, with a long run at their end as a fill."""
    head = data[: len(data) - fill[1]] if fill else data
    assert not fill or data[len(head) :] == bytes([fill[0]]) * fill[1]
    if head or not fill:
        record[field + "_hex"] = head.hex()
    if fill:
        record[field + "_fill"] = {"byte": f"{fill[0]:02x}", "len": fill[1]}


def frame(
    name, requirements, kind, op_id, payload=b"", *, flags=0, op_size=None, len_size=None,
    fill=None, content=True, canonical_payload=None, accepted=None, signing=None, note=None,
    expect=None, state=None,
):
    """One `frame` vector. `fill` is the (byte, count) that ends the payload.

    `expect` names the codes of which a receiver answers with one although all is well
    formed; `state` is what a receiver of RESUME knows, and must lead to the first of them.
    """
    data = wire.frame(kind, op_id, payload, flags, op_size, len_size)
    minimal = len(data) == 2 + width(op_id) + width(len(payload)) + len(payload)
    assert frames(data) == [(kind, flags, op_id, payload, minimal)], name

    record = {"id": name, "kind": "frame", "requirements": requirements}
    if note:
        record["note"] = note
    if fill:
        head = data[: len(data) - fill[1]]
        record["encoded_prefix_hex"] = head.hex()
        record["payload_fill"] = {"byte": f"{fill[0]:02x}", "len": fill[1]}
    else:
        record["encoded_hex"] = data.hex()
    record["frame"] = {"type": kind, "flags": flags, "op_id": number(op_id)}
    split_fill(record["frame"], "payload", payload, fill)

    if kind not in OPAQUE and content:
        record["decoded"] = decoded = tidy(decode(kind, payload))
        for field in ("args", "data"):
            if fill and field + "_hex" in decoded:
                split_fill(decoded, field, bytes.fromhex(decoded.pop(field + "_hex")), fill)
        if fill and kind == wire.RESUME:
            # LastRecv, which ends the payload, is one byte of the fill.
            assert width(decoded["last_recv"]) == 1, name
            token = bytes.fromhex(decoded.pop("token_hex"))
            split_fill(decoded, "token", token, (fill[0], fill[1] - 1))
    if kind == wire.HELLO:
        code = judge(data, False, "control-first")
        assert (code is None) == accepted, (name, code)
        record["accepted"] = accepted
    if signing:
        record.update(signing)
    if state:
        record["resumption"] = state
        try:
            record["replays_from"] = resumes(decode(kind, payload), state)
            assert not expect, name
        except Refused as refused:
            assert expect and refused.code == expect[0], (name, refused.code)
    if expect:
        assert note, name
        record["expect"] = expect

    best = payload if canonical_payload is None else canonical_payload
    record["envelope_minimal"] = minimal
    record["canonical"] = minimal and flags == 0 and best == payload
    if record["canonical"] and kind == wire.HELLO:
        names = [cap["name"].encode() for cap in record["decoded"]["capabilities"]]
        assert names == sorted(names), name
    if not record["canonical"] and best is not NONE:
        shortest = wire.frame(kind, op_id, best)
        if fill and best == payload:
            record["canonical_prefix_hex"] = shortest[: len(shortest) - fill[1]].hex()
        else:
            record["canonical_hex"] = shortest.hex()
    return record


def signing(kind, identity, did, inner, block, signed):
    """How a signed frame came about, under the names that the published file uses."""
    block = dict(block)
    return {
        "inputs": {
            "seed_hex": identity.seed.hex(),
            "public_key_hex": identity.public.hex(),
            "did": did,
            "verification_method_id": block["vmid"].decode(),
            "nonce_hex": block["nonce"].hex(),
            "timestamp_ms": int.from_bytes(block["timestamp"], "big", signed=True),
        },
        "inner_payload_hex": inner.hex(),
        "signature_hex": block["sig"].hex(),
        "domain_separator_hex": wire.domain(kind).hex(),
        "signed_message_hex": signed.hex(),
    }


def concat(name, requirements, *parts, note=None):
    """One `concat` vector of already encoded frames."""
    data = b"".join(parts)
    record = {"id": name, "kind": "concat", "requirements": requirements}
    if note:
        record["note"] = note
    record["encoded_hex"] = data.hex()
    record["frames"] = [
        {"type": kind, "flags": flags, "op_id": number(op_id), "payload_hex": payload.hex()}
        for kind, flags, op_id, payload, _ in frames(data)
    ]
    assert len(record["frames"]) == len(parts), name
    return record


def varint(name, value, size=None):
    """One `varint` vector."""
    data = wire.varint(value, size)
    minimal = len(data) == width(value)
    return {
        "id": name,
        "kind": "varint",
        "requirements": ["WIRE-4", "WIRE-5" if minimal else "WIRE-6"],
        "encoded_hex": data.hex(),
        "value": str(value),
        "minimal": minimal,
    }


def did_key(name, identity):
    """One `did-key` vector."""
    return {
        "id": name,
        "kind": "did-key",
        "requirements": ["ID-2", "SIG-3"],
        "seed_hex": identity.seed.hex(),
        "public_key_hex": identity.public.hex(),
        "did": identity.did,
        "vmid": identity.vmid,
    }


def malformed(
    name, requirements, on, data, code, closes="connection", fin=False, note=None, peer=None
):
    """One `malformed` vector; the judge must agree with the declared outcome."""
    verdict = judge(data, fin, on, peer)
    assert verdict == (code, closes), (name, verdict, (code, closes))
    record = {"id": name, "kind": "malformed", "requirements": requirements}
    if note:
        record["note"] = note
    record.update(on=on, fin=fin, code=code, closes=closes, encoded_hex=data.hex())
    return record


def binding(name, requirements, payload, exporter, identity, code=None, signing=None, note=None):
    """One `binding` vector: what `identity` sends behind its HELLO, on a connection whose TLS
    session exports `exporter`."""
    assert bound(payload, exporter, identity) == (code is None), name
    record = {"id": name, "kind": "binding", "requirements": requirements}
    if note:
        record["note"] = note
    record["exporter_hex"] = exporter.hex()
    record["peer_seed_hex"], record["peer_did"] = identity.seed.hex(), identity.did
    record["encoded_hex"] = wire.frame(wire.BINDING, 0, payload).hex()
    if code:
        record["code"] = code
    if signing:
        record.update(signing)
    return record


def path(name, payload, refused=None, canonical=True, note=None):
    """One `path` vector; the reader must agree with `refused`."""
    record = {"id": name, "kind": "path", "requirements": ["GAP-7", "GAP-14"]}
    if note:
        record["note"] = note
    record["encoded_hex"] = wire.frame(wire.PATH, 4, payload).hex()
    try:
        record["hops"] = reader.path(payload)
        assert refused is None, name
        record["canonical"] = canonical
    except Refused as found:
        assert found.code == refused, (name, found.code)
        record["refused"] = refused
    return record
