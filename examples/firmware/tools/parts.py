#!/usr/bin/env python3
"""What each part of a firmware image takes of flash and RAM, as a Markdown table.

    parts.py IMAGE.elf [--stack PEAK_STACK_BYTES] [--flash-limit BYTES] [--ram-limit BYTES]
             [--client QUIC PROTO]

It fails where the image is over a limit; the one for RAM counts the stack.

Flash: every instruction belongs to the source file that the debug lines name for it. With link-time
optimization most functions end up inside others, so symbols say little; the lines know, for each
instruction, the chain of functions that were inlined. An instruction goes to the innermost function
of the chain that is not of `core` or of a crate of containers and traits (HELPERS): a slice iterator
in smoltcp is smoltcp's. A constant goes to the part whose code takes its address. What is left is
shown as what it is. Where the optimizer merged equal code of two parts, one of them carries it.

RAM: statics go by the name of their symbol (RAM). A task's future is one static, with everything
that the task holds across an await. aire-embassy's one static is taken apart by what the program
itself says of it (--client): the sizes of QUIC's connection with its buffers, and of the protocol's
tables. The rest is aire-embassy's own: datagrams and operations.
"""

import argparse
import bisect
import collections
import re
import subprocess
import sys

QUIC = "aire-quic: connection"
EMBASSY = "aire-embassy"
PROTO = "aire-proto"

# Part, and the crates or paths that it is made of. The first that matches a source file counts.
PARTS = [
    ("aire-quic: TLS 1.3", [r"/quic/src/tls"]),
    ("aire-quic: packets and keys", [r"/quic/src/(packet|crypto|coding|varint|cid)"]),
    ("aire-quic: streams", [r"/quic/src/stream"]),
    ("aire-quic: loss recovery", [r"/quic/src/(recovery|ranges)"]),
    (QUIC, [r"/quic/src/"]),
    (PROTO, [r"/proto/src/", "bs58", "postcard", "serde", "serde_core", "cobs"]),
    (EMBASSY, [r"/io-embassy/src/", "sntpc", "crc"]),
    ("crypto: AES-128-GCM", ["aes", "aes-gcm", "ctr", "ghash", "polyval"]),
    ("crypto: ChaCha20-Poly1305", ["chacha20", "chacha20poly1305", "poly1305"]),
    ("crypto: SHA-256, HMAC, HKDF", ["sha2", "hmac", "hkdf"]),
    ("crypto: P-256", ["p256", "ecdsa", "elliptic-curve", "primeorder", "primefield", "wnaf", "sec1",
                       "crypto-bigint", "rfc6979", "der", "spki", "signature"]),
    ("crypto: Ed25519, X25519", ["ed25519-compact", "ed25519-dalek", "curve25519-dalek", "x25519-dalek",
                                 "ct-codecs"]),
    ("embassy-net and smoltcp", ["embassy-net", "embassy-net-driver", "smoltcp"]),
    ("executor and timers", ["embassy-executor", "embassy-executor-timer-queue", "embassy-time",
                             "embassy-time-driver", "embassy-time-queue-utils", "embassy-sync",
                             "embassy-futures", "cordyceps"]),
    ("the agent", [r"firmware/src/agent", r"firmware/src/bin/"]),
    ("board: drivers, clock, start", [r"firmware/src/", r"firmware/build", "cortex-m", "cortex-m-rt",
                                      "cortex-m-semihosting", "embedded-storage"]),
]
CORE = "core and compiler-builtins"
CONSTANTS = "constants of no known user"

# Containers, traits and marker types: their code is whose it is inlined in.
HELPERS = {"heapless", "managed", "critical-section", "static_cell", "portable-atomic", "hash32",
           "block-buffer", "digest", "crypto-common", "cipher", "inout", "aead", "universal-hash",
           "hybrid-array", "typenum", "generic-array", "subtle", "zeroize", "ctutils", "cmov", "cpubits",
           "group", "ff", "byteorder", "bitflags", "bare-metal", "volatile-register", "vcell",
           "embedded-nal", "embedded-nal-async", "embedded-io-async", "cfg-if", "stable_deref_trait",
           "embedded-storage-async", "rand_core", "base16ct", "const-oid", "opaque-debug"}

# Statics whose name tells more than their place: (pattern over the demangled name, part).
RAM = [
    (r"network::start::RESOURCES", "embassy-net and smoltcp"),
    (r"network::run::POOL", "embassy-net and smoltcp"),
    (r"firmware::agent::(CLIENT|run::POOL)$|aire_embassy", EMBASSY),
    (r"aire_quic", QUIC),
    (r"aire_proto|agent::(signer::SIGNER|start::PINS)", PROTO),
    (r"firmware::(agent|bin)|^echo::|^agent::|^sensor::", "the agent"),
    (r"firmware::|cortex_m", "board: drivers, clock, start"),
    (r"embassy_net|smoltcp", "embassy-net and smoltcp"),
    (r"embassy_", "executor and timers"),
]

REGISTRY = re.compile(r"/registry/src/[^/]+/(.+?)-\d+\.\d+[^/]*/")


