"""Well-formed input: varints, envelopes, payloads of every type, concatenations."""

from itertools import product

from . import record, wire
from .record import NONE
from .signed import CALLER
from .wire import (
    BUDGET, CANCEL, DELEGATE, ERROR, GOODBYE, INVOKE, RESERVED, RESUMABLE, RESUME,
    COST_SPENT, STREAM, TOKENS_SPENT, VARINT_MAX, VENDOR, budget_entries, derive, entry,
)

BOUNDARIES = [0, 63, 64, 16383, 16384, 2**30 - 1, 2**30, VARINT_MAX]
SIZES = (1, 2, 4, 8)


def varints():
    """Every length at both of its ends, and every longer form of those."""
    made = [record.varint(f"varint-{value}", value) for value in BOUNDARIES]
    for value in BOUNDARIES:
        shortest = len(wire.varint(value))
        for size in SIZES:
            if size > shortest:
                made.append(record.varint(f"varint-{value}-in-{size}", value, size))
    for value, size in ((37, 1), (37, 2), (15293, 2), (494878333, 4), (151288809941952652, 8)):
        made.append(record.varint(f"varint-rfc9000-{value}-in-{size}", value, size))
    return made


def envelopes():
    """OpIDs, flags, payload lengths, types without a payload layout."""
    made = []
    for op_id in BOUNDARIES[1:]:
        made.append(record.frame(
            f"stream-op-{op_id}", ["WIRE-1", "WIRE-4", "WIRE-5"], STREAM, op_id, b"ok"))
    for op_id, size in ((4, 2), (4, 4), (4, 8), (64, 4), (16384, 8), (2**30 - 1, 8)):
        made.append(record.frame(
            f"stream-op-{op_id}-in-{size}", ["WIRE-6"], STREAM, op_id, b"ok", op_size=size))
    for length, size in ((0, 2), (0, 4), (0, 8), (3, 2), (3, 4), (3, 8), (64, 8)):
        made.append(record.frame(
            f"stream-len-{length}-in-{size}", ["WIRE-6"], STREAM, 4, b"\xcd" * length,
            len_size=size))
    made.append(record.frame(
        "stream-op-and-len-in-8", ["WIRE-6"], STREAM, 4, b"abc", op_size=8, len_size=8))
    made.append(record.frame(
        "goodbye-op-zero-in-8", ["WIRE-3", "WIRE-6"], GOODBYE, 0, op_size=8, len_size=8))

    for length in (0, 1, 63, 64, 16383, 16384, 65535, 65536):
        fill = (0xAB, length) if length > 64 else None
        made.append(record.frame(
            f"stream-payload-{length}", ["WIRE-5", "WIRE-12"], STREAM, 4, b"\xab" * length,
            fill=fill))
    made.append(record.frame(
        "stream-payload-65536-len-in-8", ["WIRE-6", "WIRE-12"], STREAM, 4, b"\x5a" * 65536,
        fill=(0x5A, 65536), len_size=8))
    made.append(record.frame("stream-all-byte-values", ["WIRE-1"], STREAM, 8, bytes(range(256))))

    for bit in range(8):
        made.append(record.frame(
            f"stream-flag-bit-{bit}", ["WIRE-2"], STREAM, 4, b"hi", flags=1 << bit))
    made.append(record.frame("stream-flags-all", ["WIRE-2"], STREAM, 4, b"hi", flags=0xFF))
    for kind, label, payload in (
        (INVOKE, "invoke", wire.invoke("echo", "say")),
        (CANCEL, "cancel", wire.cancel(0)),
        (BUDGET, "budget", wire.budget(tokens=1)),
        (ERROR, "error", wire.error("CANCELLED")),
    ):
        made.append(record.frame(
            f"{label}-flags-all", ["WIRE-2"], kind, 4, payload, flags=0xFF))

    made.append(record.frame("goodbye-empty", ["WIRE-3", "GAP-8"], GOODBYE, 0))
    made.append(record.frame(
        "goodbye-content-ignored", ["GAP-8"], GOODBYE, 0, b"until next time",
        canonical_payload=b""))
    made.append(record.frame("reserved-type-empty", ["TYPE-2", "GAP-14"], RESERVED, 4))
    made.append(record.frame("reserved-type-content", ["TYPE-2", "GAP-14"], RESERVED, 4, b"later"))
    made.append(record.frame("reserved-type-last", ["TYPE-2", "GAP-14"], 0x7F, 4, b"later",
                             content=False))
    made.append(record.frame("vendor-type-empty", ["TYPE-2", "GAP-14"], VENDOR, 4))
    made.append(record.frame("vendor-type-content", ["TYPE-2", "GAP-14"], VENDOR, 4, b"acme"))
    made.append(record.frame("vendor-type-last", ["TYPE-2", "GAP-14"], 0xFF, 4, b"acme",
                             content=False))
    made.append(record.frame(
        "vendor-type-65536", ["WIRE-12", "GAP-14"], VENDOR, 4, b"\xee" * 65536,
        fill=(0xEE, 65536)))
    return made


