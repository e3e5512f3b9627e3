"""Everything wrong on the stream of an operation."""

from . import record, wire
from .signed import CALLER, OTHER, Hello
from .wire import (
    BUDGET, CANCEL, COST_SPENT, DELEGATE, ERROR, FORBIDDEN, GOODBYE, HELLO, INVOKE, NOW, RESUMABLE,
    RESUME, STREAM, TOKENS_SPENT, VARINT_MAX, VENDOR, WINDOW, block_fields, budget_entries, derive,
    domain, entry, join, string, varint,
)

MALFORMED, VIOLATION, LARGE = "MALFORMED_FRAME", "PROTOCOL_VIOLATION", "FRAME_TOO_LARGE"
NOT_UTF8 = {
    "lone": b"\x80", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xbf\xbf", "cut": b"a\xf0\x9f\x9a",
}
STAGES = ("operation", "operation-after-invoke", "reply")
INVOKE_PAYLOAD = wire.invoke("echo", "say", b"hi")
DELEGATE_PAYLOAD = wire.delegate("aire://b.example/x", "did:web:b.example", 64)


def payloads():
    """Payloads that do not decode: each costs the operation, not the connection."""
    made = []

    def add(name, requirements, on, kind, payload, **more):
        made.append(record.malformed(
            "bad-" + name, requirements, on, wire.frame(kind, 4, payload), MALFORMED,
            "operation", **more))

    def invoke(name, payload, requirements=("GAP-3",), **more):
        add("invoke-" + name, list(requirements), "operation", INVOKE, payload, **more)

    invoke("empty", b"")
    invoke("agent-only", string("echo"))
    invoke("agent-length-past-end", b"\x05echo")
    invoke("agent-length-max", varint(VARINT_MAX) + b"echo")
    invoke("agent-length-cut", b"\x40")
    invoke("operation-length-past-end", string("echo") + b"\x04say")
    invoke("operation-length-cut", string("echo") + b"\xc0\0\0")
    for label, text in NOT_UTF8.items():
        invoke("agent-not-utf8-" + label, wire.invoke(text, "say"), ["GAP-3", "WIRE-16"])
    invoke("operation-not-utf8", wire.invoke("echo", b"\xfe"), ["GAP-3", "WIRE-16"])
    invoke("empty-then-fin", b"", fin=True)

    def during(name, kind, payload, requirements):
        for on in STAGES[1:]:
            label = "reply-" if on == "reply" else ""
            add(label + name, requirements, on, kind, payload)

    ids = ["CAN-2"]
    during("cancel-reason-cut", CANCEL, b"\x40", ids)
    during("cancel-no-detail-length", CANCEL, b"\0", ids)
    during("cancel-detail-length-cut", CANCEL, b"\0\x80\0", ids)
    during("cancel-detail-past-end", CANCEL, b"\0\x06short", ids)
    during("cancel-detail-length-max", CANCEL, b"\0" + varint(VARINT_MAX), ids)
    for label, text in NOT_UTF8.items():
        add("cancel-not-utf8-" + label, [*ids, "WIRE-16"], STAGES[1], CANCEL,
            wire.cancel(0, text))

    during("error-empty", ERROR, b"", ["GAP-5"])
    during("error-code-cut", ERROR, b"\x40", ["GAP-5"])
    during("error-no-detail-length", ERROR, b"\x0a", ["GAP-5"])
    during("error-detail-past-end", ERROR, b"\x0a\x05oops", ["GAP-5"])
    during("error-detail-not-utf8", ERROR, wire.error("CANCELLED", b"\xc3\x28"),
           ["GAP-5", "WIRE-16"])

    target = string("aire://b.example/x")
    cuts = {
        "empty": b"", "target-cut": target[:-1], "target-only": target,
        "did-cut": target + b"\x07did:web", "no-sub-op": target + string("did:web:b.example"),
        "sub-op-cut": target + string("") + b"\x40",
        "target-not-utf8": wire.delegate(b"aire://\xff", "", 0),
        "did-not-utf8": wire.delegate("aire://b.example/x", b"did:\xff", 0),
    }
    for label, payload in cuts.items():
        if label == "did-cut":
            payload = payload[:-1]
        add("delegate-" + label, ["GAP-7"], "reply", DELEGATE, payload)
    return made


