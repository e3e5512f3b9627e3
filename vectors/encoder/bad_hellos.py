"""Everything wrong on the control stream, most of it in a HELLO."""

from . import ed25519, record, wire
from .signed import DID_KEY_CAP, OTHER, PEER, Hello
from .wire import (
    BUDGET, CANCEL, DELEGATE, ERROR, FORBIDDEN, GOODBYE, HELLO, INVOKE, NOW, RESERVED, RESUMABLE,
    RESUME, STREAM, VARINT_MAX, VENDOR, WINDOW, base58, derive, domain, join, string,
    varint,
)

MALFORMED, VIOLATION = "MALFORMED_FRAME", "PROTOCOL_VIOLATION"
UNSIGNED, STALE = "BAD_SIGNATURE", "STALE_TIMESTAMP"
MISMATCH, UNRESOLVABLE = "KEY_MISMATCH", "UNRESOLVABLE_DID"


def first(name, requirements, payload, code, **more):
    """Bytes in place of the peer's HELLO, as one HELLO frame around `payload`."""
    data = wire.frame(HELLO, 0, payload)
    return record.malformed(name, requirements, "control-first", data, code, **more)


def truncated():
    """A HELLO whose payload stops at the front of each field, or inside it."""
    made, hello = [], Hello("bad-hello-cut")
    for field, value in hello.fields:
        code = UNSIGNED if field == "alg" else MALFORMED
        ids = ["SIG-7", "GAP-9"] if field == "alg" else ["HS-8", "GAP-9"]
        made.append(first(f"bad-hello-cut-before-{field}", ids, hello.before(field), code))
        if len(value) > 1:
            made.append(first(
                f"bad-hello-cut-inside-{field}", ["HS-8"],
                hello.before(field, len(value) - 1), MALFORMED))
    return made


def unparseable():
    made = []

    def add(name, requirements, payload, **more):
        made.append(first("bad-hello-" + name, requirements, payload, MALFORMED, **more))

    def build(name, **knobs):
        return Hello("bad-hello-" + name, **knobs).payload()

    for value in (2, 0x80, 0xFF):
        name = f"required-byte-{value}"
        add(name, ["HS-5"], build(name, caps=[("x-test.thing/1", 1, value)]))
    bad_text = {
        "lone-continuation": b"ab\x80", "overlong": b"\xc0\x80", "surrogate": b"\xed\xa0\x80",
        "cut-sequence": b"ab\xe2\x82", "past-unicode": b"\xf4\x90\x80\x80",
    }
    for label, text in bad_text.items():
        name = "node-id-not-utf8-" + label
        add(name, ["WIRE-16", "HS-8"], build(name, node=text, vmid=PEER.vmid))
    add("capability-not-utf8", ["WIRE-16", "CAP-3"],
        build("capability-not-utf8", caps=[(b"\xff\xfe/1", 1, 0)]))
    add("vmid-not-utf8", ["WIRE-16", "SIG-4"],
        build("vmid-not-utf8", vmid=PEER.vmid.encode() + b"\xff"))

    for count in (2, 64, VARINT_MAX):
        name = f"num-caps-{count}-of-1"
        add(name, ["HS-4", "HS-8"], build(name, count=count))
    inner = [varint(0), varint(4)]
    add("node-id-length-max", ["WIRE-16", "HS-8"], b"".join(inner) + varint(VARINT_MAX) + b"did:")
    hello = Hello("bad-hello-lengths")
    for field in ("cap-name-len", "vmid-len", "sig-len"):
        add(f"{field}-max", ["HS-8"], hello.with_field(field, varint(VARINT_MAX)))
    add("sig-len-65-of-64", ["SIG-4"], hello.with_field("sig-len", varint(65)))

    same = ("x-test.thing/1", 1, 0)
    for label, caps in (
        ("same", [same, same]), ("other-version", [same, ("x-test.thing/1", 2, 1)]),
        ("apart", [same, DID_KEY_CAP, ("x-test.other/1", 1, 0), same]),
    ):
        name = "duplicate-capability-" + label
        add(name, ["CAP-7"], build(name, caps=caps))
    return made


def versions():
    made = []
    for major in (1, 2, 64, VARINT_MAX):
        name = f"bad-hello-major-{major}"
        made.append(first(name, ["HS-6", "GAP-9"], Hello(name, major=major).payload(),
                          "INCOMPATIBLE_VERSION"))
    plain = join(wire.hello_fields(1, 0, "node1", []))
    made.append(first("bad-hello-major-1-no-block", ["HS-6", "GAP-9"], plain,
                      "INCOMPATIBLE_VERSION", note="major is looked at before DID and block"))
    return made