def invokes():
    made = []

    def add(name, requirements, payload, **more):
        made.append(record.frame(name, requirements, INVOKE, 4, payload, **more))

    ids = ["GAP-3", "WIRE-16"]
    add("invoke-plain", ids, wire.invoke("echo", "say", b"hello"))
    add("invoke-no-args", ids, wire.invoke("echo", "say"))
    add("invoke-no-operation", ids, wire.invoke("echo", ""))
    add("invoke-all-empty", ids, wire.invoke("", ""))
    add("invoke-utf8", [*ids, "URI-3"], wire.invoke("größe-量", "пуск-🚀", "naïve".encode()))
    add("invoke-agent-63", ids, wire.invoke("a" * 63, "x"))
    add("invoke-agent-64", ids, wire.invoke("a" * 64, "x"))
    add("invoke-binary-args", ids, wire.invoke("echo", "say", b"\xff\xfe\0\x80"),
        note="args are bytes, not text")
    best = wire.invoke("echo", "say", b"hello")
    for size in SIZES[1:]:
        add(f"invoke-strings-in-{size}", [*ids, "WIRE-6"],
            wire.invoke("echo", "say", b"hello", (size, size)), canonical_payload=best)
    head = wire.invoke("echo", "say")
    for total in (16384, 65536):
        count = total - len(head)
        add(f"invoke-payload-{total}", ["GAP-3", "WIRE-12"], head + b"\x20" * count,
            fill=(0x20, count))
    return made


def cancels():
    made = []

    def add(name, requirements, payload, **more):
        made.append(record.frame(name, requirements, CANCEL, 4, payload, **more))

    ids = ["CAN-2", "CAN-4"]
    for reason in range(6):
        add(f"cancel-reason-{reason}", ids, wire.cancel(reason))
    add("cancel-empty-payload", ["CAN-2"], b"", canonical_payload=wire.cancel(0))
    add("cancel-reserved-reason-6", ids, wire.cancel(6))
    add("cancel-reserved-reason-63", ids, wire.cancel(63))
    add("cancel-vendor-reason-64", ids, wire.cancel(64, "house rule"))
    add("cancel-vendor-reason-16384", ids, wire.cancel(16384, "house rule"))
    add("cancel-vendor-reason-max", ids, wire.cancel(VARINT_MAX))
    add("cancel-detail", ids, wire.cancel(3, "parent stopped"))
    add("cancel-detail-utf8", [*ids, "WIRE-16"], wire.cancel(0, "abgebrochen — 取消 ✋"))
    add("cancel-detail-63", ["CAN-2"], wire.cancel(5, "d" * 63))
    add("cancel-detail-64", ["CAN-2"], wire.cancel(5, "d" * 64))
    add("cancel-detail-1024", ["CAN-3"], wire.cancel(5, "d" * 1024))
    for size in SIZES[1:]:
        add(f"cancel-varints-in-{size}", ["CAN-2", "WIRE-6"],
            wire.cancel(1, "late", (size, size)), canonical_payload=wire.cancel(1, "late"))
    return made


