"""RESUMEs that are well formed, with what the responder knows and what becomes of them."""

from . import record, wire
from .signed import OTHER, PEER
from .wire import RESUME, VARINT_MAX, derive

TOKEN = derive("token resumption", 32)
# The responder has sent five STREAM frames, and retains the last three.
STATE = {
    "token_hex": TOKEN.hex(), "spent": False, "owner_did": PEER.did, "asked_by_did": PEER.did,
    "ttl_secs": 600, "age_ms": 1000, "sent": 5, "retained_from": 3,
}
INVALID, EXPIRED, UNAVAILABLE = "RESUME_INVALID", "RESUME_EXPIRED", "RESUME_UNAVAILABLE"


def outcomes():
    made = []

    def add(name, token, last_recv, code=None, requirements=("RES-5",), note=None, fill=None,
            or_else=(), **state):
        expect = [code, *or_else] if code else None
        made.append(record.frame(
            "resume-" + name, ["RES-3", *requirements], RESUME, 8, wire.resume(token, last_recv),
            state={**STATE, **state}, expect=expect, note=note, fill=fill))

    for last in (2, 3, 4):
        add(f"replays-from-{last + 1}", TOKEN, last)
    add("replays-nothing", TOKEN, 5, note="only what ends the operation is still to come")
    add("replays-all", TOKEN, 0, retained_from=1)
    add("before-the-first", TOKEN, 0, sent=0, retained_from=1)
    add("in-the-last-millisecond", TOKEN, 4, age_ms=599_999, requirements=["RES-5", "RES-8"])

    add("token-empty", b"", 4, INVALID, note="nobody issues an empty token")
    # One byte for the length of LastRecv, whose value is the fill's byte.
    add("token-100000", b"\x2a" * 100_000, 0x2A, INVALID, fill=(0x2A, 100_001),
        or_else=["FRAME_TOO_LARGE"], requirements=["RES-5", "WIRE-14"],
        note="over 65536 bytes, so a receiver may refuse it unread")
    add("token-unknown", derive("token unknown", 32), 4, INVALID, note="never issued")
    add("token-cut", TOKEN[:-1], 4, INVALID, note="all but the last byte of a good token")
    add("token-longer", TOKEN + b"\0", 4, INVALID, note="a good token and one byte more")
    flipped = TOKEN[:-1] + bytes([TOKEN[-1] ^ 1])
    add("token-last-bit", flipped, 4, INVALID, note="one bit off a good token")
    add("token-twice", TOKEN, 4, INVALID, requirements=["RES-5", "RES-10"], spent=True,
        note="an earlier RESUME spent it")
    add("token-of-somebody-else", TOKEN, 4, INVALID, requirements=["RES-5", "GAP-17"],
        asked_by_did=OTHER.did, note="good, but issued to another identity")
    add("from-the-future-by-one", TOKEN, 6, INVALID, note="so many frames were never sent")
    add("from-the-future", TOKEN, VARINT_MAX, INVALID, note="so many frames were never sent")
    add("before-the-window", TOKEN, 1, UNAVAILABLE, note="frame 2 is no longer retained")
    add("long-before-the-window", TOKEN, 0, UNAVAILABLE, note="frame 1 is no longer retained")
    for age in (600_000, 10**12):
        add(f"expired-after-{age}", TOKEN, 4, EXPIRED, requirements=["RES-5", "RES-8"],
            age_ms=age, note="the token's time is over")
    add("expired-of-somebody-else", TOKEN, 4, INVALID, requirements=["RES-5", "GAP-17"],
        age_ms=600_000, asked_by_did=OTHER.did, note="whose it was is nobody else's business")
    return made