def identities():
    made = []

    def add(name, requirements, code, **knobs):
        note = knobs.pop("note", None)
        name = "bad-hello-" + name
        made.append(first(name, requirements, Hello(name, **knobs).payload(), code, note=note))

    no_did = {
        "empty": "", "word": "node1", "scheme-only": "did:", "no-id": "did:key:",
        "no-method": "did::abc", "upper-scheme": "DID:key:z6Mk", "upper-method": "did:KEY:z6Mk",
        "fragment": PEER.vmid, "path": PEER.did + "/a", "query": PEER.did + "?a=b",
        "space": "did:web:a b", "bad-percent": "did:web:a%3", "not-hex-percent": "did:web:a%zz",
        "trailing-colon": "did:web:node.example:", "non-ascii": "did:web:knöten.example",
        "leading-space": " " + PEER.did,
    }
    for label, node in no_did.items():
        add("node-id-" + label, ["ID-1", "GAP-9"], MALFORMED, node=node, vmid=node + "#k")
    made.append(first(
        "bad-hello-node-id-word-no-block", ["ID-1", "GAP-9"],
        join(wire.hello_fields(0, 4, "node1", [])), MALFORMED,
        note="DID syntax is looked at before the block"))
    for minor in (2, 5):
        made.append(first(
            f"bad-hello-no-block-minor-{minor}", ["SIG-7"],
            join(wire.hello_fields(0, minor, PEER.did, [DID_KEY_CAP])), UNSIGNED))
    for minor in (0, 1):
        made.append(first(
            f"bad-hello-unsigned-minor-{minor}", ["GAP-11"],
            join(wire.hello_fields(0, minor, "node1", [])), UNSIGNED))

    ids = ["SIG-8", "GAP-9"]
    add("vmid-of-other", ids, MISMATCH, vmid=OTHER.vmid)
    add("vmid-and-key-of-other", ids, MISMATCH, identity=OTHER, node=PEER.did)
    add("vmid-empty", ids, MISMATCH, vmid="")
    add("vmid-fragment-only", ids, MISMATCH, vmid="#" + PEER.vmid.split("#")[1])
    add("vmid-longer-did", ids, MISMATCH, vmid=PEER.did + "x#k")
    add("vmid-shorter-did", ids, MISMATCH, vmid=PEER.did[:-1] + "#k")
    add("vmid-upper-scheme", ids, MISMATCH, vmid="DID" + PEER.vmid[3:])
    add("vmid-of-other-alg-2", ids, MISMATCH, vmid=OTHER.vmid, alg=2,
        note="whose key is looked at before which algorithm")

    for alg in (0, 2, 0x81, 0xFF):
        add(f"alg-{alg}", ["SIG-1", "GAP-9"], UNSIGNED, alg=alg)
    add("alg-2-stale", ["SIG-1", "GAP-9"], UNSIGNED, alg=2, timestamp=0,
        note="the algorithm is looked at before the clock")

    off = {
        "old": NOW - WINDOW - 1, "future": NOW + WINDOW + 1, "zero": 0, "negative": -NOW,
        "min": -(2**63), "max": 2**63 - 1, "seconds": NOW // 1000,
    }
    for label, timestamp in off.items():
        add("stale-" + label, ["SIG-9"], STALE, timestamp=timestamp)

    ids = ["SIG-2", "ID-2"]
    web = "did:web:node.example"
    add("did-web-no-resolver", ids, UNRESOLVABLE, node=web, vmid=web + "#key-1")
    add("did-web-stale", [*ids, "GAP-9"], STALE, node=web, vmid=web + "#key-1",
        timestamp=NOW - WINDOW - 1, note="the clock is looked at before the key")
    add("did-unknown-method", ids, UNRESOLVABLE, node="did:example:123", vmid="did:example:123#k")
    keys = {
        "x25519": "z" + base58(b"\xec\x01" + PEER.public),
        "short": "z" + base58(b"\xed\x01" + PEER.public[:31]),
        "long": "z" + base58(b"\xed\x01" + PEER.public + b"\0"),
        "no-codec": "z" + base58(PEER.public),
        "bad-base58": "z6MkqWxM23zvnFMz6oZnWnPGF9jdp4g3JLK2TcJzPGevVD0O",
        "base16": "f" + (b"\xed\x01" + PEER.public).hex(),
        "only-z": "z",
    }
    for label, multibase in keys.items():
        did = "did:key:" + multibase
        add("did-key-" + label, ids, UNRESOLVABLE, node=did, vmid=f"{did}#{multibase}")
    add("vmid-other-fragment", ["SIG-2", "SIG-3"], UNRESOLVABLE, vmid=PEER.did + "#key-1")
    add("vmid-empty-fragment", ["SIG-2", "SIG-3"], UNRESOLVABLE, vmid=PEER.did + "#")
    add("vmid-no-fragment", ["SIG-2", "SIG-3"], UNRESOLVABLE, vmid=PEER.did)

    unknown = ("x-test.thing/1", 1, 1)
    ids = ["CAP-6", "GAP-9"]
    missing = "MISSING_REQUIRED_CAPABILITY"
    add("required-unknown", ids, missing, caps=[unknown])
    add("required-among-known", ids, missing, caps=[DID_KEY_CAP, unknown])
    add("required-resumable", ids, missing, caps=[("aire.resumable/1", 1, 1)])
    add("required-other-major", [*ids, "CAP-4"], missing, caps=[("aire.did-method.key/2", 1, 1)])
    add("required-other-case", [*ids, "CAP-4"], missing, caps=[("AIRE.did-method.key/1", 1, 1)])
    add("required-odd-name", [*ids, "CAP-3"], missing, caps=[("no-major", 1, 1)])
    return made