def budgets():
    made = []

    def add(name, requirements, payload, **more):
        made.append(record.frame(name, requirements, BUDGET, 4, payload, **more))

    ids = ["BUD-1", "BUD-2", "BUD-3"]
    values = {"tokens": 1000, "cost": 250_000, "currency": "EUR", "deadline": 1781568060000}
    for chosen in product((False, True), repeat=4):
        fields = {name: value for (name, value), on in zip(values.items(), chosen) if on}
        if fields:
            add("budget-of-" + "-".join(fields), ids, wire.budget(**fields))

    for value in BOUNDARIES:
        add(f"budget-tokens-{value}", ["BUD-2", "WIRE-4"], wire.budget(tokens=value))
    for value in (0, VARINT_MAX):
        add(f"budget-cost-{value}", ["BUD-2"], wire.budget(cost=value))
    for label, value in (
        ("zero", 0), ("minus-one", -1), ("negative", -1781568000000),
        ("min", -(2**63)), ("max", 2**63 - 1),
    ):
        add(f"budget-deadline-{label}", ["BUD-2", "WIRE-1"], wire.budget(deadline=value))

    known, ids = entry(1, wire.varint(7)), ["BUD-1"]
    unknown = entry(0x7F, b"whatever this is")
    best = budget_entries(known)
    add("budget-unknown-first", ids, budget_entries(unknown, known), canonical_payload=best)
    add("budget-unknown-last", ids, budget_entries(known, unknown), canonical_payload=best)
    add("budget-unknown-empty", ids, budget_entries(entry(0xFF, b""), known),
        canonical_payload=best)
    add("budget-unknown-zero-id", ids, budget_entries(entry(0, b"\x01"), known),
        canonical_payload=best)
    add("budget-unknown-64-bytes", ids, budget_entries(entry(5, b"\xff" * 64), known),
        canonical_payload=best)
    add("budget-unknown-only", ids, budget_entries(unknown), canonical_payload=NONE,
        note="constrains nothing, so nothing is left to send")
    add("budget-many-unknown", ids,
        budget_entries(*(entry(i, bytes([i])) for i in range(5, 37)), known),
        canonical_payload=best)
    everything = wire.budget(**values)
    reverse = budget_entries(
        entry(4, values["deadline"].to_bytes(8, "big")), entry(3, b"EUR"),
        entry(2, wire.varint(250_000)), entry(1, wire.varint(1000)))
    add("budget-descending-fields", ids, reverse, canonical_payload=everything)
    add("budget-count-in-2", ["WIRE-6"], budget_entries(known, size=2), canonical_payload=best)
    add("budget-count-in-8", ["WIRE-6"], budget_entries(known, size=8), canonical_payload=best)
    add("budget-length-in-4", ["WIRE-6"], budget_entries(entry(1, wire.varint(7), 4)),
        canonical_payload=best)
    for size in SIZES[1:]:
        add(f"budget-value-in-{size}", ["WIRE-6"], budget_entries(entry(1, wire.varint(7, size))),
            canonical_payload=best)
    add("budget-currency-length-in-2", ["WIRE-6"],
        budget_entries(entry(2, wire.varint(5)), entry(3, b"JPY", 2)),
        canonical_payload=wire.budget(cost=5, currency="JPY"))
    return made


def reports():
    """BUDGETs that say what was spent: fields of the project's own, which others skip."""
    made = []

    def add(name, payload, **more):
        made.append(record.frame("budget-" + name, ["BUD-1"], BUDGET, 4, payload, **more))

    left = {"tokens": 0, "cost": 125_000, "currency": "EUR", "deadline": 1781568060000}
    spent = {"tokens_spent": 1000, "cost_spent": 375_000}
    add("spent-tokens", wire.budget(tokens_spent=1000))
    add("spent-cost", wire.budget(cost_spent=375_000))
    add("spent-tokens-cost", wire.budget(**spent))
    add("spent-tokens-and-none-left", wire.budget(tokens=0, tokens_spent=1000))
    add("spent-cost-in-jpy", wire.budget(currency="JPY", cost_spent=375_000))
    add("spent-and-left", wire.budget(**left, **spent))
    for value in BOUNDARIES:
        add(f"spent-tokens-{value}", wire.budget(tokens_spent=value))
        add(f"spent-cost-{value}", wire.budget(cost_spent=value))

    tokens, cost = entry(TOKENS_SPENT, wire.varint(7)), entry(COST_SPENT, wire.varint(9))
    best = wire.budget(tokens=5, tokens_spent=7, cost_spent=9)
    add("spent-descending-fields", budget_entries(cost, tokens, entry(1, wire.varint(5))),
        canonical_payload=best)
    for size in SIZES[1:]:
        add(f"spent-values-in-{size}", budget_entries(
            entry(1, wire.varint(5, size)), entry(TOKENS_SPENT, wire.varint(7, size)),
            entry(COST_SPENT, wire.varint(9, size))), canonical_payload=best)
    for field in (TOKENS_SPENT - 1, COST_SPENT + 1):
        add(f"unknown-beside-spent-{field:#04x}",
            budget_entries(tokens, entry(field, bytes(9))),
            canonical_payload=wire.budget(tokens_spent=7), note="of no known layout")
    return made


