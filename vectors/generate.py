#!/usr/bin/env python3
"""Writes vectors/own/*.json. See README.md for the schema.

    python3 vectors/generate.py            write the files
    python3 vectors/generate.py --check    only compare them with what would be written

Needs the standard library alone. Where the `cryptography` package is installed,
every signature is checked with it as well.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from encoder import (  # noqa: E402
    addresses, bad_hellos, bad_operations, channel, delegation, ed25519, hellos, positive,
    resumption, wire,
)
from encoder.signed import PUBLISHED  # noqa: E402

HERE = Path(__file__).resolve().parent

SETS = {
    "varints": (positive.varints,),
    "envelopes": (positive.envelopes,),
    "operations": (
        positive.invokes, positive.cancels, positive.budgets, positive.reports,
        positive.delegates, positive.errors, positive.resumptions, resumption.outcomes,
    ),
    "concatenations": (positive.concatenations,),
    "signed": (hellos.did_keys, hellos.unsigned, hellos.signed, hellos.cancels),
    "bad-control": (
        bad_hellos.truncated, bad_hellos.unparseable, bad_hellos.versions,
        bad_hellos.identities, bad_hellos.signatures, bad_hellos.order,
    ),
    "bad-operations": (
        bad_operations.payloads, bad_operations.budgets, bad_operations.signed_cancels,
        bad_operations.order,
    ),
    "channel-binding": (channel.good, channel.wrong),
    "delegation-paths": (delegation.paths,),
    "addresses": (addresses.uris, addresses.handles, addresses.did_webs),
}


def render(name, vectors):
    """The text of one file: a vector per line, so that a change shows as one line."""
    lines = ",\n".join("    " + json.dumps(vector, ensure_ascii=False) for vector in vectors)
    return f'{{\n  "set": "{name}",\n  "vectors": [\n{lines}\n  ]\n}}\n'


def check_unique(sets):
    """No id twice, the published ones included; no malformed input twice in a place."""
    ids, inputs = set(), {}
    for path in sorted((HERE / "upstream").glob("*.json")):
        ids |= {vector["id"] for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]}
    for vectors in sets.values():
        for vector in vectors:
            assert vector["id"] not in ids, vector["id"]
            ids.add(vector["id"])
            if vector["kind"] == "malformed":
                key = vector["on"], vector["fin"], vector["encoded_hex"]
                assert key not in inputs, (vector["id"], inputs[key])
                inputs[key] = vector["id"]


def check_published(sets):
    """Our HELLO from the published inputs is the published HELLO, byte for byte."""
    path = HERE / "upstream" / "v0.2.json"
    (published,) = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    ours = next(v for v in sets["signed"] if v["id"] == "hello-as-published")
    assert published["inputs"]["did"] == PUBLISHED.did
    for field in published:
        assert field == "id" or published[field] == ours[field], field


def check_with_library(sets):
    """Every signature again, by an implementation that is not ours."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        return
    for vector in sets["signed"] + sets["channel-binding"]:
        if "inputs" not in vector:
            continue
        seed = bytes.fromhex(vector["inputs"]["seed_hex"])
        message = bytes.fromhex(vector["signed_message_hex"])
        signature = Ed25519PrivateKey.from_private_bytes(seed).sign(message)
        assert signature == ed25519.sign(seed, message), vector["id"]
        assert signature.hex() == vector["signature_hex"], vector["id"]
        sent = vector.get("encoded_hex") or vector["encoded_prefix_hex"]
        assert sent.count(vector["signature_hex"]) == 1, vector["id"]


def main():
    assert wire.domain(wire.HELLO).hex() == "414952452d5349472d76310001"
    sets = {name: [v for make in makers for v in make()] for name, makers in SETS.items()}
    check_unique(sets)
    check_published(sets)
    check_with_library(sets)
    stale = []
    for name, vectors in sets.items():
        path, text = HERE / "own" / f"{name}.json", render(name, vectors)
        if "--check" in sys.argv[1:]:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(path.name)
        else:
            path.write_text(text, encoding="utf-8")
        print(f"{len(vectors):4} {name}")
    if stale:
        sys.exit("not as generated: " + ", ".join(stale))


if __name__ == "__main__":
    main()
