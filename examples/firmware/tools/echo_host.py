#!/usr/bin/env python3
"""The host of the echo test: a UDP echo server, a name server that knows its name, and the board.

    echo_host.py COMMAND...

Runs the command, the emulator, with {peer} and {dns} in its arguments replaced by the arguments that
tell the board where the two are, and returns its exit code. In QEMU's user network the board reaches
the host's loopback at 10.0.2.2. A name server listens on port 53, which needs a network namespace of
one's own; where none is to be had, the board gets an address instead of a name and no DNS is tested.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading

HOST = "10.0.2.2"
NAME = "echo.test"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enter_namespace():
    """Moves this process, and who it starts, to a network of their own with nothing but loopback."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET) != 0:
            return False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        return True
    except (AttributeError, OSError):
        return False


def bound(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    server.bind(("127.0.0.1", port))
    return server


def serve(server, answer):
    def loop():
        while True:
            datagram, sender = server.recvfrom(2048)
            server.sendto(answer(datagram), sender)

    threading.Thread(target=loop, daemon=True).start()


def resolve(query):
    """One A record, when it is our name that is asked for (RFC 1035, section 4.1)."""
    asked = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split(".")) + b"\0"
    known = query[12:] == asked + struct.pack(">HH", 1, 1)
    header = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, known, 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(HOST)
    return header + query[12:] + (record if known else b"")


def main():
    named = enter_namespace()
    echo = bound(0)
    serve(echo, lambda datagram: datagram)
    port = echo.getsockname()[1]
    if named:
        serve(bound(53), resolve)
    else:
        print("no network namespace: DNS is not tested", flush=True)
    peer = f"peer={NAME if named else HOST}:{port}"
    dns = f"dns={HOST}"
    command = [word.replace("{peer}", peer).replace("{dns}", dns) for word in sys.argv[1:]]
    sys.exit(subprocess.run(command).returncode)


if __name__ == "__main__":
    main()