def run(tool, *arguments, text=None):
    command = ["arm-none-eabi-" + tool, *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def part_of_path(path):
    """The part of a source file; None for `core`, for a helper and for the unknown."""
    crate = REGISTRY.search(path)
    name = crate and crate.group(1)
    if name in HELPERS or "/rust/library/" in path or "/rustc/" in path:
        return None
    for part, members in PARTS:
        for member in members:
            if member == name or ("/" in member and not crate and re.search(member, path)):
                return part
    # Seen, and named by nobody: shown under its own name, so that the table is mended.
    return "other: " + name if name else None


def sections(image):
    """(name, address, size) of what is in flash, and of what is in RAM."""
    flash, ram = [], []
    for line in run("size", "-A", "-d", image).splitlines():
        fields = line.split()
        if len(fields) != 3 or not fields[1].isdigit():
            continue
        name, size, address = fields[0], int(fields[1]), int(fields[2])
        if size and name in (".vector_table", ".text", ".rodata", ".data", ".identity", ".gnu.sgstubs"):
            flash.append((name, address, size))
        if size and name in (".data", ".bss", ".uninit"):
            ram.append((name, address, size))
    return flash, ram


def instructions(image):
    """(address, size, mnemonic, operands) of each line of the disassembly, data in code included."""
    row = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(\S+)\s*([^@]*)")
    for line in run("objdump", "-d", "-z", image).splitlines():
        match = row.match(line)
        if match:
            size = len(match.group(2).replace(" ", "")) // 2
            yield int(match.group(1), 16), size, match.group(3), match.group(4).strip()


def code(image, listing):
    """The part of each address of the listing."""
    asked = "".join(f"{address:#x}\n" for address, *_ in listing)
    answer = run("addr2line", "-a", "-i", "-e", image, text=asked)
    parts, address, chain = {}, None, []

    def close():
        if address is not None:
            parts[address] = next((part for part in map(part_of_path, chain) if part), CORE)

    for line in answer.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            close()
            address, chain = int(line, 16), []
        else:
            chain.append(line.rsplit(":", 1)[0])
    close()
    return parts


def symbols(image):
    """(address, size, demangled name) of what has a size, in order."""
    found = []
    for line in run("nm", "-C", "-S", "-n", image).splitlines():
        fields = line.split(" ", 3)
        if len(fields) == 4 and re.fullmatch("[0-9a-f]+", fields[1]):
            found.append((int(fields[0], 16), int(fields[1], 16), fields[3]))
    return found


def references(listing, parts):
    """(address, part) for each address that code takes: by MOVW and MOVT, or from a literal pool."""
    low = {}
    for address, size, mnemonic, operands in listing:
        fields = [field.strip() for field in operands.split(",")]
        if mnemonic.startswith("movw") and fields[1:] and fields[1].startswith("#"):
            low[fields[0]] = int(fields[1][1:])
        elif mnemonic.startswith("movt") and fields[0] in low:
            yield low[fields[0]] | int(fields[1][1:]) << 16, parts.get(address, CORE)
        elif mnemonic == ".word":
            yield int(operands, 16), parts.get(address, CORE)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("image")
    options.add_argument("--stack", type=int)
    options.add_argument("--flash-limit", type=int)
    options.add_argument("--ram-limit", type=int)
    options.add_argument("--client", type=int, nargs=2, default=(0, 0))
    options = options.parse_args()
    image, stack = options.image, options.stack
    flash_sections, ram_sections = sections(image)
    flash, ram = collections.Counter(), collections.Counter()
    listing = list(instructions(image))
    parts = code(image, listing)

    text = next(section for section in flash_sections if section[0] == ".text")
    inside = lambda address, section: section[1] <= address < section[1] + section[2]
    for address, size, *_ in listing:
        if inside(address, text):
            flash[parts[address]] += size

    named = symbols(image)
    users = sorted(references(listing, parts))
    for section in flash_sections:
        name, start, size = section
        if name == ".rodata":
            held = [symbol for symbol in named if inside(symbol[0], section)]
            for address, length, _ in held:
                first = bisect.bisect_left(users, (address, ""))
                user = next((part for at, part in users[first:first + 1] if at < address + length), CONSTANTS)
                flash[user] += length
        elif name in (".vector_table", ".identity"):
            flash["board: drivers, clock, start"] += size
    total_flash = sum(size for _, _, size in flash_sections)
    flash["padding and stubs"] += total_flash - sum(flash.values())

    for section in ram_sections:
        for address, length, name in named:
            if inside(address, section):
                ram[next((part for pattern, part in RAM if re.search(pattern, name)), "other: " + name)] += length
    for part, size in zip((QUIC, PROTO), options.client):
        ram[part] += size
        ram[EMBASSY] -= size
    total_ram = sum(size for _, _, size in ram_sections)
    ram["padding and stubs"] += total_ram - sum(ram.values())

    order = [part for part, _ in PARTS] + [CORE, CONSTANTS]
    rest = sorted(set(flash) | set(ram) - set(order))
    print("| part | flash | static RAM |\n|---|--:|--:|")
    for part in order + [part for part in rest if part not in order]:
        if flash[part] or ram[part]:
            print(f"| {part} | {flash[part]:,} | {ram[part]:,} |")
    if stack is not None:
        print(f"| peak stack, measured | | {stack:,} |")
    total_ram += stack or 0
    print(f"| **together** | **{total_flash:,}** | **{total_ram:,}** |")
    for name, total, limit in ("flash", total_flash, options.flash_limit), ("RAM", total_ram, options.ram_limit):
        if limit is not None and total > limit:
            sys.exit(f"{name}: {total:,} bytes are over the limit of {limit:,}")


if __name__ == "__main__":
    main()
