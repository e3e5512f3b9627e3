#!/usr/bin/env python3
"""Makes the certificates of this folder, every time the same bytes.

Certificates are put together by hand, because most of them break a rule that no library breaks.
Keys come from their names, so none is kept; they protect nothing. Needs the package
`cryptography`, for signatures alone.

    python3 make.py          writes them
    python3 make.py --check  says which differ
"""

import hashlib
import pathlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

# DER ---------------------------------------------------------------------------------------------


def der(tag, *parts):
    """An element with a definite length in its shortest form."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def longer(element):
    """The same element, with one byte more of length than it needs."""
    tag, first, rest = element[0], element[1], element[2:]
    if first < 0x80:
        return bytes([tag, 0x81, first]) + rest
    return bytes([tag, first + 1, 0]) + rest


def indefinite(element):
    """The same element in BER's indefinite form."""
    header = 2 if element[1] < 0x80 else 2 + (element[1] & 0x7F)
    return bytes([element[0], 0x80]) + element[header:] + b"\0\0"


def sequence(*parts):
    return der(0x30, *parts)


def integer(value):
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    content = bytes([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        content += bytes(reversed(groups))
    return der(0x06, content)


def bits(content, unused=0):
    return der(0x03, bytes([unused]), content)


def octets(content):
    return der(0x04, content)


def name(common):
    value = der(0x0C, common.encode())
    return sequence(der(0x31, sequence(oid("2.5.4.3"), value)))


def utc(text):
    return der(0x17, text.encode())


def generalized(text):
    return der(0x18, text.encode())


TRUE = der(0x01, b"\xff")
FALSE = der(0x01, b"\x00")
NULL = der(0x05)

# Keys --------------------------------------------------------------------------------------------


def seed(text):
    return hashlib.sha256(b"aire-quic " + text.encode()).digest()


class Ed25519:
    algorithm = sequence(oid("1.3.101.112"))

    def __init__(self, label):
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(seed(label))
        point = self.key.public_key().public_bytes_raw()
        self.info = sequence(self.algorithm, bits(point))

    def sign(self, message):
        return self.key.sign(message)


class P256:
    algorithm = sequence(oid("1.2.840.10045.4.3.2"))

    def __init__(self, label):
        scalar = int.from_bytes(seed(label), "big")
        self.key = ec.derive_private_key(scalar, ec.SECP256R1())
        point = self.key.public_key().public_numbers()
        point = b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
        kind = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
        self.info = sequence(kind, bits(point))

    def sign(self, message):
        signature = self.key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = utils.decode_dss_signature(signature)
        return sequence(integer(r), integer(s))


SHA256 = sequence(oid("2.16.840.1.101.3.4.2.1"), NULL)


class Rsa:
    """Textbook arithmetic: enough to make signatures whose every byte is known."""

    PKCS1 = sequence(oid("1.2.840.113549.1.1.11"), NULL)
    PSS = sequence(
        oid("1.2.840.113549.1.1.10"),
        sequence(
            der(0xA0, SHA256),
            der(0xA1, sequence(oid("1.2.840.113549.1.1.8"), SHA256)),
            der(0xA2, integer(32)),
        ),
    )

    def __init__(self, label, size, algorithm=PKCS1):
        p, q = (prime(label + half, size // 2) for half in " p")
        self.n, self.e = p * q, 65537
        self.d = pow(self.e, -1, (p - 1) * (q - 1))
        self.bytes = size // 8
        self.algorithm = algorithm
        kind = sequence(oid("1.2.840.113549.1.1.1"), NULL)
        self.info = sequence(kind, bits(sequence(integer(self.n), integer(self.e))))

    def sign(self, message):
        return self.pss(message) if self.algorithm == self.PSS else self.pkcs1(message)

    def pkcs1(self, message):
        digest = sequence(SHA256, octets(hashlib.sha256(message).digest()))
        padding = b"\xff" * (self.bytes - len(digest) - 3)
        return self.power(b"\x00\x01" + padding + b"\x00" + digest)

    def pss(self, message):
        salt = seed("salt")
        digest = hashlib.sha256(message).digest()
        inner = hashlib.sha256(bytes(8) + digest + salt).digest()
        block = bytes(self.bytes - 32 - 32 - 2) + b"\x01" + salt
        mask = b"".join(
            hashlib.sha256(inner + count.to_bytes(4, "big")).digest()
            for count in range(len(block) // 32 + 1)
        )
        block = bytearray(a ^ b for a, b in zip(block, mask))
        block[0] &= 0x7F
        return self.power(bytes(block) + inner + b"\xbc")

    def power(self, encoded):
        value = pow(int.from_bytes(encoded, "big"), self.d, self.n)
        return value.to_bytes(self.bytes, "big")


def prime(label, size):
    """The first prime behind a number that comes from `label`."""
    stream = hashlib.shake_256(label.encode()).digest(size // 8)
    candidate = int.from_bytes(stream, "big") | 3 << size - 2 | 1
    while any(candidate % small == 0 for small in range(3, 2000, 2)) or any(
        pow(base, candidate - 1, candidate) != 1 for base in (2, 3, 5, 7, 11)
    ):
        candidate += 2
    return candidate


# Extensions --------------------------------------------------------------------------------------


def extension(kind, value, critical=False):
    return sequence(oid(kind), TRUE if critical else b"", octets(value))


def basic_constraints(ca, path_len=None):
    length = b"" if path_len is None else integer(path_len)
    return extension("2.5.29.19", sequence(TRUE if ca else b"", length), critical=True)


def key_usage(*numbers):
    value = sum(0x80 >> number for number in numbers)
    return extension("2.5.29.15", bits(bytes([value]), 7 - max(numbers)), critical=True)


DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, CERT_SIGN, CRL_SIGN = 0, 2, 5, 6
SERVER, CLIENT, ANY = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "2.5.29.37.0"


def purposes(*kinds):
    return extension("2.5.29.37", sequence(*map(oid, kinds)))


def dns(text):
    return der(0x82, text.encode())


def ip(*numbers):
    return der(0x87, bytes(numbers))


def names(*general, critical=False):
    return extension("2.5.29.17", sequence(*general), critical)


# Certificates ------------------------------------------------------------------------------------

# 2026 to 2036; the tests' clock says 2030-01-01.
FROM, UNTIL = utc("260101000000Z"), utc("360101000000Z")
FOR_SERVERS = [key_usage(DIGITAL_SIGNATURE), purposes(SERVER)]
NODE = names(dns("node.example"))


def certificate(
    issuer,
    subject,
    extensions,
    *,
    version=der(0xA0, integer(2)),
    serial=None,
    inner=None,
    outer=None,
    dates=FROM + UNTIL,
    info=None,
    unique=b"",
    list_tail=b"",
    wrap_tail=b"",
    body_tail=b"",
    tail=b"",
    behind=b"",
    body=lambda whole: whole,
    signature=lambda whole: whole,
    sealed=bits,
):
    """`issuer` and `subject` are pairs of a common name and a key. The rest breaks rules."""
    algorithm = issuer[1].algorithm
    serial = serial or integer(int.from_bytes(seed(subject[0])[:8], "big"))
    wrapped = (
        der(0xA3, sequence(*extensions, list_tail), wrap_tail) if extensions is not None else b""
    )
    signed = body(
        sequence(
            version,
            serial,
            inner or algorithm,
            name(issuer[0]),
            sequence(dates),
            name(subject[0]),
            info or subject[1].info,
            unique,
            wrapped,
            body_tail,
        )
    )
    value = signature(issuer[1].sign(signed))
    return sequence(signed, outer or algorithm, sealed(value), tail) + behind


def authority(who, *more, by=None, usage=(CERT_SIGN, CRL_SIGN), path_len=None, **rules):
    extensions = [basic_constraints(True, path_len), key_usage(*usage), *more]
    return certificate(by or who, who, extensions, **rules)


ROOT = ("Test authority", Ed25519("authority"))
ROOT_P256 = ("Test authority P-256", P256("authority"))
ROOT_RSA = ("Test authority RSA", Rsa("authority", 2048))
IMPOSTOR = ("Test authority", Ed25519("impostor"))
SERVER_ED = ("node", Ed25519("server"))
SERVER_P256 = ("node", P256("server"))
SERVER_RSA = ("node", Rsa("server", 2048))
BETWEEN = ("Test authority, below", P256("between"))
LOWEST = ("Test authority, lowest", Ed25519("lowest"))


def server(*extensions, by=ROOT, who=SERVER_ED, **rules):
    """A server's certificate in which nothing is wrong, but for what is given."""
    return certificate(by, who, [*(extensions or [NODE]), *FOR_SERVERS], **rules)


def good():
    yield "authority", authority(ROOT)
    yield "authority-p256", authority(
        ROOT_P256, dates=utc("700101000000Z") + generalized("99991231235959Z")
    )
    yield "authority-rsa", authority(ROOT_RSA)
    yield "authority-expired", authority(ROOT, dates=FROM + utc("291231235959Z"))
    yield "authority-not-yet", authority(ROOT, dates=utc("300101000001Z") + UNTIL)
    yield "authority-other-name", authority(("Stranger", IMPOSTOR[1]))
    yield "authority-other-key", authority(IMPOSTOR)
    yield "server-ed25519", server()
    yield "server-p256", server(by=ROOT_P256, who=SERVER_P256)
    yield "server-p256-by-ed25519", server(who=SERVER_P256)
    yield "server-rsa", server(by=ROOT_RSA, who=SERVER_RSA)
    pss = (ROOT_RSA[0], Rsa("authority", 2048, Rsa.PSS))
    yield "server-rsa-by-pss", server(by=pss, who=SERVER_RSA)
    yield "server-plain", certificate(ROOT, SERVER_ED, [NODE])
    yield "server-generalized", server(
        dates=generalized("20260101000000Z") + generalized("20500101000000Z")
    )
    yield "server-unknown-extension", server(NODE, extension("1.3.6.1.4.1.32473.1", b"anything"))
    yield "server-self-signed", authority(SERVER_ED, NODE)
    # Names.
    yield "server-names", server(
        names(
            der(0x81, b"mail@ignored.example"),
            dns("first.example"),
            dns("*.wild.example"),
            dns("*.example"),
            dns("*"),
            dns("a*.part.example"),
            dns("*.*.twice.example"),
            dns("in.*.middle.example"),
            dns("192.0.2.77"),
            ip(192, 0, 2, 1),
            ip(0x20, 0x01, 0x0D, 0xB8, *[0] * 11, 1),
            critical=True,
        )
    )
    # Chains.
    yield "between", authority(BETWEEN, by=ROOT)
    yield "server-by-between", server(by=BETWEEN)
    yield "lowest", authority(LOWEST, by=BETWEEN)
    yield "server-by-lowest", server(by=LOWEST)
    yield "between-path-len-0", authority(BETWEEN, by=ROOT, path_len=0)
    yield "authority-path-len-0", authority(ROOT, path_len=0)
    yield "authority-path-len-huge", authority(ROOT, path_len=1 << 40)


def not_issuers():
    """Certificates that must not have signed `server-by-between`."""
    yield "between-no-authority", certificate(ROOT, BETWEEN, [basic_constraints(False)])
    yield "between-no-constraints", certificate(ROOT, BETWEEN, [key_usage(CERT_SIGN)])
    yield "between-no-extensions", certificate(ROOT, BETWEEN, None)
    yield "between-no-cert-sign", authority(BETWEEN, by=ROOT, usage=(DIGITAL_SIGNATURE, CRL_SIGN))
    yield "between-for-clients", authority(BETWEEN, purposes(CLIENT), by=ROOT)
    yield "between-expired", authority(BETWEEN, by=ROOT, dates=FROM + utc("291231235959Z"))
    yield "between-other-key", authority((BETWEEN[0], P256("impostor")), by=ROOT)
    yield "between-wrong-signature", authority(BETWEEN, by=IMPOSTOR)
    only = sequence(der(0xA0, sequence(dns("node.example"))))
    yield "between-name-constraints", authority(
        BETWEEN, extension("2.5.29.30", only, True), by=ROOT
    )
    yield "between-name-constraints-not-critical", authority(
        BETWEEN, extension("2.5.29.30", only), by=ROOT
    )
    policy = extension("2.5.29.36", sequence(der(0x80, b"\0")), True)
    yield "between-policy-constraints", authority(BETWEEN, policy, by=ROOT)
    negative = extension("2.5.29.19", sequence(TRUE, der(0x02, b"\xff")), True)
    yield "between-negative-path-len", certificate(ROOT, BETWEEN, [negative, key_usage(CERT_SIGN)])


def not_servers():
    """Certificates that are well formed and not a server's, or not this one's."""
    yield "server-common-name", certificate(ROOT, ("node.example", SERVER_ED[1]), FOR_SERVERS)
    yield "server-no-extensions", certificate(ROOT, SERVER_ED, None)
    yield "server-no-signing", certificate(ROOT, SERVER_ED, [NODE, key_usage(KEY_ENCIPHERMENT)])
    yield "server-for-clients", certificate(ROOT, SERVER_ED, [NODE, purposes(CLIENT, ANY)])
    yield "server-is-authority", authority(
        SERVER_ED, NODE, by=ROOT, usage=(DIGITAL_SIGNATURE, CERT_SIGN)
    )
    yield "server-unknown-critical", server(NODE, extension("1.3.6.1.4.1.32473.1", b"", True))
    yield "server-impostor", server(by=IMPOSTOR)
    yield "server-p256-other-curve", server(
        info=sequence(
            sequence(oid("1.2.840.10045.2.1"), oid("1.3.132.0.10")),
            bits(b"\x04" + bytes(range(64))),
        )
    )
    yield "server-rsa-1024", server(by=ROOT_RSA, who=("node", Rsa("small", 1024)))
    yield "server-signed-by-sha1", server(
        inner=(sha1 := sequence(oid("1.2.840.10045.4.1"))), outer=sha1
    )


def malformed():
    """Signed by the authority, and refused before or in spite of it."""
    yield "trailing-behind", server(behind=b"\0")
    yield "trailing-outer", server(tail=NULL)
    yield "trailing-body", server(body_tail=NULL)
    yield "trailing-wrapper", server(wrap_tail=NULL)
    yield "trailing-list", server(list_tail=NULL)
    yield "trailing-dates", server(dates=FROM + UNTIL + NULL)
    yield "trailing-extension", server(
        sequence(oid("2.5.29.17"), octets(sequence(dns("node.example"))), NULL)
    )
    yield "trailing-names", server(extension("2.5.29.17", sequence(dns("node.example")) + NULL))
    yield "trailing-usage", certificate(
        ROOT, SERVER_ED, [NODE, extension("2.5.29.15", bits(b"\x80", 7) + NULL)]
    )
    yield "trailing-purposes", certificate(
        ROOT, SERVER_ED, [NODE, extension("2.5.29.37", sequence(oid(SERVER)) + NULL)]
    )
    yield "trailing-constraints", server(NODE, extension("2.5.29.19", sequence() + NULL))
    yield "trailing-key", server(info=sequence(Ed25519.algorithm, bits(bytes(32)), NULL))
    yield "trailing-key-bits", server(info=sequence(Ed25519.algorithm, bits(bytes(33))))
    yield "trailing-signature", server(signature=lambda value: value + b"\0")
    yield "trailing-signature-p256", server(
        by=ROOT_P256, who=SERVER_P256, signature=lambda value: value + b"\0"
    )
    yield "long-length-outer", longer(server())
    yield "long-length-body", server(body=longer)
    yield "long-length-serial", server(serial=longer(integer(5)))
    yield "long-length-extension", server(longer(NODE))
    yield "long-length-signature-p256", server(by=ROOT_P256, who=SERVER_P256, signature=longer)
    yield "indefinite-outer", indefinite(server())
    yield "indefinite-body", server(body=indefinite)
    yield "version-1", certificate(ROOT, SERVER_ED, None, version=b"")
    yield "version-2", server(version=der(0xA0, integer(1)))
    yield "version-4", server(version=der(0xA0, integer(3)))
    yield "version-1-written", server(version=der(0xA0, integer(0)))
    yield "serial-padded", server(serial=der(0x02, b"\0\x05"))
    yield "serial-negative", server(serial=der(0x02, b"\x85"))
    yield "serial-empty", server(serial=der(0x02))
    yield "algorithms-differ", server(inner=P256.algorithm)
    yield "algorithm-with-null", server(
        inner=(odd := sequence(oid("1.3.101.112"), NULL)), outer=odd
    )
    yield "unique-identifier", server(unique=der(0x81, b"\0\x01"))
    yield "no-extension", certificate(ROOT, SERVER_ED, [])
    yield "twice", server(NODE, names(dns("other.example")))
    yield "critical-false", server(
        sequence(oid("2.5.29.17"), FALSE, octets(sequence(dns("node.example"))))
    )
    yield "critical-one", server(
        sequence(oid("2.5.29.17"), der(0x01, b"\x01"), octets(sequence(dns("node.example"))))
    )
    yield "names-empty", server(names())
    yield "names-cut", server(
        extension("2.5.29.17", sequence(dns("node.example"), b"\x82\x05node"))
    )
    yield "names-unknown-kind", server(names(dns("node.example"), der(0x89, b"x")))
    yield "names-high-tag", server(names(dns("node.example"), b"\x9f\x20\x01x"))
    yield "constraints-false", server(NODE, extension("2.5.29.19", sequence(FALSE)))
    yield "constraints-padded", server(
        NODE, extension("2.5.29.19", sequence(TRUE, der(0x02, b"\0\x01")))
    )
    yield "usage-empty", certificate(ROOT, SERVER_ED, [NODE, extension("2.5.29.15", bits(b""))])
    yield "usage-unused-bit-set", certificate(
        ROOT, SERVER_ED, [NODE, extension("2.5.29.15", bits(b"\x81", 7))]
    )
    yield "usage-trailing-zero", certificate(
        ROOT, SERVER_ED, [NODE, extension("2.5.29.15", bits(b"\x80", 0))]
    )
    yield "usage-nine-unused", certificate(
        ROOT, SERVER_ED, [NODE, extension("2.5.29.15", bits(b"\x80", 9))]
    )
    yield "purposes-empty", certificate(ROOT, SERVER_ED, [NODE, purposes()])
    yield "signature-with-unused-bits", server(sealed=lambda value: bits(value, 1))
    yield "signature-short", server(signature=lambda value: value[:-1])
    yield "signature-padded-p256", server(by=ROOT_P256, who=SERVER_P256, signature=pad_first)
    yield "signature-negative-p256", negative()
    for label, date in [
        ("before-1970", utc("691231235959Z")),
        ("month-13", utc("261301000000Z")),
        ("month-0", utc("260001000000Z")),
        ("february-29", utc("270229000000Z")),
        ("day-0", utc("260100000000Z")),
        ("april-31", utc("260431000000Z")),
        ("hour-24", utc("260101240000Z")),
        ("minute-60", utc("260101006000Z")),
        ("second-60", utc("260101000060Z")),
        ("no-seconds", utc("2601010000Z")),
        ("offset", utc("260101000000+0000")),
        ("no-zone", utc("260101000000")),
        ("fraction", generalized("20260101000000.5Z")),
        ("not-digits", utc("2601010000 0Z")),
        ("tag", der(0x16, b"260101000000Z")),
    ]:
        yield "date-" + label, server(dates=date + UNTIL)


def pad_first(signature):
    """A zero before r that it does not need."""
    length = signature[3]
    r, rest = signature[4 : 4 + length], signature[4 + length :]
    return sequence(der(0x02, b"\0" + r), rest)


def negative():
    """The first signature whose numbers are negative without the zero in front."""
    for serial in range(1, 100):
        rules = dict(by=ROOT_P256, who=SERVER_P256, serial=integer(serial))
        if (made := server(**rules, signature=unpad)) != server(**rules):
            return made
    raise AssertionError("none")


def unpad(signature):
    """Numbers without the zero that keeps them positive."""
    length = signature[3]
    r, s = signature[4 : 4 + length], signature[6 + length :]
    return sequence(der(0x02, r.lstrip(b"\0")), der(0x02, s.lstrip(b"\0")))


def signatures():
    """What CertificateVerify covers, and what the servers make of it."""
    content = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + seed("transcript")
    yield "verify.message", content
    yield "verify-ed25519.signature", SERVER_ED[1].sign(content)
    yield "verify-p256.signature", SERVER_P256[1].sign(content)
    yield "verify-rsa-pss.signature", SERVER_RSA[1].pss(content)
    yield "verify-rsa-pkcs1.signature", SERVER_RSA[1].pkcs1(content)
    yield "authority.seed", seed("authority")


def main():
    folder = pathlib.Path(__file__).parent
    files = dict(signatures())
    for group in (good, not_issuers, not_servers, malformed):
        for label, content in group():
            path = f"{group.__name__.replace('_', '-')}/{label}.der"
            assert path not in files, path
            files[path] = content
    check = "--check" in sys.argv
    wrong = [path for path in files if check and (folder / path).read_bytes() != files[path]]
    for path in [] if check else files:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(files[path])
    print(*wrong, sep="\n") if wrong else print(len(files), "files")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