def signatures():
    made = []

    def add(name, requirements, payload, code=UNSIGNED, **more):
        made.append(first("bad-hello-" + name, requirements, payload, code, **more))

    hello = Hello("bad-hello-signature")
    signature = dict(hello.fields)["sig"]
    for length in (0, 1, 32, 63, 65, 128):
        cut = (signature * 2)[:length]
        payload = hello.before("sig-len") + string(cut)
        add(f"sig-len-{length}", ["SIG-4", "GAP-9"], payload,
            note="whole, but of a length that Ed25519 has not")
    add("sig-len-63-stale", ["GAP-9"],
        Hello("bad-hello-sig-len-63-stale", timestamp=0).before("sig-len") + string(bytes(63)),
        STALE, note="the clock is looked at before the signature")

    for byte, bit in ((0, 0), (0, 7), (31, 7), (32, 0), (48, 3), (63, 0), (63, 4), (63, 7)):
        add(f"sig-flip-byte-{byte}-bit-{bit}", ["SIG-12"], hello.flipped("sig", byte, bit))
    add("sig-zero", ["SIG-12"], hello.with_field("sig", bytes(64)))
    s = int.from_bytes(signature[32:], "little") + ed25519.L
    add("sig-s-plus-order", ["SIG-1"],
        hello.with_field("sig", signature[:32] + s.to_bytes(32, "little")),
        note="RFC 8032 refuses an S that is not below the group order")
    foreign = ed25519.sign(OTHER.seed, hello.signed)
    add("sig-by-other-key", ["SIG-5"], hello.with_field("sig", foreign))
    for label, separator in (
        ("cancel", domain(CANCEL)), ("none", b""), ("no-type", b"AIRE-SIG-v1\0"),
        ("no-nul", b"AIRE-SIG-v1\x01"), ("two-nuls", b"AIRE-SIG-v1\0\0\x01"),
        ("v2", b"AIRE-SIG-v2\0\x01"),
    ):
        name = "separator-" + label
        ids = ["SIG-5", "SIG-13"] if label == "cancel" else ["SIG-5", "GAP-20"]
        add(name, ids, Hello("bad-hello-" + name, separator=separator).payload())
    own_len = ed25519.sign(PEER.seed, hello.signed + varint(64))
    add("sig-over-sig-len", ["SIG-5"], hello.with_field("sig", own_len))
    ids = ["GAP-9"]
    add("bad-signature-and-missing-capability", ids,
        Hello("bad-hello-both", caps=[("x-test.thing/1", 1, 1)]).flipped("sig", 5, 5),
        note="capabilities come last")

    flips = (
        ("major", 0, 0, "INCOMPATIBLE_VERSION"), ("minor", 0, 0, UNSIGNED),
        ("minor", 0, 2, UNSIGNED), ("node-id-len", -1, 0, MALFORMED),
        ("node-id", 0, 0, MALFORMED), ("node-id", 3, 7, MALFORMED),
        ("node-id", -1, 0, MISMATCH), ("num-caps", 0, 0, MALFORMED), ("num-caps", 0, 1, MALFORMED),
        ("cap-name-len", 0, 0, MALFORMED), ("cap-name", 0, 1, UNSIGNED),
        ("cap-name", -1, 0, UNSIGNED), ("cap-version", 0, 1, UNSIGNED),
        ("cap-required", 0, 0, UNSIGNED), ("cap-required", 0, 1, MALFORMED),
        ("alg", 0, 0, UNSIGNED), ("alg", 0, 1, UNSIGNED), ("vmid", 10, 0, MISMATCH),
        ("vmid", -1, 0, UNRESOLVABLE), ("nonce", 0, 0, UNSIGNED), ("nonce", 15, 7, UNSIGNED),
        ("timestamp", 7, 0, UNSIGNED), ("timestamp", 0, 7, STALE), ("timestamp", 4, 0, STALE),
        ("sig-len", 1, 0, MALFORMED), ("sig-len", 1, 6, UNSIGNED),
    )
    for field, byte, bit, code in flips:
        place = f"byte-{byte}" if byte >= 0 else "last-byte"
        add(f"flip-{field}-{place}-bit-{bit}", ["SIG-12", "GAP-9"],
            hello.flipped(field, byte, bit), code)
    return made


