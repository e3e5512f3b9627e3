//! Points of P-256 as TLS and certificates have them: never compressed (SEC 1 §2.3.3, RFC 8446
//! §4.2.8.2, RFC 5480 §2.2).

use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::{AffinePoint, FieldBytes};

/// How long a point is.
pub(super) const POINT: usize = 65;

/// What a point begins with that is not compressed.
const UNCOMPRESSED: u8 = 4;

/// The point that `bytes` are; `None` when it is not on the curve. The point at infinity has no
/// such bytes.
pub(super) fn read(bytes: &[u8; POINT]) -> Option<AffinePoint> {
    let [UNCOMPRESSED, coordinates @ ..] = bytes else {
        return None;
    };
    let (x, y) = coordinates.split_first_chunk::<32>()?;
    let y = y.first_chunk::<32>()?;
    AffinePoint::from_coordinates(&FieldBytes::from(*x), &FieldBytes::from(*y)).into_option()
}

/// The bytes of `point`, which is not the one at infinity.
pub(super) fn write(point: &AffinePoint) -> [u8; POINT] {
    let mut bytes = [UNCOMPRESSED; POINT];
    let [_, coordinates @ ..] = &mut bytes;
    let (x, y) = (point.x(), point.y());
    for (to, from) in coordinates.iter_mut().zip(x.iter().chain(&y)) {
        *to = *from;
    }
    bytes
}