def budgets():
    made = []

    def add(name, payload, requirements=("BUD-1",), on="operation-after-invoke", **more):
        made.append(record.malformed(
            "bad-budget-" + name, list(requirements), on, wire.frame(BUDGET, 4, payload),
            MALFORMED, "operation", **more))

    tokens = entry(1, varint(5))
    add("empty", b"")
    add("zero-entries", varint(0))
    add("zero-entries-in-8", varint(0, 8))
    add("count-cut", b"\x40")
    add("count-two-of-one", varint(2) + tokens)
    add("count-max", varint(VARINT_MAX) + tokens)
    for field, value in (
        (1, varint(5)), (2, varint(5)), (3, b"USD"), (4, bytes(8)), (9, b"x"),
        (TOKENS_SPENT, varint(5)), (COST_SPENT, varint(5)),
    ):
        add(f"duplicate-field-{field}", budget_entries(entry(field, value), entry(field, value)))
    add("duplicate-apart", budget_entries(tokens, entry(4, bytes(8)), entry(1, varint(6))))
    add("duplicate-unknown-apart",
        budget_entries(entry(0xFE, b"a"), tokens, entry(0xFE, b"")))

    add("entry-no-length", varint(1) + b"\x01")
    add("entry-length-cut", varint(1) + b"\x01\x40")
    add("entry-no-value", varint(1) + b"\x01\x01")
    add("entry-value-past-end", varint(1) + b"\x04\x08" + bytes(7))
    add("entry-length-max", varint(1) + b"\x01" + varint(VARINT_MAX))
    add("unknown-past-end", varint(1) + b"\x7f\x05abcd")

    ids = ["BUD-2"]
    spent = entry(TOKENS_SPENT, varint(5))
    add("duplicate-spent-apart", budget_entries(spent, tokens, entry(TOKENS_SPENT, varint(6))))
    for field, label in (
        (1, "tokens"), (2, "cost"), (TOKENS_SPENT, "tokens-spent"), (COST_SPENT, "cost-spent"),
    ):
        add(label + "-no-bytes", budget_entries(entry(field, b"")), ids)
        add(label + "-nine-bytes", budget_entries(entry(field, varint(5, 8) + b"\0")), ids)
        add(label + "-longer-than-varint", budget_entries(entry(field, varint(5) + b"\0")), ids)
        add(label + "-shorter-than-varint", budget_entries(entry(field, varint(5, 4)[:3])), ids)
    currencies = {
        "none": b"", "two": b"US", "four": b"USDT", "digit": b"U5D", "sign": b"US$",
        "space": b"US ", "nul": b"US\0", "high-bytes": b"\xe2\x82\xac",
    }
    for label, value in currencies.items():
        add("currency-" + label, budget_entries(tokens, entry(3, value)), ids)
    for length in (0, 1, 7, 9, 16):
        add(f"deadline-{length}-bytes", budget_entries(entry(4, bytes(length))), ids)
    add("spent-entry-past-end", varint(1) + bytes([TOKENS_SPENT]) + b"\x02\x05")
    add("reply-duplicate-spent", budget_entries(spent, spent), on="reply")
    add("reply-zero-entries", varint(0), on="reply")
    add("reply-duplicate", budget_entries(tokens, tokens), on="reply")
    return made


def signed_cancels():
    """CANCELs whose block is not the peer's, or not over these bytes: the work goes to waste, the
    connection does not."""
    made = []

    inner = wire.cancel(3, "parent stopped")

    def build(label, identity=CALLER, timestamp=NOW, **knobs):
        nonce = derive("nonce bad-cancel-" + label, 16)
        block, _ = block_fields(CANCEL, inner, identity, nonce, timestamp, **knobs)
        return [("inner", inner), *block]

    def add(label, fields, code, requirements=("SIG-13",), on="operation-after-invoke", **more):
        made.append(record.malformed(
            "bad-cancel-signed-" + label, list(requirements), on,
            wire.frame(CANCEL, 4, join(fields)), code, "operation", peer=CALLER, **more))

    def flipped(label, field, byte, bit):
        changed = []
        for name, value in build(label):
            value = bytearray(value)
            if name == field:
                value[byte] ^= 1 << bit
            changed.append((name, bytes(value)))
        return changed

    for label, field, byte, bit in (
        ("reason", "inner", 0, 0), ("detail", "inner", 2, 0), ("nonce", "nonce", 7, 3),
        ("timestamp", "timestamp", 7, 0), ("alg", "alg", 0, 1), ("sig-first", "sig", 0, 0),
        ("sig-last", "sig", 63, 0),
    ):
        label = "tampered-" + label
        add(label, flipped(label, field, byte, bit), "BAD_SIGNATURE")
    ids = ["SIG-8", "SIG-13"]
    add("by-other", build("by-other", OTHER), "KEY_MISMATCH", ids)
    add("by-other-in-reply", build("by-other-in-reply", OTHER), "KEY_MISMATCH", ids, on="reply")
    add("in-the-name-of-other", build("in-the-name-of-other", vmid=OTHER.vmid), "KEY_MISMATCH", ids)
    add("by-other-in-our-name", build("by-other-in-our-name", OTHER, vmid=CALLER.vmid),
        "BAD_SIGNATURE", ids, note="the name is the peer's, the key is not")
    add("as-hello", build("as-hello", separator=domain(HELLO)), "BAD_SIGNATURE", ["SIG-5", "SIG-13"])
    add("as-budget", build("as-budget", separator=domain(BUDGET)), "BAD_SIGNATURE",
        ["SIG-5", "SIG-13"])
    for label, off in (("old", -WINDOW - 1), ("future", WINDOW + 1)):
        add(label, build(label, timestamp=NOW + off), "STALE_TIMESTAMP", ["SIG-9", "SIG-13"])
    whole = build("cut")
    for cut in range(2, len(whole)):
        name = whole[cut][0]
        add("cut-before-" + name, whole[:cut], MALFORMED, ["CAN-2", "SIG-13"])
    add("sig-63", [*whole[:-2], ("sig", string(whole[-1][1][:63]))], "BAD_SIGNATURE",
        ["SIG-4", "SIG-13"])
    return made


