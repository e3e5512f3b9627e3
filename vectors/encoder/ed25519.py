"""Ed25519 as RFC 8032 (section 5.1) describes it, in plain integers.

Slow, not constant-time, and fit for test vectors only: it exists so that the
generator needs nothing but Python, and so that its signatures come from code
that no crate of the workspace uses.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def _add(a, b):
    """Adds two points in extended homogeneous coordinates."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    x, y, z, t = f - e, h - g, h + g, f + e
    return (x * y % P, z * t % P, y * z % P, x * t % P)


def _mul(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P:
        return None
    return P - x if x & 1 != sign else x


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE_X = _recover_x(_BASE_Y, 0)
BASE = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)


def _compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = _recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def _equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def _hash_int(data):
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % L


def _expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & (1 << 254) - 8 | 1 << 254, digest[32:]


def public_key(seed):
    """The 32-byte public key of a 32-byte seed."""
    return _compress(_mul(_expand(seed)[0], BASE))


def sign(seed, message):
    """The 64-byte signature of `message`."""
    scalar, prefix = _expand(seed)
    public = public_key(seed)
    r = _hash_int(prefix + message)
    point = _compress(_mul(r, BASE))
    s = (r + _hash_int(point + public + message) * scalar) % L
    return point + s.to_bytes(32, "little")


def verify(public, message, signature):
    """Whether `signature` is one of `message` under `public`; refuses S >= L."""
    if len(signature) != 64:
        return False
    key, point = _decompress(public), _decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or point is None or s >= L:
        return False
    k = _hash_int(signature[:32] + public + message)
    return _equal(_mul(s, BASE), _add(point, _mul(k, key)))