def delegates():
    made = []

    def add(name, requirements, payload, **more):
        made.append(record.frame(name, requirements, DELEGATE, 4, payload, **more))

    ids, did = ["GAP-7"], "did:web:b.example"
    target = "aire://b.example/summarise"
    add("delegate-plain", ids, wire.delegate(target, did, 4))
    add("delegate-no-did", ids, wire.delegate(target, "", 8))
    add("delegate-sub-op-unknown", ids, wire.delegate(target, did, 0))
    add("delegate-sub-op-max", ids, wire.delegate(target, did, VARINT_MAX))
    add("delegate-did-key", ids, wire.delegate(
        "aire://[2001:db8::1]:4433/summarise/run",
        "did:key:z6MkqWxM23zvnFMz6oZnWnPGF9jdp4g3JLK2TcJzPGevVDBY", 16384))
    add("delegate-varints-in-8", [*ids, "WIRE-6"], wire.delegate(target, did, 4, (8, 8, 8)),
        canonical_payload=wire.delegate(target, did, 4))
    add("delegate-to-oneself", ids,
        wire.delegate("aire://node.example/summarise", CALLER.did, 4),
        expect=["DELEGATE_FAILED"],
        note="its sender is the DID that it names: it would wait for itself for ever")
    return made


def errors():
    made = []

    def add(name, requirements, payload, op_id=4, **more):
        made.append(record.frame(name, requirements, ERROR, op_id, payload, **more))

    for name in wire.CODES:
        ids = ["GAP-5", "GAP-6"] if wire.CODES[name] >= 0x40 else ["GAP-5"]
        add("error-" + name.lower().replace("_", "-"), ids, wire.error(name))
    add("error-detail", ["GAP-5"], wire.error("APPLICATION", "the disk is full"))
    add("error-detail-utf8", ["GAP-5", "WIRE-16"], wire.error("APPLICATION", "диск полон 💾"))
    accounting = b'{"accounting":{"tokens_in":12,"tokens_out":340,"duration_ms":1500}}'
    add("error-detail-and-data", ["GAP-5", "BUD-11"],
        wire.error("BUDGET_EXCEEDED", "out of tokens", accounting))
    add("error-data-only", ["GAP-5"], wire.error("APPLICATION", "", b"\0\xff\x80"))
    add("error-unknown-code", ["GAP-5"], wire.error(0x3FFF, "somebody else's"))
    add("error-code-max", ["GAP-5"], wire.error(VARINT_MAX))
    add("error-varints-in-4", ["GAP-5", "WIRE-6"],
        wire.error("CANCELLED", "bye", b"x", (4, 4)),
        canonical_payload=wire.error("CANCELLED", "bye", b"x"))
    add("error-on-connection", ["GAP-5", "WIRE-3"], wire.error("PROTOCOL_VIOLATION"), op_id=0)
    head = wire.error("APPLICATION", "dump follows")
    add("error-payload-65536", ["GAP-5", "WIRE-12"], head + b"\x11" * (65536 - len(head)),
        fill=(0x11, 65536 - len(head)))
    return made