def order():
    """Frames out of place: each costs the connection."""
    made = []

    def add(name, requirements, on, *frames, code=VIOLATION, closes="connection", fin=False):
        made.append(record.malformed(
            f"bad-{on}-{name}", requirements, on, b"".join(frames), code, closes, fin))

    def make(kind, payload=b"", op_id=4):
        return wire.frame(kind, op_id, payload)

    invoke, stream = make(INVOKE, INVOKE_PAYLOAD), make(STREAM, b"x")
    token = derive("token operation", 16)
    resumable = make(RESUMABLE, wire.resumable(60, token, 0))
    resume = make(RESUME, wire.resume(token, 0))
    early = {
        "stream": stream, "cancel": make(CANCEL, wire.cancel(0)),
        "budget": make(BUDGET, wire.budget(tokens=1)), "error": make(ERROR, wire.error("REFUSED")),
        "delegate": make(DELEGATE, DELEGATE_PAYLOAD), "goodbye": make(GOODBYE),
    }
    for label, data in early.items():
        add(label + "-first", ["WIRE-10"], "operation", data)
        add(label + "-before-invoke", ["WIRE-10"], "operation", data, invoke)
    add("resumable-first", ["RES-1"], "operation", resumable)
    add("resume-not-active", ["RES-1"], "operation", resume)
    add("invoke-op-0", ["GAP-2", "GAP-15"], "operation", make(INVOKE, INVOKE_PAYLOAD, 0))
    add("stream-op-0", ["GAP-15"], "operation", make(STREAM, b"x", 0))
    add("goodbye-op-0", ["GAP-2", "WIRE-3"], "operation", make(GOODBYE, b"", 0))
    add("hello", ["HS-3"], "operation", Hello("bad-operation-hello").frame())
    add("op-changes", ["GAP-2", "WIRE-9"], "operation", invoke, make(STREAM, b"x", 8))
    add("op-changes-late", ["GAP-2", "WIRE-9"], "operation", invoke, stream, stream,
        make(CANCEL, wire.cancel(0), 12))
    add("invoke-twice", ["WIRE-10"], "operation", invoke, invoke)

    for on in STAGES[1:]:
        ours = on == "operation-after-invoke"
        add("second-invoke" if ours else "invoke", ["WIRE-10"], on, invoke)
        add("resume", ["RES-1"], on, resume)
        add("resumable-not-active", ["RES-1"], on, resumable)
        add("hello", ["HS-3"], on, Hello(f"bad-{on}-hello").frame())
        add("hello-op-4", ["HS-3"], on, make(HELLO, Hello(f"bad-{on}-hello-4").payload()))
        add("goodbye-op-4", ["WIRE-3"], on, make(GOODBYE))
        add("op-0-stream", ["GAP-15"], on, make(STREAM, b"x", 0))
        add("op-0-budget", ["GAP-15", "BUD-4"], on, make(BUDGET, wire.budget(tokens=1), 0))
        add("op-0-cancel", ["GAP-15"], on, make(CANCEL, wire.cancel(0), 0))
        add("op-0-error", ["GAP-2", "WIRE-3"], on, make(ERROR, wire.error("REFUSED"), 0))
        for op_id in (5, 8, 16384):
            add(f"op-{op_id}-stream", ["GAP-2", "WIRE-9"], on, make(STREAM, b"x", op_id))
        add("stream-then-op-8", ["GAP-2", "WIRE-9"], on, stream, make(STREAM, b"x", 8))
        if ours:
            add("delegate", ["GAP-7"], on, make(DELEGATE, DELEGATE_PAYLOAD))

    for on in STAGES:
        for op_id in (0, 4):
            add(f"type-2-op-{op_id}", ["TYPE-1"], on, make(FORBIDDEN, b"", op_id))
        start = invoke if on == "operation" else b""
        add("type-2-after-stream", ["TYPE-1", "WIRE-7"], on, start, stream, make(FORBIDDEN, b"x"))
        first = INVOKE if on == "operation" else STREAM
        for label, length in (("limit-plus-one", 1_048_577), ("max", VARINT_MAX)):
            add("length-" + label, ["WIRE-14", "GAP-19"], on, wire.header(first, 4, length),
                code=LARGE, closes="operation")
        whole = wire.frame(first, 4, INVOKE_PAYLOAD if first == INVOKE else b"cut me", len_size=4)
        for label, length in (
            ("type", 1), ("flags", 2), ("op", 3), ("half-length", 5), ("header", 7),
            ("payload-but-one", len(whole) - 1),
        ):
            add("fin-after-" + label, ["WIRE-8"], on, whole[:length], code=MALFORMED, fin=True)
        add("fin-in-second-frame", ["WIRE-7", "WIRE-8"], on, start or stream, stream[:-1],
            code=MALFORMED, fin=True)
    add("fin-inside-vendor", ["WIRE-8"], "reply", make(VENDOR, b"whole")[:-2], code=MALFORMED,
        fin=True)
    return made
