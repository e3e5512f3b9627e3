"""Signed frames: the identities, and a builder for HELLO with every knob."""

from . import record, wire
from .wire import HELLO, NOW, Identity, block_fields, derive, hello_fields, join

# The identity of the published vector (v0.2), then three of our own.
PUBLISHED = Identity(
    bytes.fromhex("e94e9390c098d2bb75a40fb02ef7239a586411039d3bec44a560710189ffa646")
)
# The peer of the malformed vectors.
PEER = Identity(derive("seed peer", 32))
OTHER = Identity(derive("seed other", 32))
# Whose good HELLO came before what a malformed vector sends behind the handshake.
CALLER = Identity(bytes([77]) * 32)
ZERO = Identity(bytes(32))
ONES = Identity(bytes([0xFF]) * 32)
# The first key pair of RFC 8032, section 7.1.
RFC8032 = Identity(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
)

DID_KEY_CAP = ("aire.did-method.key/1", 1, 0)


# The fields of a signature block, in wire order.
BLOCK = ("alg", "vmid-len", "vmid", "nonce", "timestamp", "sig-len", "sig")


class Hello:
    """A signed HELLO: its fields in wire order, and what was signed."""

    def __init__(
        self, name, identity=PEER, major=0, minor=4, node=None, caps=(DID_KEY_CAP,), count=None,
        timestamp=NOW, nonce=None, alg=1, vmid=None, separator=None, sizes=None, trailing=b"",
    ):
        self.identity, self.trailing = identity, trailing
        self.node = node = identity.did if node is None else node
        inner = hello_fields(major, minor, node, list(caps), count, sizes)
        self.inner = join(inner)
        nonce = derive("nonce " + name, 16) if nonce is None else nonce
        block, self.signed = block_fields(
            HELLO, self.inner, identity, nonce, timestamp, alg, vmid, separator, sizes
        )
        self.fields = inner + block

    def payload(self):
        return join(self.fields) + self.trailing

    def frame(self, op_id=0, flags=0):
        return wire.frame(HELLO, op_id, self.payload(), flags)

    def signing(self):
        block = self.fields[-len(BLOCK):]
        return record.signing(HELLO, self.identity, self.node, self.inner, block, self.signed)

    def before(self, field, keep=0):
        """The payload up to a field (its first occurrence), and `keep` bytes of it."""
        data = b""
        for name, value in self.fields:
            if name == field:
                return data + value[:keep]
            data += value
        raise KeyError(field)

    def flipped(self, field, byte, bit):
        """The payload with one bit of a field inverted; `byte` may be negative."""
        changed = []
        for name, value in self.fields:
            if name == field:
                value = bytearray(value)
                value[byte] ^= 1 << bit
            changed.append((name, bytes(value)))
        return join(changed)

    def with_field(self, field, value):
        """The payload with the bytes of one field replaced."""
        return join([(name, value if name == field else old) for name, old in self.fields])