def resumptions():
    made, short, long = [], derive("token short", 16), derive("token long", 32)
    for label, token in (("16", short), ("32", long)):
        made.append(record.frame(
            f"resumable-token-{label}", ["RES-2", "RES-9"], RESUMABLE, 4,
            wire.resumable(600, token, 42)))
        made.append(record.frame(
            f"resume-token-{label}", ["RES-3", "RES-9"], RESUME, 8, wire.resume(token, 3)))
    for ttl, last in ((0, 0), (63, 64), (16384, 2**30), (VARINT_MAX, VARINT_MAX)):
        made.append(record.frame(
            f"resumable-ttl-{ttl}-seq-{last}", ["RES-2", "WIRE-4"], RESUMABLE, 4,
            wire.resumable(ttl, short, last)))
    for last in (0, 16383, VARINT_MAX):
        made.append(record.frame(
            f"resume-last-{last}", ["RES-3", "WIRE-4"], RESUME, 8, wire.resume(short, last)))
    made.append(record.frame(
        "resumable-token-64", ["RES-2"], RESUMABLE, 4, wire.resumable(60, long + long, 1)))
    made.append(record.frame(
        "resumable-varints-in-8", ["RES-2", "WIRE-6"], RESUMABLE, 4,
        wire.resumable(600, short, 42, (8, 8, 8)),
        canonical_payload=wire.resumable(600, short, 42)))
    made.append(record.frame(
        "resume-varints-in-4", ["RES-3", "WIRE-6"], RESUME, 8, wire.resume(short, 3, (4, 4)),
        canonical_payload=wire.resume(short, 3)))
    return made


def concatenations():
    ids = ["WIRE-7", "WIRE-9"]
    invoke = wire.frame(INVOKE, 4, wire.invoke("echo", "say", b"hi"))
    stream = [wire.frame(STREAM, 4, f"part {i}".encode()) for i in range(3)]
    everything = [
        invoke,
        wire.frame(BUDGET, 4, wire.budget(tokens=9)),
        stream[0],
        wire.frame(RESERVED, 4, b"?"),
        wire.frame(DELEGATE, 4, wire.delegate("aire://b.example/x", "", 0)),
        wire.frame(VENDOR, 4, b"!"),
        wire.frame(RESUMABLE, 4, wire.resumable(60, derive("token concat", 16), 1)),
        wire.frame(CANCEL, 4, wire.cancel(0)),
        wire.frame(ERROR, 4, wire.error("CANCELLED")),
    ]
    return [
        record.concat("concat-invoke-stream", ids, invoke, stream[0]),
        record.concat("concat-three-streams", ids, *stream),
        record.concat("concat-empty-payloads", ids, *[wire.frame(STREAM, 4)] * 5),
        record.concat("concat-operation-with-every-type", ids, *everything),
        record.concat("concat-stream-then-error", [*ids, "WIRE-10"], stream[0],
                      wire.frame(ERROR, 4, wire.error("APPLICATION", "boom"))),
        record.concat("concat-mixed-varint-lengths", [*ids, "WIRE-6"],
                      wire.frame(STREAM, 4, b"a", op_size=8),
                      wire.frame(STREAM, 4, b"b", len_size=4),
                      wire.frame(STREAM, 4, b"c", op_size=2, len_size=8),
                      wire.frame(STREAM, 4, b"d")),
        record.concat("concat-flags-differ", [*ids, "WIRE-2"],
                      wire.frame(STREAM, 4, b"a", flags=1), wire.frame(STREAM, 4, b"b", flags=0x80)),
        record.concat("concat-payload-looks-like-frame", ids,
                      wire.frame(STREAM, 4, wire.frame(GOODBYE, 0)), stream[1]),
        record.concat("concat-sixty-four-frames", ids,
                      *(wire.frame(STREAM, 4, bytes([i])) for i in range(64))),
        record.concat("concat-resume-first", [*ids, "RES-3"],
                      wire.frame(RESUME, 8, wire.resume(derive("token concat", 16), 1)),
                      wire.frame(STREAM, 8, b"more input")),
        record.concat("concat-control-goodbye-error", ["WIRE-7", "GAP-5", "GAP-8"],
                      wire.frame(GOODBYE, 0), wire.frame(ERROR, 0, wire.error("REFUSED"))),
    ]
