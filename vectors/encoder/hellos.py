"""HELLO frames a codec must read, signed and unsigned; signed CANCELs; did:key pairs."""

from . import record, wire
from .record import NONE
from .signed import CALLER, DID_KEY_CAP, ONES, OTHER, PEER, PUBLISHED, RFC8032, ZERO, Hello
from .wire import CANCEL, HELLO, NOW, VARINT_MAX, WINDOW, block_fields, derive, join


def did_keys():
    pairs = (
        ("published", PUBLISHED), ("peer", PEER), ("other", OTHER), ("zero", ZERO),
        ("ones", ONES), ("rfc8032", RFC8032), ("caller", CALLER),
    )
    return [record.did_key("did-key-" + label, identity) for label, identity in pairs]


def _hello(name, requirements, accepted=True, more=None, **knobs):
    """A signed HELLO whose `more` goes to the record and `knobs` to the builder."""
    hello = Hello(name, **knobs)
    return record.frame(
        name, requirements, HELLO, 0, hello.payload(), accepted=accepted,
        signing=hello.signing(), **(more or {}))


def unsigned():
    """HELLOs of minors 0 and 1, where no block existed: read, not admitted (GAP-11)."""
    made = []

    def add(name, minor, node, caps, requirements=("HS-4", "GAP-11"), **more):
        payload = join(wire.hello_fields(0, minor, node, caps))
        made.append(record.frame(
            name, list(requirements), HELLO, 0, payload, accepted=False, **more))

    add("hello-minor-0-empty", 0, "", [])
    add("hello-minor-1-plain", 1, "node1", [])
    add("hello-minor-1-capabilities", 1, "node1",
        [("core.streaming", 1, 1), ("x-test.thing/2", 7, 0)], ("HS-4", "HS-5", "GAP-11"))
    add("hello-minor-1-utf8", 1, "knoten-ü", [], ("HS-4", "WIRE-16", "GAP-11"))
    add("hello-minor-2-no-block", 2, PEER.did, [DID_KEY_CAP], ("HS-4", "SIG-7"))
    return made


