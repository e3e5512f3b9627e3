"""The path that a delegated operation came along: the root first, the sender last."""

from . import record, wire
from .reader import MAX_HOPS
from .signed import CALLER, OTHER, PEER
from .wire import VARINT_MAX, Identity, derive, path, string, varint

HOPS = [(CALLER.did, "planner"), ("did:web:b.example", "summarise"), (OTHER.did, "translate")]


def _long(count):
    return [(Identity(derive(f"seed hop {at}", 32)).did, f"agent-{at}") for at in range(count)]


def paths():
    made = []

    def add(name, payload, **more):
        made.append(record.path("path-" + name, payload, **more))

    add("one-hop", path(HOPS[:1]))
    add("two-hops", path(HOPS[:2]))
    add("three-hops", path(HOPS))
    add("utf8-agent", path([(PEER.did, "übersetzer-翻訳")]))
    add("agent-empty", path([(PEER.did, "")]))
    add("same-did-other-agent", path([(PEER.did, "a"), (PEER.did, "b")]))
    add("sixteen-hops", path(_long(MAX_HOPS)))
    add("empty", path([]), canonical=False, note="read, but a sender is always the last hop")
    add("count-in-4", path(HOPS, size=4), canonical=False)
    add("lengths-in-8",
        varint(1) + string(PEER.did, 8) + string("planner", 8), canonical=False)
    add("trailing", path(HOPS) + b"from a later version", canonical=False,
        note="what follows the hops is ignored")

    many = "too-many-hops"
    add("seventeen-hops", path(_long(MAX_HOPS + 1)), refused=many)
    add("seventeen-announced", path(HOPS, count=MAX_HOPS + 1), refused=many,
        note="the number alone is enough")
    add("count-max", path(HOPS, count=VARINT_MAX), refused=many)

    bad = "malformed"
    add("no-payload", b"", refused=bad)
    add("count-cut", b"\x40", refused=bad)
    add("one-hop-announced", varint(1), refused=bad)
    add("four-of-three", path(HOPS, count=4), refused=bad)
    whole = path(HOPS)
    end = len(path(HOPS[:2]))
    for label, length in (
        ("did-length", end), ("inside-did", end + 5), ("agent", end + 1 + len(OTHER.did)),
        ("last-byte", len(whole) - 1),
    ):
        add("cut-" + label, whole[:length], refused=bad)
    add("did-length-max", varint(1) + varint(VARINT_MAX) + b"did:", refused=bad)
    for label, text in (("lone", b"\x80"), ("overlong", b"\xc0\xaf"), ("cut", b"a\xf0\x9f")):
        add("did-not-utf8-" + label, path([(b"did:" + text, "a")]), refused=bad)
        add("agent-not-utf8-" + label, path([(PEER.did, text)]), refused=bad)
    add("last-agent-not-utf8", path([*HOPS, (PEER.did, b"\xff")]), refused=bad)
    return made
