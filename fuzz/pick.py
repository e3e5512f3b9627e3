#!/usr/bin/env python3
"""Picks the committed corpus of a target: at most 60 small inputs of fuzz/corpus-live that
together cover most edges.

    cargo fuzz build && fuzz/pick.py connection

libFuzzer's merge says which input reaches what; the choice among them is greedy, edges per byte.
"""

import hashlib
import pathlib
import subprocess
import sys
import tempfile

MOST_FILES = 60
MOST_BYTES = 600
FUZZ = pathlib.Path(__file__).resolve().parent


def reached(target, live, work):
    """The edges that each input reaches, by path."""
    binary = next((FUZZ / "target").glob(f"*/release/{target}"))
    control, merged = work / "control", work / "merged"
    merged.mkdir()
    command = [binary, "-set_cover_merge=1", f"-max_len={MOST_BYTES}"]
    command += [f"-merge_control_file={control}", merged, live]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    lines = control.read_text().split("\n")
    count = int(lines[0])
    files = lines[2 : 2 + count]
    edges = {}
    for line in lines[2 + count :]:
        kind, *numbers = line.split() or [""]
        if kind == "FT":
            # Eight counters for each edge.
            index, *features = map(int, numbers)
            edges[pathlib.Path(files[index])] = {feature >> 3 for feature in features}
    return edges


def pick(edges):
    covered = set()
    while len(edges) > 0:
        gain = {
            path: len(own - covered) / (1 + path.stat().st_size / 400)
            for path, own in edges.items()
        }
        best = max(gain, key=lambda path: (gain[path], path.name))
        if gain[best] == 0:
            return
        covered |= edges.pop(best)
        yield best


def main():
    target = sys.argv[1]
    corpus = FUZZ / "corpus" / target
    with tempfile.TemporaryDirectory() as work:
        edges = reached(target, FUZZ / "corpus-live" / target, pathlib.Path(work))
    chosen = [path.read_bytes() for path, _ in zip(pick(edges), range(MOST_FILES))]
    corpus.mkdir(parents=True, exist_ok=True)
    for old in corpus.iterdir():
        old.unlink()
    for data in chosen:
        (corpus / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)
    print(f"{target}: {len(chosen)} inputs, {sum(map(len, chosen))} bytes")


if __name__ == "__main__":
    main()