def signed():
    """HELLOs that carry a block."""
    made = []
    base = ["HS-4", "SIG-4", "SIG-5"]

    def add(name, extra=(), accepted=True, more=None, **knobs):
        made.append(_hello(name, base + list(extra), accepted, more, **knobs))

    add("hello-as-published", ["SIG-12"], identity=PUBLISHED, minor=2,
        caps=[("aire.did-method.key/1", 1, 1)], nonce=bytes(range(16)),
        more={"note": "the published vector, rebuilt from its inputs"})
    for label, identity in (("peer", PEER), ("other", OTHER), ("zero", ZERO),
                            ("ones", ONES), ("rfc8032", RFC8032)):
        add("hello-seed-" + label, ["ID-2", "SIG-3"], identity=identity)
    for minor in (2, 3, 5, 63, 64, VARINT_MAX):
        add(f"hello-minor-{minor}", ["HS-7"], minor=minor)

    add("hello-no-capabilities", ["CAP-5"], caps=[])
    add("hello-capability-required", ["CAP-6"], caps=[("aire.did-method.key/1", 1, 1)])
    add("hello-all-defined-capabilities", ["CAP-2"], caps=[
        DID_KEY_CAP, ("aire.did-method.web/1", 1, 0), ("aire.resumable/1", 1, 0)])
    add("hello-several-majors", ["CAP-4", "CAP-7"], caps=[
        ("x-test.thing/1", 3, 0), ("x-test.thing/10", 1, 0), ("x-test.thing/2", 0, 0)])
    add("hello-capability-versions", ["HS-5", "WIRE-4"], caps=[
        (f"x-test.v{i}/1", version, 0)
        for i, version in enumerate((0, 63, 64, 16383, 16384, 2**30 - 1, 2**30, VARINT_MAX))])
    add("hello-capability-name-255", ["CAP-1"], caps=[("x" * 253 + "/1", 1, 0)])
    add("hello-forty-capabilities", ["CAP-5"], caps=[
        (f"x-test.c{i:02}/1", i, 0) for i in range(40)])
    add("hello-capabilities-out-of-order", ["CAP-8"], caps=[
        ("x-test.b/1", 1, 0), ("x-test.a/1", 1, 0), DID_KEY_CAP],
        more={"canonical_payload": NONE})
    odd = [("no-major", 1, 0), ("x..y/1", 1, 0), ("x-test/01", 1, 0), ("1x/1", 1, 0),
           ("capacité/1", 1, 0), ("", 1, 0), ("aire.undefined/1", 1, 0), ("z" * 300, 1, 0)]
    for label, caps in (("one", odd[:1]), ("many", odd)):
        add("hello-odd-capability-names-" + label, ["CAP-3"], caps=caps,
            more={"canonical_payload": NONE, "note": "read, but never sent under these names"})

    for label, off in (("oldest", -WINDOW), ("newest", WINDOW), ("second-old", -1000)):
        add("hello-timestamp-" + label, ["SIG-9"], timestamp=NOW + off)
    for bits in (0x01, 0x80, 0xFF):
        add(f"hello-flags-{bits:02x}", ["WIRE-2"], more={"flags": bits})

    for size in (2, 4, 8):
        add(f"hello-signed-varints-in-{size}", ["WIRE-6", "SIG-5"], sizes={
            "major": size, "minor": size, "node-id-len": size, "num-caps": size,
            "cap-name-len": size, "cap-version": size, "vmid-len": size,
        }, more={"canonical_payload": NONE, "note": "signed as sent: shortening breaks it"})
    plain = Hello("hello-sig-len-in-8")
    add("hello-sig-len-in-8", ["WIRE-6"], sizes={"sig-len": 8},
        more={"canonical_payload": plain.payload()})
    add("hello-envelope-in-8", ["WIRE-6"], more={"op_size": 8, "len_size": 8})

    for label, tail in (("one-zero", b"\0"), ("text", b"from a later minor"), ("64", b"\xff" * 64)):
        name = "hello-trailing-" + label
        add(name, ["GAP-10"], trailing=tail, more={"canonical_payload": Hello(name).payload()})
    name = "hello-trailing-second-block"
    hello, other = Hello(name), Hello(name + "-other", identity=OTHER)
    add(name, ["GAP-10"], trailing=join(other.fields)[len(other.inner):],
        more={"canonical_payload": hello.payload()})
    name = "hello-payload-65536"
    hello = Hello(name)
    count = 65536 - len(hello.payload())
    add(name, ["GAP-10", "WIRE-12"], trailing=b"\x77" * count,
        more={"canonical_payload": hello.payload(), "fill": (0x77, count)})

    for label, did in (("plain", "did:web:node.example"), ("port", "did:web:node.example%3A8443:a:b")):
        add("hello-did-web-" + label, ["ID-1", "ID-3"], accepted=False,
            node=did, vmid=did + "#key-1",
            more={"note": "not admitted where no resolver of did:web is configured"})
    return made


def cancels():
    """CANCELs with a block (SIG-13): the separator holds the CANCEL type byte."""
    made = []
    for label, identity, reason, detail in (
        ("plain", PEER, 0, ""), ("detail", PEER, 3, "parent stopped"), ("other", OTHER, 64, ""),
        ("caller", CALLER, 1, "too late"),
    ):
        name = "cancel-signed-" + label
        inner = wire.cancel(reason, detail)
        block, message = block_fields(CANCEL, inner, identity, derive("nonce " + name, 16), NOW)
        made.append(record.frame(
            name, ["SIG-5", "SIG-13", "CAN-2"], CANCEL, 4, inner + join(block),
            signing=record.signing(CANCEL, identity, identity.did, inner, block, message)))
    return made
