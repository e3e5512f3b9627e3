"""The proof that an identity's key sits at the end of this very connection (GAP-21)."""

from . import ed25519, record, wire
from .signed import OTHER, PEER, RFC8032
from .wire import BINDING, HELLO, NOW, WINDOW, block_fields, derive, domain, join, string

EXPORTER, ELSEWHERE = derive("exporter here", 32), derive("exporter elsewhere", 32)
BAD = "BAD_SIGNATURE"


class Binding:
    """A binding: its block in wire order, and what was signed."""

    def __init__(
        self, name, identity=PEER, exporter=EXPORTER, timestamp=NOW, nonce=None, separator=None,
        **knobs,
    ):
        self.identity, self.exporter = identity, exporter
        nonce = derive("nonce " + name, 16) if nonce is None else nonce
        # The exporter value is signed as if it were an inner payload, but is not sent.
        self.fields, self.signed = block_fields(
            BINDING, exporter, identity, nonce, timestamp, separator=separator, **knobs)

    def payload(self):
        return join(self.fields)

    def signing(self):
        return record.signing(
            BINDING, self.identity, self.identity.did, b"", self.fields, self.signed)

    def flipped(self, field, byte, bit):
        changed = []
        for name, value in self.fields:
            if name == field:
                value = bytearray(value)
                value[byte] ^= 1 << bit
            changed.append((name, bytes(value)))
        return join(changed)


def good():
    made = []

    def add(name, identity=PEER, exporter=EXPORTER, tail=b"", note=None, **knobs):
        name = "binding-" + name
        binding = Binding(name, identity, exporter, **knobs)
        made.append(record.binding(
            name, ["GAP-21", "SIG-4", "SIG-5"], binding.payload() + tail, exporter, identity,
            signing=binding.signing(), note=note))

    add("plain")
    add("of-other", OTHER)
    add("of-rfc8032", RFC8032)
    add("exporter-zero", exporter=bytes(32))
    add("exporter-ones", exporter=b"\xff" * 32)
    add("nonce-counting", nonce=bytes(range(16)))
    for label, off in (("oldest", -WINDOW), ("newest", WINDOW)):
        add("timestamp-" + label, timestamp=NOW + off)
    add("varints-in-8", sizes={"vmid-len": 8, "sig-len": 8})
    add("trailing", tail=b"from a later version", note="what follows the block is ignored")
    return made


def wrong():
    made = []

    def add(name, payload, note=None, exporter=EXPORTER, requirements=("GAP-21",)):
        made.append(record.binding(
            "bad-binding-" + name, list(requirements), payload, exporter, PEER, BAD, note=note))

    binding = Binding("bad-binding")
    add("of-another-connection", Binding("bad-binding-relayed", exporter=ELSEWHERE).payload(),
        note="good where it was made, and relayed")
    add("to-another-connection", binding.payload(), exporter=ELSEWHERE)
    add("exporter-one-bit", binding.payload(), exporter=bytes([EXPORTER[0] ^ 1]) + EXPORTER[1:])
    add("by-other", Binding("bad-binding-by-other", OTHER).payload(),
        note="good, but of another DID than HELLO's")
    add("by-other-in-this-name",
        Binding("bad-binding-in-this-name", OTHER, vmid=PEER.vmid).payload())
    add("in-the-name-of-other", Binding("bad-binding-in-that-name", vmid=OTHER.vmid).payload())
    add("vmid-empty", Binding("bad-binding-vmid-empty", vmid="").payload())
    for field, byte, bit in (
        ("alg", 0, 1), ("vmid", 12, 0), ("nonce", 0, 0), ("nonce", 15, 7), ("timestamp", 7, 0),
        ("sig", 0, 0), ("sig", 31, 7), ("sig", 32, 0), ("sig", 63, 4),
    ):
        add(f"flip-{field}-byte-{byte}-bit-{bit}", binding.flipped(field, byte, bit))
    for label, off in (("old", -WINDOW - 1), ("future", WINDOW + 1)):
        name = "stale-" + label
        add(name, Binding("bad-binding-" + name, timestamp=NOW + off).payload(),
            requirements=["GAP-21", "SIG-9"])
    for label, separator in (("hello", domain(HELLO)), ("none", b""), ("path", domain(wire.PATH))):
        name = "separator-" + label
        add(name, Binding("bad-binding-" + name, separator=separator).payload(),
            requirements=["GAP-21", "SIG-5"])
    nothing = Binding("bad-binding-no-exporter", exporter=b"")
    add("without-exporter", nothing.payload(), note="signed, but not over the connection")
    add("exporter-behind", _exporter_behind(), note="the exporter value comes before the block")
    add("exporter-sent", EXPORTER + binding.payload(), note="the value is signed, not sent")
    add("alg-2", Binding("bad-binding-alg-2", alg=2).payload(), requirements=["GAP-21", "SIG-1"])
    add("empty", b"")
    for at in range(1, len(binding.fields)):
        name = binding.fields[at][0]
        add("cut-before-" + name, join(binding.fields[:at]))
    add("sig-63", join(binding.fields[:-2]) + string(binding.fields[-1][1][:63]))
    add("sig-none", join(binding.fields[:-2]) + string(b""))
    vmid = dict(binding.fields)
    add("vmid-not-utf8", bytes([1]) + string(b"did:\xff") + vmid["nonce"] + vmid["timestamp"]
        + vmid["sig-len"] + vmid["sig"], requirements=["GAP-21", "WIRE-16"])
    return made


def _exporter_behind():
    """A binding whose signer took the exporter value for the end of what is signed."""
    fields = Binding("bad-binding-exporter-behind").fields
    head = fields[:-2]
    signature = ed25519.sign(PEER.seed, domain(BINDING) + join(head) + EXPORTER)
    return join(head) + string(signature)