def order():
    """Frames that come too early, too often, or on the wrong stream."""
    made = []

    def add(name, requirements, on, data, code=VIOLATION, **more):
        made.append(record.malformed("bad-control-" + name, requirements, on, data, code, **more))

    hello = Hello("bad-control-hello")
    for op_id in (4, 64, VARINT_MAX):
        add(f"hello-op-{op_id}", ["WIRE-3"], "control-first", hello.frame(op_id))
    invoke = wire.invoke("echo", "say")
    firsts = (
        ("goodbye", GOODBYE, 0, b""), ("invoke", INVOKE, 4, invoke), ("stream", STREAM, 4, b"x"),
        ("type-2", FORBIDDEN, 0, b""), ("reserved", RESERVED, 0, b""), ("vendor", VENDOR, 0, b""),
        ("budget", BUDGET, 0, wire.budget(tokens=1)), ("cancel", CANCEL, 4, wire.cancel(0)),
        ("resume", RESUME, 4, wire.resume(derive("token first", 16), 0)),
    )
    for label, kind, op_id, payload in firsts:
        ids = ["TYPE-1", "HS-3"] if kind == FORBIDDEN else ["HS-2", "HS-3"]
        add("first-" + label, ids, "control-first", wire.frame(kind, op_id, payload))
    add("two-hellos-at-once", ["HS-2", "HS-3"], "control-first",
        hello.frame() + Hello("bad-control-again").frame())
    add("hello-then-invoke", ["GAP-15"], "control-first",
        hello.frame() + wire.frame(INVOKE, 4, invoke))

    add("second-hello", ["HS-3"], "control", Hello("bad-control-second").frame())
    add("second-hello-empty", ["HS-3"], "control", wire.frame(HELLO, 0))
    add("type-2", ["TYPE-1"], "control", wire.frame(FORBIDDEN, 0))
    add("type-2-with-op", ["TYPE-1"], "control", wire.frame(FORBIDDEN, 4, b"x"))
    token = derive("token control", 16)
    operations = (
        ("invoke", INVOKE, invoke), ("stream", STREAM, b"x"), ("cancel", CANCEL, wire.cancel(0)),
        ("budget", BUDGET, wire.budget(tokens=1)),
        ("delegate", DELEGATE, wire.delegate("aire://b.example/x", "", 0)),
        ("resumable", RESUMABLE, wire.resumable(60, token, 0)),
        ("resume", RESUME, wire.resume(token, 0)),
    )
    for label, kind, payload in operations:
        for op_id in (0, 4):
            add(f"{label}-op-{op_id}", ["GAP-15", "WIRE-3"], "control",
                wire.frame(kind, op_id, payload))
    add("error-op-4", ["GAP-15", "WIRE-3"], "control",
        wire.frame(ERROR, 4, wire.error("CANCELLED")))
    add("goodbye-op-4", ["WIRE-3"], "control", wire.frame(GOODBYE, 4))
    add("goodbye-then-stream", ["GAP-15", "WIRE-7"], "control",
        wire.frame(GOODBYE, 0) + wire.frame(STREAM, 4, b"x"))

    whole = hello.frame()
    for label, length in (
        ("type-only", 1), ("no-op", 2), ("no-length", 3), ("half-length", 4), ("header", 5),
        ("last-byte", len(whole) - 1),
    ):
        add("hello-fin-after-" + label, ["WIRE-8", "HS-8"], "control-first", whole[:length],
            MALFORMED, fin=True)
    add("goodbye-fin-inside", ["WIRE-8"], "control", wire.frame(GOODBYE, 0, b"bye")[:5],
        MALFORMED, fin=True)
    add("vendor-fin-inside-length", ["WIRE-8"], "control", bytes([VENDOR, 0, 0, 0xC0, 0]),
        MALFORMED, fin=True)
    for label, length in (("limit-plus-one", 1_048_577), ("max", VARINT_MAX)):
        add(f"hello-length-{label}", ["WIRE-14", "GAP-19"], "control-first",
            wire.header(HELLO, 0, length), "FRAME_TOO_LARGE")
        add(f"goodbye-length-{label}", ["WIRE-14", "GAP-19"], "control",
            wire.header(GOODBYE, 0, length), "FRAME_TOO_LARGE")
    return made
